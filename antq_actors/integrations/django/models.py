"""What the permissions of the admin are about. There is no table behind it: jobs are in a store."""

from __future__ import annotations

from typing import Any

from django.db import models


class _NoRows(models.Manager):
    """Finds nothing, and asks no database for it."""

    def get_queryset(self) -> Any:
        """Return an empty query."""
        return super().get_queryset().none()


class Job(models.Model):
    """A job, as the admin names it: permissions to view, change and delete it."""

    id = models.BigIntegerField(primary_key=True)
    objects = _NoRows()

    class Meta:
        """Nothing is created for it but its permissions."""

        managed = False
        default_permissions = ("view", "change", "delete")
        verbose_name = "job"
        verbose_name_plural = "jobs"

    def __str__(self) -> str:
        return f"job {self.id}"

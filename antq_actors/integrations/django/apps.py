"""The application ``antq`` of a Django site."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.apps import apps as installed
from django.core import checks
from django.core.signals import request_started, setting_changed

from antq_actors.integrations.django import compat, site


class AntqConfig(AppConfig):
    """What ``INSTALLED_APPS`` names: the command, the checks and the page of the admin."""

    name = "antq_actors.integrations.django"
    label = "antq"
    verbose_name = "Background jobs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Listen to the settings, and to the first request of a server that runs queues."""
        setting_changed.connect(_change)
        request_started.connect(_open_in_server)
        if compat.is_backport and not installed.is_installed("django_tasks"):
            checks.register(_check)  # else that does


def _change(*, setting: str, **_: Any) -> None:
    if setting == "TASKS":
        site.close_all()


def _open_in_server(**_: Any) -> None:
    """Run the queues of the backends that have ``RUN_IN_SERVER``, from the first request on."""
    for alias, backend in site.backends().items():
        if backend.options.get(site.RUN_IN_SERVER) is True:
            site.opened(alias, backend.antq_params)


def _check(**_: Any) -> list[checks.CheckMessage]:
    return [message for backend in site.backends().values() for message in backend.check()]

"""The tables of the bookshop."""

from django.db import models


class Order(models.Model):
    """A book that a customer has ordered."""

    email = models.EmailField()
    receipt_sent = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"order {self.pk}"

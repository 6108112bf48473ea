"""The jobs of the bookshop: ``antq start orders.jobs:app`` runs them."""

import os

import django
from django.apps import apps
from django.db import close_old_connections

from antq_actors import AntQ, worker

if not apps.models_ready:  # in `antq start`, and in the processes of executor="process"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bookshop.settings")
    django.setup()

from orders.models import Order

app = AntQ("jobs", queues={"default": 10})


@worker(max_attempts=3)
def send_receipt(order: int) -> None:
    """Send the receipt of an order, once it is in the database."""
    close_old_connections()  # as Django does for each request: an old one may be broken
    Order.objects.filter(id=order).update(receipt_sent=True)

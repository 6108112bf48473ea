"""Start the application in each process that handles requests."""

from django.apps import AppConfig
from django.core.signals import request_started


class OrdersConfig(AppConfig):
    """The orders of the bookshop."""

    name = "orders"

    def ready(self) -> None:
        request_started.connect(start_jobs)


def start_jobs(**_: object) -> None:
    from orders.jobs import app

    app.start(queues=False)  # at the first request of this process; later calls do nothing

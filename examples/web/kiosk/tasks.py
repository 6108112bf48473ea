"""The tasks of the kiosk: ``manage.py antq start`` runs them."""

from pathlib import Path

try:
    from django.tasks import task
    from django.tasks.exceptions import TaskResultDoesNotExist
except ImportError:  # before Django 6.0
    from django_tasks import task
    from django_tasks.exceptions import TaskResultDoesNotExist

__all__ = ["TaskResultDoesNotExist", "write_receipt"]


@task(max_attempts=3)
def write_receipt(order: int, email: str) -> str:
    """Write the receipt of an order. Running it again replaces the same file."""
    receipts = Path("receipts")
    receipts.mkdir(exist_ok=True)
    (receipts / f"{order}.txt").write_text(f"To {email}: thank you for order {order}.\n")
    return f"receipts/{order}.txt"

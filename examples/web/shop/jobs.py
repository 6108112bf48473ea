"""The jobs of a shop: the web server enqueues them, ``antq start shop.jobs:app`` runs them."""

from pathlib import Path

from antq_actors import AntQ, worker

app = AntQ("jobs", queues={"default": 10})  # defined here; each program starts it itself


@worker(max_attempts=3)
def write_receipt(order: int, email: str) -> None:
    """Write the receipt of an order. Running it again replaces the same file."""
    receipts = Path("receipts")
    receipts.mkdir(exist_ok=True)
    (receipts / f"{order}.txt").write_text(f"To {email}: thank you for order {order}.\n")

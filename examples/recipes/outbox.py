"""Enqueue a job if, and only if, a database transaction commits.

The transaction writes a row into an outbox. The relay enqueues a job for each row.
"""

import sqlite3
from contextlib import closing, suppress

from antq_actors import AlreadyExists, AntQ, Job, Unique, Worker

SCHEMA = """
    CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, email TEXT NOT NULL);
    -- AUTOINCREMENT: the id of a deleted row is never used again.
    CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, order_id INTEGER);
"""


def connect() -> sqlite3.Connection:
    db = sqlite3.connect("shop.db", timeout=30)
    db.executescript(SCHEMA)
    return db


class SendReceipt(Worker, max_attempts=3, unique=Unique(args=["outbox_id"], statuses="all")):
    def perform(self, job: Job) -> None:
        print(f"receipt for order {job.args['order']}", flush=True)


def place_order(db: sqlite3.Connection, order: int, email: str) -> None:
    with db:  # one transaction: both rows or none
        db.execute("INSERT INTO outbox (order_id) VALUES (?)", [order])
        db.execute("INSERT INTO orders VALUES (?, ?)", [order, email])


def relay(db: sqlite3.Connection) -> None:
    """Enqueue a job for each row. Any number of processes may call this, at any time."""
    for outbox_id, order in db.execute("SELECT id, order_id FROM outbox ORDER BY id").fetchall():
        with suppress(AlreadyExists):  # the last relay died before it deleted the row
            SendReceipt.perform_async({"outbox_id": outbox_id, "order": order})
        with db:
            db.execute("DELETE FROM outbox WHERE id = ?", [outbox_id])


def main() -> None:
    with AntQ("jobs") as app, closing(connect()) as db:
        relay(db)  # rows that an earlier process left
        with suppress(sqlite3.IntegrityError):  # the order exists if the program ran before
            place_order(db, 1, "jane@example.com")
        relay(db)
        with suppress(sqlite3.IntegrityError):
            place_order(db, 1, "joe@example.com")  # the order exists: neither row is written
        relay(db)
        app.wait_idle()
        for job in app.list_jobs(worker=SendReceipt):
            print(job.args["order"], job.status)


if __name__ == "__main__":
    main()

# Output:
# receipt for order 1
# 1 completed

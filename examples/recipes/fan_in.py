"""Run many jobs, and one more when all of them are done.

You can kill it at any moment and start it again: it continues, and the sum is right.
"""

import sqlite3
from contextlib import closing, suppress

from antq_actors import AlreadyExists, AntQ, Job, Unique, Worker

PARTS = 20


def connect() -> sqlite3.Connection:
    db = sqlite3.connect("results.db", timeout=30)
    db.execute("CREATE TABLE IF NOT EXISTS parts (batch, part, value, PRIMARY KEY (batch, part))")
    db.execute("CREATE TABLE IF NOT EXISTS totals (batch PRIMARY KEY, value)")
    return db


class Part(Worker, max_attempts=3, unique=Unique(args=["batch", "part"], statuses="all")):
    def perform(self, job: Job) -> None:
        batch, part = job.args["batch"], job.args["part"]
        print(f"part {part}", flush=True)
        with closing(connect()) as db:
            with db:  # one transaction; a second run replaces the row
                db.execute("REPLACE INTO parts VALUES (?, ?, ?)", [batch, part, part**2])
            # Count after the commit, so that the last part to commit sees all rows.
            count = "SELECT count(*) FROM parts WHERE batch = ?"
            (done,) = db.execute(count, [batch]).fetchone()
        if done == PARTS:
            with suppress(AlreadyExists):  # two parts may both see that all are done
                Total.perform_async({"batch": batch})


class Total(Worker, max_attempts=3, unique=Unique(args=["batch"], statuses="all")):
    def perform(self, job: Job) -> None:
        batch = job.args["batch"]
        with closing(connect()) as db, db:
            db.execute(
                "REPLACE INTO totals SELECT batch, sum(value) FROM parts WHERE batch = ?", [batch]
            )


def total(batch: str) -> int | None:
    with closing(connect()) as db:
        row = db.execute("SELECT value FROM totals WHERE batch = ?", [batch]).fetchone()
    return row and row[0]


def main() -> None:
    with AntQ("jobs", queues={"default": 4}) as app:
        # Jobs that a killed run has already enqueued are skipped, because they are unique.
        app.enqueue_many(Part, ({"batch": "May", "part": part} for part in range(PARTS)))
        app.wait_idle()
    print("total", total("May"))


if __name__ == "__main__":
    main()

# Output:
# part ...
# total 2470

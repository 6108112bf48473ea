"""What a batch costs: its members inserted, and run, beside as many jobs of no batch.

Its callback joins them: it is enqueued in the commit of the last one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from measure import TIMEOUT_SECONDS, Measure, application, main, ratio

from antq_actors import worker

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOTS: Final = 50
DIFFERENT: Final = {
    "insert": "  insert rate of members against jobs of no batch",
    "run": "  microseconds a member against a job of no batch",
}


@worker
def child(number: int) -> None:
    """Do nothing."""


@worker
def join() -> None:
    """Do nothing: that it is stored once is what is asserted."""


def bench(*, short: bool) -> Iterator[Measure]:
    """Members and other jobs in turn, each round on a new store."""
    children, rounds = (100, 1) if short else (100_000, 3)
    took: dict[tuple[str, bool], list[float]] = {}
    for _ in range(rounds):
        for is_batch in (False, True):
            inserted, ran = _round(children, is_batch=is_batch)
            took.setdefault(("insert", is_batch), []).append(inserted)
            took.setdefault(("run", is_batch), []).append(ran)
    for is_batch, what in ((False, "jobs of no batch"), (True, "members of a batch")):
        for verb in ("insert", "run"):
            values = [1e6 * seconds / children for seconds in took[verb, is_batch]]
            yield Measure(f"{verb} {children:,} {what}", "us each", values)
    yield ratio(DIFFERENT["insert"], took["insert", False], took["insert", True], ">= 0.7")
    yield ratio(DIFFERENT["run"], took["run", True], took["run", False], "<= 1.1")


def _round(children: int, *, is_batch: bool) -> tuple[float, float]:
    """Return the seconds in which so many jobs were inserted, and in which they ran."""
    items = ({"number": number} for number in range(children))
    with application(durable=True, queues={"default": SLOTS}) as app:
        app.queue("default").pause()
        began = time.perf_counter()
        if is_batch:
            with app.batch("children", on_success=join.build()) as batch:
                batch.enqueue_many(child, items)
        else:
            app.enqueue_many(child, items)
        inserted = time.perf_counter()
        app.queue("default").resume()
        assert app.wait_idle(timeout=TIMEOUT_SECONDS)  # noqa: S101 - it is no measure else
        ran = time.perf_counter()
        assert app.count_jobs(worker=join) == is_batch  # noqa: S101
    return inserted - began, ran - inserted


if __name__ == "__main__":
    main(__doc__, bench)

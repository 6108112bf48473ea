"""How long it takes to look at a large store, while a queue drains as fast as it can."""

from __future__ import annotations

import functools
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from measure import Measure, at, main, new_folder, until
from noop import Noop
from stored import fill, open_store

from antq_actors import AntQ, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMIT: Final = 100
"""Jobs of one page, as a dashboard shows them."""
STATUSES: Final = (Status.ENQUEUED, Status.SCHEDULED, Status.COMPLETED, Status.FAILED)


def bench(*, short: bool) -> Iterator[Measure]:
    """Each round is one drain; every look is repeated until it is over."""
    stored, jobs, rounds = (2_000, 200, 1) if short else (1_000_000, 20_000, 5)
    latencies: dict[str, list[list[float]]] = {}
    with new_folder() as folder:
        path = Path(folder, "store")
        fill(path, stored)
        with open_store(path) as app:
            for _ in range(rounds):
                for name, took in _while_draining(app, jobs, _looks(app, stored)).items():
                    latencies.setdefault(name, []).append(took)
    for name, by_round in latencies.items():
        for position, goal in ((0.5, ""), (0.99, "< 5")):
            values = [at(position, took) for took in by_round]
            shown = f"{name}, {stored:,} stored, p{100 * position:.0f}"
            yield Measure(shown, "ms", values, goal)


def _looks(app: AntQ, stored: int) -> dict[str, Callable[[], object]]:
    chance = random.Random(1)

    def listed(after: int | None = None) -> None:
        app.list_jobs(status=chance.choice(STATUSES), after=after, limit=LIMIT)

    return {
        f"list_jobs(status, limit={LIMIT})": listed,
        f"list_jobs(status, after, limit={LIMIT})": lambda: listed(chance.randint(1, stored)),
        "count_jobs(status)": lambda: app.count_jobs(status=chance.choice(STATUSES)),
        "get_job": lambda: app.get_job(chance.randint(1, stored)),
        "explain": lambda: app.explain(chance.randint(1, stored)),
    }


def _while_draining(
    app: AntQ, jobs: int, looks: dict[str, Callable[[], object]]
) -> dict[str, list[float]]:
    """Return the milliseconds that each look took, each time."""
    queue = app.queue(app.default_queue)
    queue.pause()
    app.enqueue_many(Noop, ({"number": number} for number in range(jobs)))
    before = app.count_jobs(status=Status.COMPLETED)
    Noop.expect(jobs)
    took: dict[str, list[float]] = {name: [] for name in looks}
    queue.resume()
    draining = True
    while draining:  # a short drain may be over before the first look is
        for name, look in looks.items():
            began = time.perf_counter()
            look()
            took[name].append(1_000 * (time.perf_counter() - began))
        draining = not Noop.all_performed.is_set()
    until(functools.partial(_are_completed, app, before + jobs))
    return took


def _are_completed(app: AntQ, jobs: int) -> bool:
    return app.count_jobs(status=Status.COMPLETED) == jobs


if __name__ == "__main__":
    main(__doc__, bench)

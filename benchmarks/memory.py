"""Memory of a process with a running application: idle, and with a large backlog waiting.

RssAnon is what the program holds; without the store's pages adds what is mapped of libraries. RSS
has the pages of the mapped store as well, which the system takes back when it needs room.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil
from measure import Measure, application, main

from antq_actors import Job, Status, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK: Final = 5_000
"""Jobs handed over at a time, so that no list of all ids is counted as memory of the backlog."""


class SendPromotion(Worker):
    """Waits in the queue."""

    def perform(self, job: Job) -> None:
        """Do nothing."""


def bench(*, short: bool) -> Iterator[Measure]:
    """One round: a process has only one beginning."""
    jobs = 2_000 if short else 400_000
    with application(durable=True, queues={"default": 2_000}) as app:
        yield from _now("idle", app.path, "< 45")
        app.queue("default").pause()
        leads = ({"email": f"jane.smith{n}@example.com", "line": n} for n in range(jobs))
        while app.enqueue_many(SendPromotion, islice(leads, CHUNK)):
            pass
        stored = app.count_jobs(status=Status.ENQUEUED)
        if stored != jobs:
            raise RuntimeError(f"{stored:,} jobs wait, not {jobs:,}: there is nothing to measure")
        yield from _now(f"{jobs:,} jobs waiting", app.path, "< 80")


def _now(when: str, store: Path, goal: str) -> Iterator[Measure]:
    rss = status("VmRSS")
    mapped = psutil.Process().memory_maps(grouped=True)
    of_the_store = sum(region.rss for region in mapped if region.path.startswith(str(store)))
    sizes = {
        "RssAnon": status("RssAnon"),
        "RSS without the store's pages": rss - of_the_store,
        "RSS": rss,
    }
    for what, size in sizes.items():
        is_aimed_at = what != "RSS"
        yield Measure(f"memory, {when}, {what}", "MB", [size / 1e6], goal if is_aimed_at else "")


def status(field: str) -> int:
    """Return the bytes of one field of what Linux tells of this process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    main(__doc__, bench)

"""The main job: how near a queue comes to the time that the leads alone would take.

``no failures`` is a lead that always takes its 0.2 s, so that nothing has to be taken out. ``as in
the demo`` refuses and retries some: what retries took in the same slots is taken out, and a refused
lead, which takes no time, makes the ratio smaller.
"""

from __future__ import annotations

import functools
import logging
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from measure import Measure, application, interleaved, main, until

from antq_actors import Job, Worker
from antq_actors.demo.campaign import CREATE_SECONDS, QUEUE, SEND_SECONDS, Campaign, SendPromotion
from antq_actors.demo.leads import write_leads
from antq_actors.demo.measure import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator

WHOLE: Final = CREATE_SECONDS + SEND_SECONDS

# Leads, how many at once, rounds.
SHORT: Final = (20, 20, 1)
USUAL: Final = (2_000, 200, 5)
ARTICLE: Final = (400_000, 2_000, 1)


class Lead(Worker):
    """Takes its time, and succeeds."""

    stopwatch: ClassVar[Stopwatch] = Stopwatch()

    def perform(self, job: Job) -> None:
        """Wait, as for a database and a mail server."""
        with self.stopwatch.attempt(job.attempts):
            time.sleep(CREATE_SECONDS)
            time.sleep(SEND_SECONDS)


def bench(*, short: bool, full: bool) -> Iterator[Measure]:
    """Durable; the wall time from the first enqueue to the last end, in ideal times."""
    leads, slots, rounds = SHORT if short else ARTICLE if full else USUAL
    logging.getLogger("antq_actors.jobs").setLevel(logging.CRITICAL)  # failures are expected
    cases = {
        "no failures": functools.partial(_no_failures, leads, slots),
        "as in the demo": functools.partial(_as_in_the_demo, leads, slots),
    }
    for case, values in interleaved(rounds, cases).items():
        name = f"{leads:,} leads, concurrency {slots:,}, {case}: time / ideal"
        yield Measure(name, "x", values, "<= 1.25" if full else "<= 1.10")


def _no_failures(leads: int, slots: int) -> float:
    Lead.stopwatch = watch = Stopwatch()
    with application(durable=True, queues={QUEUE: slots}) as app:
        began = time.monotonic()
        app.enqueue_many(Lead, ({"number": number} for number in range(leads)))
        until(lambda: watch.times().firsts == leads)
    return (watch.times().firsts_ended_at - began) / (leads * WHOLE / slots)


def _as_in_the_demo(leads: int, slots: int) -> float:
    SendPromotion.stopwatch = watch = Stopwatch()
    with (
        tempfile.TemporaryDirectory(prefix="antq-bench-") as folder,
        application(durable=True, queues={QUEUE: slots}) as app,
    ):
        file = Path(folder, "leads.txt")
        write_leads(file, leads, seed=1)
        began = time.monotonic()
        Campaign(app, file, on_bad_line=print).run(show=lambda _progress: None)
    times = watch.times()
    wall = times.firsts_ended_at - began - times.in_retries / slots
    return wall / (times.firsts * WHOLE / slots)


if __name__ == "__main__":
    main(__doc__, bench, full="the 400,000 leads of the article; takes minutes")

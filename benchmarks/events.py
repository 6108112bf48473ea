"""What a listener to events costs: jobs that do nothing, without one and with one that counts.

And what is counted for metrics: as events pass, and not by a listener.

CPU time beside the rate: a listener has a thread of its own, so a machine with processors to spare
shows less of it in the rate than it takes.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final

from measure import Measure, application, interleaved, kind, main, ratio
from noop import drain

from antq_actors.telemetry import JobEnded
from antq_actors.telemetry.meter import meter_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from antq_actors.telemetry import Event

SLOTS: Final = 50
LISTENERS: Final[dict[str, tuple[type[Event], ...] | None]] = {
    "no listener": None,
    "one that counts ends": (JobEnded,),
    "one that counts all events": (),
    "metrics": None,
}
AIMS: Final = {"metrics": ">= 0.95"}


def bench(*, short: bool) -> Iterator[Measure]:
    """All listeners in turn, on both kinds of stores; each round is on a new store."""
    jobs, rounds = (100, 1) if short else (20_000, 7)
    for durable in (True, False):
        cpu: dict[str, list[float]] = {name: [] for name in LISTENERS}
        benches: dict[str, Callable[[], float]] = {
            name: partial(_drained, jobs, name, cpu[name], durable=durable) for name in LISTENERS
        }
        values = interleaved(rounds, benches)
        alone = values["no listener"]
        for name, rates in values.items():
            yield Measure(f"drain, {kind(durable=durable)}, {name}", "jobs/s", rates)
            yield Measure("  processor time of a job", "us", cpu[name])
            if rates is not alone:
                yield ratio("  against no listener", rates, alone, AIMS.get(name, ">= 0.97"))


def _drained(jobs: int, listener: str, cpu: list[float], *, durable: bool) -> float:
    """Return the jobs/s of a drain, and add the processor time of a job to *cpu*."""
    counts = Counts()
    with application(durable=durable, queues={"default": SLOTS}) as app:
        types = LISTENERS[listener]
        if types is not None:
            app.subscribe(counts, *types)
        elif listener == "metrics":
            meter_of(app.antq_hub)  # as a collector for Prometheus does
        before = time.process_time()
        jobs_a_second = drain(app, jobs)
        cpu.append(1e6 * (time.process_time() - before) / jobs)
    if types is not None and counts.number < jobs:
        raise RuntimeError(f"{counts.number} events of {jobs} jobs")
    return jobs_a_second


class Counts:
    """A listener that counts, and does nothing else."""

    number = 0

    def __call__(self, _event: Event) -> None:
        """Count."""
        self.number += 1


if __name__ == "__main__":
    main(__doc__, bench)

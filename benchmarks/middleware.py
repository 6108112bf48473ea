"""What middleware costs: jobs that do nothing, without any, and with some that do nothing either.

One that overrides no method is not called, so it costs what none costs.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from measure import Measure, application, interleaved, kind, main, rate, ratio
from noop import Noop, drain

from antq_actors import Middleware

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from antq_actors import AntQ, Job, JobDraft

SLOTS: Final = 50


class Around(Middleware):
    """Is called around each attempt."""

    def around_job(self, job: Job, call: Callable[[], Any]) -> Any:  # noqa: ARG002 - it does nothing
        """Perform the job."""
        return call()


class Enqueuing(Middleware):
    """Is called for each job that is enqueued, and gives it meta."""

    def on_enqueue(self, draft: JobDraft) -> None:
        """Note something beside the arguments of a job."""
        draft.meta["tenant"] = "acme"


CASES: Final[dict[str, tuple[type[Middleware], ...]]] = {
    "none": (),
    "one without methods": (Middleware,),
    "one around attempts": (Around,),
    "three around attempts": (Around, Around, Around),
    "one that gives meta": (Enqueuing,),
}


def bench(*, short: bool) -> Iterator[Measure]:
    """All cases in turn, volatile, so that no disk hides them; each round is on a new store."""
    jobs, rounds = (100, 1) if short else (20_000, 7)
    for what, run in (("drain", _drained), ("enqueue one by one", _enqueued)):
        cpu: dict[str, list[float]] = {name: [] for name in CASES}
        benches: dict[str, Callable[[], float]] = {
            name: partial(_measured, run, jobs, name, cpu[name]) for name in CASES
        }
        values = interleaved(rounds, benches)
        alone = values["none"]
        for name, rates in values.items():
            goal = ">= 0.98" if name == "one without methods" else ""
            yield Measure(f"{what}, {kind(durable=False)}, middleware: {name}", "jobs/s", rates)
            yield Measure("  processor time of a job", "us", cpu[name])
            if rates is not alone:
                yield ratio("  against none", rates, alone, goal)


def _measured(run: Callable[[AntQ, int], float], jobs: int, case: str, cpu: list[float]) -> float:
    """Return the jobs/s of a run, and add the processor time of a job to *cpu*."""
    middleware = [each() for each in CASES[case]]
    with application(durable=False, queues={"default": SLOTS}, middleware=middleware) as app:
        before = time.process_time()
        jobs_a_second = run(app, jobs)
        cpu.append(1e6 * (time.process_time() - before) / jobs)
    return jobs_a_second


def _drained(app: AntQ, jobs: int) -> float:
    return drain(app, jobs)


def _enqueued(app: AntQ, jobs: int) -> float:
    app.queue(app.default_queue).pause()

    def work() -> None:
        for number in range(jobs):
            app.enqueue(Noop, {"number": number})

    return rate(jobs, work)


if __name__ == "__main__":
    main(__doc__, bench)

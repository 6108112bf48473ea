"""Where a job's microseconds go: a no-op drain, sampled while it runs, durable and volatile.

    make profile
    make profile OPTIONS="--one-core --seconds 20"

A part's microseconds are the time in which one of its lines held the interpreter, for each job
that was performed meanwhile. The rest is when nobody ran Python: LMDB and the disk at work, or a
thread that has yet to wake up. parts.py says which file belongs to which part.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from measure import application, kind, parser
from noop import Noop, drain
from samplers import look_from_inside, py_spy, spy_on_me

from antq_actors import AntQ, Status

if TYPE_CHECKING:
    from collections.abc import Callable

    Sampler = Callable[[float], dict[str, float]]

REST: Final = {
    "py-spy": "nobody runs Python: LMDB, disk, hand-overs",
    "inside": "nobody works: disk, hand-overs",
}
"""What is left, by sampler."""


MARGINS: Final = (3, 12, 48)
"""How many times the jobs that should do to enqueue, tried in turn: the pace of one moment says
little on a machine that is busy with other things, too."""


class Profile(NamedTuple):
    """What one drain was sampled to."""

    name: str
    sampler: str
    jobs: int
    seconds: float
    parts: dict[str, float]
    """Microseconds a job, the largest first."""

    @property
    def whole(self) -> float:
        """The microseconds of a job."""
        return 1e6 * self.seconds / self.jobs


def run() -> int:
    """Profile both kinds, print the tables; answer the exit code."""
    given = _options()
    if given.one_core:
        os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
    name, sampler = choose(given.sampler)
    seconds = 1 if given.short else given.seconds
    profiles = []
    for durable in (True, False):
        profiles.append(_profiled(given.concurrency, seconds, name, sampler, durable=durable))
        print(table(profiles[-1]), end="\n\n")
    if given.json is not None:
        raw = [profile._asdict() | {"whole": profile.whole} for profile in profiles]
        given.json.write_text(json.dumps(raw, indent=1))
    return 0


def choose(wanted: str | None) -> tuple[str, Sampler]:
    """Return the sampler to use, by its name, after saying so if it is the less exact one."""
    program = py_spy()
    if wanted == "py-spy" and program is None:
        sys.exit("py-spy is not installed; write `make profile`, or `pip install py-spy`")
    if wanted != "inside" and program is not None:
        try:
            spy_on_me(program, 1)
        except RuntimeError as error:
            if wanted == "py-spy":
                sys.exit(str(error))
            print(error, file=sys.stderr)
        else:
            return "py-spy", lambda seconds: spy_on_me(program, seconds)
    print("Not by py-spy but from inside: only roughly where the time goes.\n", file=sys.stderr)
    return "inside", look_from_inside


def table(profile: Profile) -> str:
    """Write one profile as lines of text."""
    rate = profile.jobs / profile.seconds
    lines = [f"{profile.name}, by {profile.sampler}: {profile.jobs:,} jobs, {rate:,.0f} jobs/s"]
    lines += [f"{'':46}{'us a job':>10}{'share':>8}"]
    lines += [
        f"{part:46}{microseconds:10.1f}{microseconds / profile.whole:8.1%}"
        for part, microseconds in profile.parts.items()
    ]
    return "\n".join([*lines, f"{'together':46}{profile.whole:10.1f}{1:8.0%}"])


def _options() -> argparse.Namespace:
    command_line = parser(__doc__)
    command_line.formatter_class = argparse.RawDescriptionHelpFormatter
    command_line.add_argument(
        "--seconds", type=int, default=10, help="how long each drain is sampled; 10"
    )
    command_line.add_argument("--concurrency", type=int, default=50, help="of the queue; 50")
    command_line.add_argument(
        "--one-core", action="store_true", help="pin the program to one core (Linux)"
    )
    command_line.add_argument(
        "--sampler", choices=("py-spy", "inside"), help="py-spy where it works, if not given"
    )
    return command_line.parse_args()


def _profiled(slots: int, seconds: float, name: str, sampler: Sampler, *, durable: bool) -> Profile:
    with application(durable=durable, queues={"default": slots}) as app:
        pace = drain(app, int(200 * seconds))
        for margin in MARGINS:
            _begin_to_drain(app, int(pace * margin * (seconds + 1)))
            began, before = time.perf_counter(), app.count_jobs(status=Status.COMPLETED)
            sampled = sampler(seconds)
            jobs = app.count_jobs(status=Status.COMPLETED) - before
            took = time.perf_counter() - began
            if not Noop.all_performed.is_set():
                break
        else:
            raise RuntimeError("all jobs were performed before the end: sample for longer")
    parts = {part: 1e6 * spent / jobs * took / seconds for part, spent in sampled.items()}
    parts[REST[name]] = max(0.0, 1e6 * took / jobs - sum(parts.values()))
    ordered = dict(sorted(parts.items(), key=lambda item: -item[1]))
    what = f"drain, {kind(durable=durable)}, concurrency {slots}"
    return Profile(what, name, jobs, took, ordered)


def _begin_to_drain(app: AntQ, jobs: int) -> None:
    queue = app.queue(app.default_queue)
    queue.pause()
    app.enqueue_many(Noop, ({"number": number} for number in range(jobs)))
    Noop.expect(jobs)
    queue.resume()


if __name__ == "__main__":
    sys.exit(run())

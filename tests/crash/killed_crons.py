"""Kill nodes that fire periodic entries at random, and look whether each instant has one job.

    make instants INSTANTS=10000

Eight nodes, whose clock goes sixty times as fast as that of the system. Exits with 1 when an
instant has no job or two, when an entry counts one as missed, or when the store is not whole.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from crash_workers import Nothing

from antq_actors import AntQ, Every

if TYPE_CHECKING:
    from collections.abc import Iterator

FASTER = 60
NAMES = ("one", "two", "three")
SECONDS_BETWEEN_KILLS = 0.2
"""On average."""

NODE = """
import sys, time

began, faster = int(sys.argv[2]), int(sys.argv[3])
real = time.time_ns
time.time_ns = lambda: began + (real() - began) * faster
time.time = lambda: time.time_ns() / 1e9

import crash_workers
from antq_actors import AntQ

with AntQ(sys.argv[1], queues={"default": 2}, retention=None):
    print("runs", flush=True)
    sys.stdin.read()
"""


class Outcome(NamedTuple):
    """What came of a run."""

    instants: int
    jobs: int
    kills: int
    seconds: float
    findings: list[str]


def run(path: Path, *, nodes: int, instants: int, kills: int = 0, seed: int = 7) -> Outcome:
    """Kill some of the *nodes* until there were enough *kills* and *instants*; look at the jobs.

    Raises RuntimeError for a node that ends by itself.
    """
    chance, began, clock = random.Random(seed), time.monotonic(), time.time_ns()
    entry = Every(1, worker=Nothing, missed="all", max_missed=1_000_000, overlap="allow")
    killed = 0
    with AntQ(path, start_queues=False) as app:
        for name in NAMES:
            app.cron(name).set(entry)
        with ExitStack() as at_end:
            alive = [_node(at_end, path, clock) for _ in range(nodes)]
            while killed < kills or app.count_jobs() < instants:
                time.sleep(chance.expovariate(1 / SECONDS_BETWEEN_KILLS))
                victim = chance.randrange(nodes)
                _kill(alive[victim])
                alive[victim] = _node(at_end, path, clock)
                killed += 1
            for each in alive:
                _kill(each)
        findings = [*find_wrong(app), *app.verify()]
        jobs = app.count_jobs()
        planned = len({(job.cron, job.scheduled_for) for job in app.list_jobs()})
    return Outcome(planned, jobs, killed + nodes, time.monotonic() - began, findings)


def _node(at_end: ExitStack, path: Path, clock: int) -> subprocess.Popen[str]:
    node = subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", NODE, str(path), str(clock), str(FASTER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    )
    at_end.enter_context(node)
    at_end.callback(node.kill)
    if node.stdout is None or node.stdout.readline() != "runs\n":
        raise RuntimeError(f"a node did not start: it ended with {node.wait()}")
    return node


def _kill(node: subprocess.Popen[str]) -> None:
    if node.poll() is not None:
        raise RuntimeError(f"a node ended by itself, with {node.returncode}")
    node.kill()
    node.wait()


def find_wrong(app: AntQ) -> Iterator[str]:
    """Yield what is wrong with the instants of each entry, one sentence each."""
    planned: dict[str | None, Counter[int]] = defaultdict(Counter)
    for job in app.list_jobs():
        if job.scheduled_for is None:
            yield f"job {job.id} has no instant"
        else:
            planned[job.cron][int(job.scheduled_for.timestamp())] += 1
    for info in app.crons():
        times = planned.pop(info.name, Counter())
        if not times or info.last_at is None:
            yield f"{info.name} has no jobs"
            continue
        for at in range(min(times), int(info.last_at.timestamp()) + 1):
            if (number := times.pop(at, 0)) != 1:
                yield f"{info.name} has {number} jobs for {at}"
        yield from (f"{info.name} has a job for {at}, which is no instant" for at in times)
        if info.missed or info.skipped:
            yield f"{info.name} counts {info.missed} missed and {info.skipped} skipped"
    yield from (f"there are jobs of {name}, which is no entry" for name in planned)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--instants", type=int, default=10_000)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    options = vars(parser.parse_args(arguments))
    directory = Path(tempfile.mkdtemp(prefix="antq-instants-"))
    outcome = run(directory / "store", **options)
    for name, value in outcome._asdict().items():
        print(f"{name:12}{len(outcome.findings) if name == 'findings' else round(value)}")
    if not outcome.findings:
        shutil.rmtree(directory)
        return 0
    print(f"\nall is kept in {directory}")
    for finding in outcome.findings[:20]:
        print(f"- {finding}")
    return 1


if __name__ == "__main__":
    sys.exit(main())

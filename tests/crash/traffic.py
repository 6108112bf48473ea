"""Two nodes and two producers on one path, as fast as they can, for ten minutes.

    make traffic SECONDS=600

One producer enqueues singly, the other in bulk; both wait while the nodes are far behind. Then all
jobs have to end. Exits with 1 when anything was logged, a job was not performed exactly once, or
the tables of the store do not agree.
"""

import argparse
import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path

from processes import NotInTimeError, ProcessUnderTest, enqueue, look, perform

BACKLOG = {"single": 20_000, "bulk": 4_000}
"""Jobs; with more, this producer waits. In bulk it is the faster one by far."""
RETENTION = 5.0
"""Seconds, so that deleting keeps up as well."""


def run(directory: Path, seconds: float) -> list[str]:
    """Print what was done; return what went wrong."""
    speak = {"log": logging.WARNING}
    nodes = [
        ProcessUnderTest(name, perform, directory, concurrency=50, retention=RETENTION, **speak)
        for name in ("north", "south")
    ]
    producers = [
        ProcessUnderTest(
            name, enqueue, directory, together=together, backlog=BACKLOG[name], **speak
        )
        for name, together in (("single", 1), ("bulk", 500))
    ]
    players = [*nodes, *producers]
    try:
        began = time.monotonic()
        time.sleep(seconds)
        enqueued = _stop(producers)
        looker = ProcessUnderTest("look", look, directory, nodes=len(nodes), timeout=120.0)
        problems, left, *_ = looker.hear(timeout=130)
        took = time.monotonic() - began
        performed = _stop(nodes)
        size = (directory / "store" / "data.mdb").stat().st_size
        problems += [f"{each.name} said: {each.errors()}" for each in players if each.errors()]
    except NotInTimeError as error:
        return [str(error)]
    finally:
        for each in players:
            each.kill()
    total, done = sum(n for n, _ in enqueued), sum(n for n, _ in performed)
    if total != done:
        problems.append(f"{total} jobs were enqueued, {done} performed")
    problems += [f"job {job.id} is {job.status}" for job in left if job.status != "completed"]
    for name, value in (
        ("seconds", f"{took:.1f}"),
        ("enqueued", f"{total}: {enqueued[0][0]} singly, {enqueued[1][0]} in bulk"),
        ("enqueued a second", f"{total / seconds:.0f}"),
        ("performed", f"{done}: {performed[0][0]} and {performed[1][0]}"),
        ("performed a second", f"{done / took:.0f}"),
        ("most memory of a node", f"{max(rss for _, rss in performed) / 1024:.0f} MiB"),
        ("most memory of a producer", f"{max(rss for _, rss in enqueued) / 1024:.0f} MiB"),
        ("size of the store", f"{size / 2**20:.1f} MiB, with {len(left)} jobs not yet pruned"),
        ("errors", f"{len(problems)}"),
    ):
        print(f"{name:30}{value}")
    return problems


def _stop(players: list[ProcessUnderTest]) -> list[tuple[int, int]]:
    """Return the number of jobs and the KiB of each."""
    for each in players:
        each.tell("stop")
    return [each.hear(timeout=60) for each in players]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    options = parser.parse_args(arguments)
    directory = Path(tempfile.mkdtemp(prefix="antq-traffic-"))
    problems = run(directory, options.seconds)
    if not problems:
        shutil.rmtree(directory)
        return 0
    print(f"\nall is kept in {directory}")
    for problem in problems[:20]:
        print(f"- {problem}")
    return 1


if __name__ == "__main__":
    sys.exit(main())

"""What Ray costs and keeps: a rate, the overhead of a job beside a plain task, and a node killed.

    python benchmarks/ray_tasks.py [--jobs 2000] [--milliseconds 10]

On a cluster of two nodes on this machine. Needs ray, and says so where it is not installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from antq_actors import AntQ, Job, QueueConfig, Status, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

CPUS = 4
"""Of each node, whatever the machine has: the jobs wait."""

SLOTS = 50
"""More than there are CPUs, so that Ray always has the next."""


class Waits(Worker, executor="ray"):
    """Waits for as long as its argument says."""

    def perform(self, job: Job) -> None:
        """Wait."""
        time.sleep(job.args["seconds"])


def plain(seconds: float) -> None:
    """Wait, as a task without a job."""
    time.sleep(seconds)


def rate_of_plain_tasks(jobs: int, seconds: float) -> float:
    """Return how many tasks a second Ray performs by itself."""
    import ray  # noqa: PLC0415 - an extra

    function = ray.remote(max_retries=0)(plain)
    begin = time.perf_counter()
    ray.get([function.remote(seconds) for _ in range(jobs)])
    return jobs / (time.perf_counter() - begin)


def rate_of_jobs(
    folder: Path, jobs: int, seconds: float, when_half_done: Callable[[], object] | None = None
) -> tuple[float, int]:
    """Return the rate, and how many were interrupted; none may be lost."""
    with AntQ(folder, queues={"default": QueueConfig(SLOTS)}) as app:
        app.queue("default").pause()
        ids = app.enqueue_many(Waits, ({"seconds": seconds} for _ in range(jobs)))
        begin = time.perf_counter()
        app.queue("default").resume()
        done = 0
        while done < jobs:
            done = app.count_jobs(status=Status.COMPLETED)
            if app.count_jobs(status=Status.FAILED):
                sys.exit("a job has failed")
            if when_half_done is not None and done >= jobs / 2:
                when_half_done()
                when_half_done = None
            time.sleep(0.005)
        took = time.perf_counter() - begin
        stored = app.list_jobs()
    if [job.id for job in stored] != ids or any(job.attempts != 1 for job in stored):
        sys.exit("a job was lost, or failed")
    return jobs / took, sum(job.interruptions for job in stored)


def main() -> None:
    """Measure, if Ray is there."""
    parser = argparse.ArgumentParser(description="What Ray costs and keeps.")
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--milliseconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if importlib.util.find_spec("ray") is None:
        print(
            "Ray is not installed, so there is nothing to measure: pip install 'antq-actors[ray]'"
        )
        return
    measure(options.jobs, options.milliseconds / 1000, options.rounds)


def measure(jobs: int, seconds: float, rounds: int) -> None:
    """Print all figures."""
    import ray  # noqa: PLC0415 - an extra
    from ray.cluster_utils import Cluster  # noqa: PLC0415

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    node = {"num_cpus": CPUS, "object_store_memory": 100_000_000, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    other = cluster.add_node(**node)
    ray.init(address=cluster.address, log_to_driver=False)
    with tempfile.TemporaryDirectory() as folder:
        store = (Path(folder, str(n)) for n in range(1000))
        rate_of_plain_tasks(4 * CPUS, seconds)  # so that the processes are there
        rate_of_jobs(next(store), 4 * CPUS, seconds)
        of_tasks = statistics.median(rate_of_plain_tasks(jobs, seconds) for _ in range(rounds))
        of_jobs = statistics.median(
            rate_of_jobs(next(store), jobs, seconds)[0] for _ in range(rounds)
        )
        print(f"{jobs} of {seconds * 1000:g} ms each, two nodes of {CPUS} CPUs, {SLOTS} slots")
        print(f"plain Ray tasks            {of_tasks:8.0f}/s")
        print(f"jobs, durable              {of_jobs:8.0f}/s")
        print(f"overhead per job           {1000 / of_jobs - 1000 / of_tasks:8.2f} ms")
        rate, interrupted = rate_of_jobs(
            next(store), jobs, seconds, lambda: cluster.remove_node(other, allow_graceful=False)
        )
        print(f"a node killed half-way     {rate:8.0f}/s, {interrupted} interrupted, none lost")
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()

"""Eight processes of a store, which are killed, and jobs with limits: are the limits kept?

    make limits KIND=over SECONDS=600
    make limits KIND=chains STARTS=10000
    make limits KIND=rates STARTS=100000

*over*: limits of one and of three at once, with twelve keys each. A reader counts what runs of each
key at each commit that it sees, and each job takes one of as many locks of the system. *chains*:
100 keys in strict order. *rates*: two keys with a hundred starts a second each; nobody is killed,
so that what a rate allows can be used. At last all jobs have to end, and the tables of the store
have to agree. Exits with 1 when anything was wrong, says what, and keeps the directory.
"""

import argparse
import math
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import journal
import limit_checker
import limit_jobs
from processes import NotInTimeError, ProcessUnderTest, limited_node, watch_limits

from antq_actors import ACTIVE, AntQ

KEYS = 12
CHAINS = 100
METERED = ("a", "b")
BACKLOG = 400
"""Jobs of each worker that wait at least."""
DRAINED_WITHIN = 300.0
"""Seconds."""


class LimitsSoak:
    """The processes, and the one that enqueues, observes and kills."""

    def __init__(
        self, directory: Path, *, processes: int, every: float, kills: float, seed: int
    ) -> None:
        self.findings: list[str] = []
        self.table: list[tuple[str, str]] = []
        self._directory = directory
        self._every = every
        self._most_kills = kills
        self._chance = random.Random(seed)
        self._nodes = [self._node(f"node {n}") for n in range(processes)]
        self._kills = 0

    def run(self, kind: str, seconds: float, starts: int) -> None:
        """Do it, and look at what came of it."""
        began = time.monotonic()
        try:
            for node in self._nodes:
                node.hear()
            with AntQ(self._directory / "store", start_queues=False) as app:
                if kind == "over":
                    self._over(app, seconds)
                elif kind == "chains":
                    self._chains(app, starts)
                else:
                    self._rates(app, starts)
                self._agree(app)
        except NotInTimeError as error:
            self.findings.append(str(error))
        finally:
            for node in self._nodes:
                node.kill()
        self.table = [
            ("seconds", f"{time.monotonic() - began:.0f}"),
            ("processes", f"{len(self._nodes)}"),
            ("kills", f"{self._kills}"),
            *self.table,
        ]

    # ---- what is done ---------------------------------------------------------------------

    def _over(self, app: AntQ, seconds: float) -> None:
        watcher = ProcessUnderTest("watcher", watch_limits, self._directory)
        try:
            for _ in self._killing(until=time.monotonic() + seconds):
                for worker in limit_jobs.LIMITED.values():
                    if app.count_jobs(worker=worker, status="enqueued") < BACKLOG:
                        app.enqueue_many(worker, [self._limited(worker) for _ in range(BACKLOG)])
            self._drained(app)
            watcher.tell("stop")
            seen, most = watcher.hear()
        finally:
            watcher.kill()
        over = [row for row in journal.rows(self._directory) if row.what == "over"]
        self.findings += [f"job {row.job}: no place was left of {row.limit}" for row in over]
        self.findings += [
            f"{most[limit]} ran at once where the limit is {limit}"
            for limit in most
            if most[limit] > limit
        ]
        found = limit_jobs.starts(self._directory)
        self.table += [
            ("starts", f"{sum(map(len, found.values()))}"),
            ("commits that were seen", f"{seen}"),
            *((f"  most at once, limit {limit}", f"{number}") for limit, number in most.items()),
            ("jobs without a place", f"{len(over)}"),
        ]

    def _limited(self, worker: type) -> dict[str, object]:
        limit = next(limit for limit, each in limit_jobs.LIMITED.items() if each is worker)
        return {
            "of": self._chance.randrange(KEYS),
            "limit": limit,
            "seconds": self._chance.uniform(0, 0.2),
            "fails": self._chance.random() < 0.1,
        }

    def _chains(self, app: AntQ, starts: int) -> None:
        jobs = [
            {
                "of": chain,
                "number": number,
                "seconds": self._chance.uniform(0, 0.1),
                "fails": self._chance.random() < 0.1,
            }
            for number in range(starts // CHAINS)
            for chain in range(CHAINS)
        ]
        app.enqueue_many(limit_jobs.InOrder, jobs)
        for _ in self._killing(until=time.monotonic() + DRAINED_WITHIN):
            if not app.count_jobs(status=ACTIVE):
                break
        self._drained(app)
        found = limit_jobs.starts(self._directory)
        chains = {chain: [int(each) for each in said] for chain, said in found.items()}
        self.findings += limit_checker.out_of_order(chains)
        self.table += [
            ("chains", f"{len(chains)}"),
            ("jobs", f"{len(jobs)}"),
            ("starts", f"{sum(map(len, chains.values()))}"),
            ("out of order", f"{len(limit_checker.out_of_order(chains))}"),
        ]

    def _rates(self, app: AntQ, starts: int) -> None:
        each_key = starts // len(METERED)
        jobs = [{"of": key} for _ in range(each_key) for key in METERED]
        app.enqueue_many(limit_jobs.Metered, jobs)
        self._drained(app, DRAINED_WITHIN + each_key / limit_jobs.PER_SECOND)
        allowed = limit_jobs.PER_SECOND + limit_jobs.BURST - 1
        rate = limit_jobs.PER_SECOND, limit_jobs.BURST
        for key, said in limit_jobs.starts(self._directory).items():
            times = [float(each) for each in said]
            most = limit_checker.most_in_a_span(times, 1.0)
            late = sorted(limit_checker.lateness(times, *rate))
            if most > allowed:
                self.findings.append(f"key {key}: {most} starts in a second, allowed {allowed}")
            self.table += [
                (f"starts of the key {key}", f"{len(times)}"),
                ("  most in a second", f"{most}, allowed {allowed}"),
                ("  of what is allowed", f"{limit_checker.share_used(times, *rate):.4f}"),
                ("  late, p50", f"{1000 * late[len(late) // 2]:.1f} ms"),
                ("  late, p99", f"{1000 * late[int(0.99 * len(late))]:.1f} ms"),
            ]

    # ---- processes ------------------------------------------------------------------------

    def _node(self, name: str) -> ProcessUnderTest:
        return ProcessUnderTest(name, limited_node, self._directory)

    def _killing(self, until: float) -> Iterator[None]:
        """Kill one process and start it anew, again and again; yield in between."""
        next_kill = time.monotonic() + self._every
        while (now := time.monotonic()) < until:
            if now >= next_kill and self._kills < self._most_kills:
                next_kill += self._every
                self._kill(self._chance.randrange(len(self._nodes)))
            time.sleep(0.01)
            yield

    def _kill(self, number: int) -> None:
        node = self._nodes[number]
        node.kill()
        if not node.was_killed:
            self.findings.append(f"{node.name} ended by itself: {node.errors()}")
        node.forget()
        self._kills += 1
        self._nodes[number] = self._node(f"node {number} after {self._kills} kills")

    def _drained(self, app: AntQ, seconds: float = DRAINED_WITHIN) -> None:
        if not app.wait_idle(timeout=seconds):
            left = app.count_jobs(status=ACTIVE)
            self.findings.append(f"{left} jobs have not ended after {seconds:.0f} s")

    def _agree(self, app: AntQ) -> None:
        self.findings += app.verify()
        self.table += [(f"jobs {status}", f"{n}") for status, n in sorted(_ended(app).items())]


def _ended(app: AntQ) -> dict[str, int]:
    return {status: app.count_jobs(status=status) for status in ("completed", "failed")}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kind", choices=("over", "chains", "rates"))
    parser.add_argument("--seconds", type=float, default=600.0, help="of over")
    parser.add_argument("--starts", type=int, default=10_000, help="jobs of chains and rates")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--every", type=float, default=0.58, help="seconds between two kills")
    parser.add_argument("--kills", type=float, default=math.inf, help="at most")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args(arguments)
    seed = random.randrange(10**6) if options.seed is None else options.seed
    directory = Path(tempfile.mkdtemp(prefix="antq-limits-"))
    journal.begin(directory, "soak")
    print(f"{options.kind}, seed {seed}, in {directory}", flush=True)
    soak = LimitsSoak(
        directory,
        processes=options.processes,
        every=options.every,
        kills=options.kills,
        seed=seed,
    )
    soak.run(options.kind, options.seconds, options.starts)
    for name, value in soak.table:
        print(f"{name:30}{value}")
    if not soak.findings:
        shutil.rmtree(directory)
        return 0
    print(f"\n{len(soak.findings)} findings; all is kept in {directory}")
    for finding in soak.findings[:20]:
        print(f"- {finding}")
    return 1


if __name__ == "__main__":
    sys.exit(main())

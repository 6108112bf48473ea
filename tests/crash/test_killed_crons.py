"""Processes that fire periodic entries are killed: each instant has one job all the same."""

import random
import time

from support.apps import Plain
from support.findings import findings

from antq_actors import AntQ, Every

NODE = """
import sys, time

began, faster = int(sys.argv[2]), int(sys.argv[3])
real = time.time_ns
time.time_ns = lambda: began + (real() - began) * faster
time.time = lambda: time.time_ns() / 1e9

from antq_actors import AntQ

with AntQ(sys.argv[1], queues={"default": 2}, retention=None):
    print("runs", flush=True)
    sys.stdin.read()
"""
"""Its clock goes faster than that of the system, like those of all others."""

FASTER = 60
PROCESSES = 4
KILLS = 12
NAMES = ("one", "two", "three")


def test_each_instant_has_one_job_however_often_processes_are_killed(program, tmp_path):
    path, began, chance = tmp_path / "store", time.time_ns(), random.Random(7)
    entry = Every(1, worker=Plain, missed="all", max_missed=100_000, overlap="allow")
    with AntQ(path, start_queues=False) as app:
        for name in NAMES:
            app.cron(name).set(entry)

    def node():
        started = program("-c", NODE, path, began, FASTER)
        assert started.line() == "runs"
        return started

    nodes = [node() for _ in range(PROCESSES)]
    for _ in range(KILLS):
        victim = chance.randrange(PROCESSES)
        nodes[victim].kill()
        nodes[victim] = node()
    for each in nodes:
        each.kill()

    with AntQ(path, start_queues=False) as app:
        planned = {name: [] for name in NAMES}
        for job in app.list_jobs():
            planned[job.cron].append(job.scheduled_for.timestamp())
        for info in app.crons():
            instants = planned[info.name]
            first, last = instants[0], int(info.last_at.timestamp())
            assert sorted(instants) == list(range(int(first), last + 1))
            assert len(instants) > FASTER
            assert (info.missed, info.skipped) == (0, 0)
        assert app.count_jobs() == sum(map(len, planned.values()))
    assert findings(path) == []

"""A process dies between any two steps of a job's path; then another one ends what it began."""

import time
from functools import partial

import crash_workers
import failpoints
import flow_checker
import flow_jobs
import journal
import pytest
from checker import Final, check
from processes import ACTIVE, HOWEVER_OFTEN, QUEUES, ProcessUnderTest, one_life
from support.apps import until

from antq_actors import AntQ
from antq_actors.storage.admin.verify import verify
from antq_actors.storage.jobs.reader import JobReader


@pytest.fixture
def play(tmp_path):
    players = []

    def start(name, **options):
        players.append(ProcessUnderTest(name, one_life, tmp_path, **options))
        return players[-1]

    yield start
    for each in players:
        each.kill()
        each.forget()


@pytest.mark.parametrize("name", failpoints.FAILPOINTS)
def test_whatever_step_a_process_dies_at_its_jobs_end_in_the_next(play, tmp_path, name):
    path, _, _ = name.partition(":")
    if path == "rescue":  # let there be a node to rescue, with a job that it was about to perform
        assert die_at("perform:before", play("earlier", armed=("perform:before",)), tmp_path)
    options = {"retention": 0.05} if path == "prune" else {}
    if path in ("entry", "cron"):
        options["crons"] = [flow_jobs.ENTRIES["of both"]]

    died = die_at(name, play("first", armed=(name,), **options), tmp_path)
    findings = end_in_another(tmp_path, pruned=path == "prune", crons=options.get("crons", ()))

    assert len(died) == 1
    assert findings == []


def die_at(name, player, directory):
    """Wait until it died at this very failpoint."""
    player.ended()
    assert player.was_killed, f"{name} was never reached; {player.errors()}"
    return [each for each in journal.rows(directory) if (each.what, each.detail) == ("died", name)]


def end_in_another(directory, *, pruned, crons=()):
    journal.begin(directory, "last")
    assert crash_workers.CrashWorker  # it is known here by its name
    options = {"retention": None, "max_interruptions": HOWEVER_OFTEN, "crons": crons}
    with AntQ(directory / "store", queues=QUEUES, **options) as app:
        store = app._runtime().store
        for entry in crons:
            until(partial(flow_jobs.has_fired, app, entry.name), "a job of the entry")
            until(partial(flow_jobs.pause, app, entry.name), "the pause of the entry")
        until(lambda: app.count_workers(status=ACTIVE) == 0, "the end of all jobs")
        until(lambda: len(store.read(JobReader.nodes)) == 1, "the rescue of the dead node")
        entries = flow_jobs.as_they_are(app)
        jobs = [Final.of(job) for job in app.list_workers()]
        broken = store.read(lambda reader: verify(reader._txn, reader._tables))
    rows, acknowledged = journal.rows(directory), journal.acknowledged(directory)
    broken += check(rows, acknowledged, {}, jobs, pruned=pruned)
    ahead = time.time() - time.monotonic()
    of_entries = flow_checker.planned(rows, jobs)
    for each in entries:
        broken += flow_checker.check_entry(each, of_entries[each.name], rows, {}, ahead)
    return broken


def test_a_failpoint_that_is_not_passed_kills_nobody(play, tmp_path):
    player = play("first", armed=("rescue:dead-known",))

    assert player.hear() == []
    assert player.ended() == 0
    assert end_in_another(tmp_path, pruned=False) == []

"""Rows of what running jobs report: opened, read and deleted only where there are any."""

from dataclasses import replace

import msgspec
import pytest
from support.stored_jobs import a_new_job

from antq_actors.jobs.control import Control, Progress, checked_progress
from antq_actors.jobs.outcome import COMPLETED
from antq_actors.queues import progress as of_queue
from antq_actors.queues.progress import LEAST_SECONDS, STORE_SECONDS, ReportedProgress
from antq_actors.queues.verdict import RunningAttempt
from antq_actors.storage.admin.resealing import reseal_all
from antq_actors.storage.admin.verify import verify
from antq_actors.storage.format.cipher import Cipher
from antq_actors.storage.format.encoding import Signer
from antq_actors.storage.format.records import Settlement
from antq_actors.storage.jobs import job_store
from antq_actors.storage.jobs.progress import LONGEST_NOTE, Reported
from antq_actors.storage.lmdb import keys


def run(env, count):
    """Return so many jobs that run on node 1."""

    def work(store):
        store.add_node(1)
        for _ in range(count):
            store.insert(a_new_job())
        return store.work("mail", [], node=1, limit=count, now=1).jobs

    return job_store.write(env, work)


def reported(env, job, progress):
    change = Reported(job.id, job.state.execution, progress)
    job_store.write(env, lambda store: store.set_progress([change]))


def ended(env, job):
    settlement = Settlement(job.id, job.state.execution, COMPLETED)
    job_store.write(env, lambda store: store.settle(settlement, now=2))


def stored(env, *jobs):
    executions = [(job.id, job.state.execution) for job in jobs]
    return job_store.read(env, lambda reader: reader.progress_of(executions))


def rows(env):
    return env.read(lambda txn: txn.stat(env.tables.further(txn, "progress"))["entries"])


def rescued(env, node):
    job_store.write(
        env, lambda store: store.rescue(node=node, now=5, max_interruptions=3, reason="it died")
    )


def test_what_a_killed_process_left_of_an_ended_job_goes_with_the_next_rescue(env):
    gone, stays = run(env, 2)
    for job in (gone, stays):
        reported(env, job, checked_progress(0.5, None))
    ended(env, gone)
    assert rows(env) == 2

    rescued(env, node=2)

    assert rows(env) == 1
    assert list(stored(env, gone, stays)) == [stays.id]


def test_a_rescue_deletes_what_the_jobs_of_its_node_have_reported(env):
    (job,) = run(env, 1)
    reported(env, job, checked_progress(0.5, None))

    rescued(env, node=1)

    assert rows(env) == 0


def test_a_deleted_job_leaves_no_row_although_its_attempt_goes_on(env):
    (job,) = run(env, 1)
    reported(env, job, checked_progress(0.5, None))

    job_store.write(env, lambda store: store.delete(job.id))
    reported(env, job, checked_progress(0.6, None))

    assert rows(env) == 0


@pytest.mark.parametrize("note", ["\ud800 and so on", "é" * LONGEST_NOTE])
def test_any_note_is_stored_and_a_long_one_is_cut(env, note):
    (job,) = run(env, 1)

    reported(env, job, checked_progress(0.5, note))

    shown = stored(env, job)[job.id].note
    assert len(shown.encode()) <= LONGEST_NOTE
    assert shown.startswith("\\ud800 and so on" if note[0] != "é" else "ééé")


def test_nothing_of_it_is_opened_for_jobs_that_report_nothing(env, monkeypatch):
    first, second = run(env, 2)
    opened = []
    monkeypatch.setattr(type(env.tables), "further", lambda self, txn, name: opened.append(name))

    assert stored(env, first, second) == {}
    assert job_store.read(env, lambda reader: reader.progress_in("mail")) == {}
    job_store.write(env, lambda store: store.delete(first.id))
    rescued(env, node=1)

    assert "progress" not in opened


class Clock:
    now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(of_queue, "time", clock)
    return clock


@pytest.fixture
def sent(monkeypatch):
    """The messages that queues have asked for, each with its delay."""
    sent = []
    monkeypatch.setattr(of_queue.timers, "send_soon", lambda *message: sent.append(message))
    return sent


def an_attempt(job):
    class Attempt:
        control = Control()

    Attempt.job = job
    return RunningAttempt(Attempt, None)


def test_a_job_is_written_once_a_second_with_what_it_said_last(env, clock, sent):
    (job,) = run(env, 1)
    running = an_attempt(job)
    reports = ReportedProgress("the queue")
    written = []
    for step in range(9):
        running.attempt.control.report(Progress(step / 100))
        changes = reports.take_changes([running])
        written.append([each.progress.fraction for each in changes])
        clock.now += LEAST_SECONDS / 4

    assert written == [[0.0], [], [], [], [0.04], [], [], [], [0.08]]


def test_a_job_that_reports_first_does_not_wait_for_others(env, clock, sent):
    first, second = map(an_attempt, run(env, 2))
    reports = ReportedProgress("the queue")
    first.attempt.control.report(Progress(0.1))
    reports.take_changes([first, second])
    clock.now += STORE_SECONDS
    for each in (first, second):
        each.attempt.control.report(Progress(0.2))

    (change,) = reports.take_changes([first, second])

    assert change.id == second.attempt.job.id


def test_what_was_refused_is_written_again_at_once(env, clock, sent):
    (job,) = run(env, 1)
    running = an_attempt(job)
    reports = ReportedProgress("the queue")
    running.attempt.control.report(Progress(0.1))
    changes = reports.take_changes([running])

    reports.lost()

    assert reports.take_changes([running]) == changes


def test_a_message_is_asked_for_once_and_again_if_none_has_come(clock, sent):
    reports = ReportedProgress("the queue")
    for _ in range(3):
        reports.on_report()
    assert [seconds for *_, seconds in sent] == [STORE_SECONDS]

    clock.now += 2 * STORE_SECONDS
    reports.on_report()

    assert len(sent) == 2


def found(env):
    return env.read(lambda txn: verify(txn, env.tables))


def put_row(env, key, row):
    env.write(lambda txn: txn.put(key, row, db=env.tables.further(txn, "progress")))


def test_what_a_queue_has_not_deleted_yet_is_no_finding(env):
    (job,) = run(env, 1)
    reported(env, job, checked_progress(0.5, "half"))
    assert found(env) == []

    ended(env, job)
    assert found(env) == []
    job_store.write(env, lambda store: store.delete(job.id))
    assert found(env) == []


@pytest.mark.parametrize(
    ("key", "row", "finding"),
    [
        (keys.job_key(1), b"\x00", "progress: what job 1 has reported is damaged on disk"),
        (b"page", b"\x00", "progress: b'page' is of no job"),
        (
            keys.job_key(1),
            msgspec.msgpack.encode([7, 0.5, None, 1]),
            "progress: execution 7 of job 1 has reported, and there was none",
        ),
    ],
)
def test_a_row_that_nothing_can_have_written_is_found_and_goes_with_the_next_rescue(
    env, key, row, finding
):
    run(env, 1)
    put_row(env, key, row)
    assert found(env) == [finding]

    rescued(env, node=2)

    assert found(env) == []
    assert rows(env) == 0


def test_a_reseal_encrypts_the_notes_and_writes_them_anew_under_the_first_key(env):
    old, new = b"o" * 32, b"n" * 32
    [job] = run(env, 1)
    reported(env, job, checked_progress(0.5, "secret note"))

    for given in ([old], [new, old]):
        reseal_all(env, Signer((), Cipher(given)))

        assert b"secret note" not in row_of(env, job)

    assert [each.note for each in stored(env, job).values()] == ["<encrypted>"]
    env.tables = replace(env.tables, cipher=Cipher([new]))
    assert [each.note for each in stored(env, job).values()] == ["secret note"]


def row_of(env, job):
    return env.read(
        lambda txn: txn.get(keys.job_key(job.id), db=env.tables.further(txn, "progress"))
    )

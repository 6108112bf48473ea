"""Batches, workflows and what is kept of jobs go out with these, and come in with them."""

import json
import signal
import subprocess
import sys

import pytest
from support.apps import settled, until

from antq_actors import (
    AlreadyExists,
    AntQ,
    BatchError,
    Fail,
    Job,
    NotRetryable,
    Result,
    Unique,
    Workflow,
    maintenance,
    worker,
)
from antq_actors.storage.admin import transfer
from antq_actors.storage.jobs.reader import JobReader

KEY = b"k" * 32
LONG = 60
HEAD = '{"antq_export":1}'
LOADED = []
FOLLOWED = []
TAKEN = []


@worker(queue="quick", result=True)
def number(n: int) -> int:
    return n


@worker(queue="slow", result=True)
def later(n: int) -> int:
    return n


@worker(queue="slow")
def add_up(numbers: list[int]) -> int:
    return sum(numbers)


@worker(queue="quick")
def refuse() -> Fail:
    return Fail("no")


@worker(queue="slow")
def report(event: str) -> None: ...


@worker(queue="slow", unique=Unique(args=["n"]))
def once(n: int) -> None: ...


@worker(queue="quick")
def grow(job: Job) -> None:
    flow = Workflow("part")
    flow.add(later, {"n": 7})
    job.expand(flow)


class Loads:
    """Notes when it is loaded."""

    def __init__(self, value=None):
        self.value = value

    def __reduce__(self):
        return _loaded, (self.value,)


def _loaded(value):
    LOADED.append(value)
    return Loads(value)


@worker(queue="quick", result=True)
def returns_what_tells() -> Loads:
    return Loads(3)


@worker(queue="quick", result=True)
def returns_none() -> None: ...


@worker(queue="quick", result=Result(ttl=3600))
def short_lived() -> str:
    return "soon gone"


@worker(queue="quick")
def takes_steps(job: Job) -> Fail | None:
    assert job.step("small", TAKEN.append, "first") is None
    assert len(job.step("large", "x".__mul__, 5_000)) == 5_000
    if job.error_count == 0:
        job.step("tells", Loads, 3)
        job.checkpoint({"row": 7}, every=0)
        return Fail("at first")
    assert job.checkpointed == {"row": 7}
    job.step("another", TAKEN.append, "third")
    return None


@worker(queue="quick")
def follows(job: Job) -> None:
    job.follow_up(report, {"event": "after"}, after=FOLLOWED.pop())


QUEUES = {"quick": 2, "slow": 2}


@pytest.fixture(params=[False, True], ids=["unsigned", "signed"])
def signed(request, tmp_path):
    """The options of an application with signing keys, or without."""
    if not request.param:
        return {}
    (tmp_path / "keys").write_bytes(KEY)
    (tmp_path / "keys").chmod(0o600)
    return {"signing_key_file": tmp_path / "keys"}


@pytest.fixture
def source(tmp_path, signed):
    with AntQ(tmp_path / "source", queues=QUEUES, **signed) as app:
        app.queue("slow").pause()
        yield app


@pytest.fixture
def target(tmp_path, signed):
    with AntQ(tmp_path / "target", queues=QUEUES, **signed) as app:
        app.queue("slow").pause()
        yield app


@pytest.fixture(params=[0, 5], ids=["empty", "in use"])
def others(request, target):
    """How many jobs were there before, so that what comes in gets other ids."""
    target.enqueue_many(later, [{"n": each} for each in range(request.param)])
    return request.param


def exported(app):
    assert app.verify() == []
    return list(app.export_jobs())


def goes_on(app):
    """Let what was imported run to its end."""
    assert app.verify() == []
    app.queue("slow").resume()
    assert app.wait_idle(timeout=LONG)
    assert app.verify() == []


def a_workflow(app):
    flow = Workflow("sums", key="monday")
    first = flow.add(number, {"n": 1})
    rest = flow.add_many(later, [{"n": 2}, {"n": 3}], after=first)
    last = flow.add(add_up, {"numbers": rest.outputs}, after=rest)
    flow.add(report, {"event": "failed"}, after=first, on="failure")
    run = app.start_workflow(flow, output=last)
    until(lambda: app.count_jobs(status="completed") == 1, "the first node")
    return run


def test_a_workflow_goes_on_in_another_store(source, target, others):
    run = a_workflow(source)
    before = [(job.worker, job.status) for job in run.jobs()]
    lines = exported(source)

    assert target.import_jobs(lines) == (5, 0)

    (copy,) = target.workflows()
    assert copy.id == run.id + others
    assert (copy.name, copy.key, copy.incomplete) == ("sums", "monday", 0)
    assert [(job.worker, job.status) for job in copy.jobs()] == before
    flow = Workflow("sums", key="monday")
    flow.add(number, {"n": 1})
    with pytest.raises(AlreadyExists):
        target.start_workflow(flow)
    goes_on(target)
    assert copy.result(LONG) == 5
    assert not copy.status().open
    assert len(exported(target)) == len(lines) + others


def test_what_was_cut_off_stays_so_until_its_upstream_is_retried(source, target, others):
    flow = Workflow("cut")
    first = flow.add(refuse, {})
    second = flow.add(later, {"n": 1}, after=first)
    flow.add(later, {"n": 2}, after=second)
    source.start_workflow(flow)
    until(lambda: source.count_jobs(status="cancelled") == 2, "the end of the others")

    target.import_jobs(exported(source))

    (copy,) = target.workflows()
    assert not copy.status().open
    failed, *cut = copy.jobs()
    assert target.verify() == []
    with pytest.raises(NotRetryable, match=str(failed.id)):
        target.retry_job(cut[1])
    target.queue("quick").pause()
    target.retry_job(failed)
    until(lambda: target.count_jobs(status="suspended") == 2, "the others to wait again")
    assert target.verify() == []


def test_a_job_that_expanded_ends_with_its_part(source, target, others):
    flow = Workflow("grows")
    first = flow.add(grow, {})
    flow.add(report, {"event": "end"}, after=first)
    run = source.start_workflow(flow)
    until(lambda: source.count_jobs(status="completed") == 1, "the expansion")
    assert [str(job.status) for job in run.jobs()] == ["completed", "suspended", "enqueued"]

    target.import_jobs(exported(source))

    (copy,) = target.workflows()
    assert [str(job.status) for job in copy.jobs()] == ["completed", "suspended", "enqueued"]
    goes_on(target)
    assert target.count_jobs(status="completed") == 3 + others


def test_a_batch_fires_what_it_has_not_fired_yet(source, target, others):
    calls = {f"on_{event}": report.build(event=event) for event in ("failure", "complete")}
    with source.batch("rows", **calls) as batch:
        batch.enqueue(refuse)
        batch.enqueue_many(later, [{"n": 1}, {"n": 2}])
        with batch.batch("inner", on_success=report.build(event="inner")) as inner:
            inner.enqueue(later, {"n": 3})
        gone = batch.enqueue(later, {"n": 4})
    until(lambda: source.count_jobs(worker=report) == 1, "the failure")
    source.delete_job(gone)

    target.import_jobs(exported(source))

    outer, within = target.batches()
    assert (outer.id, outer.name, within.name) == (batch.id + others, "rows", "inner")
    assert outer.status() == batch.status()
    assert [job.args["event"] for job in target.list_jobs(worker=report)] == ["failure"]
    goes_on(target)
    status = outer.wait(LONG)
    assert (status.total, status.completed, status.failed, status.cancelled) == (5, 3, 1, 1)
    events = [job.args["event"] for job in target.list_jobs(worker=report)]
    assert sorted(events) == ["complete", "failure", "inner"]


def test_a_batch_is_kept_for_callbacks_that_have_come_with_it(source, target, others):
    calls = {
        "on_success": report.build(event="all"),
        "on_complete": returns_what_tells.build(),
    }
    with source.batch("done", **calls) as batch:
        pass
    until(lambda: source.count_jobs(worker=returns_what_tells, status="completed"), "the callback")

    target.import_jobs(exported(source))

    def counted(app, id_):
        group = app._runtime().store.read(JobReader.batch, id_).group
        return group.callbacks_left, group.callback_ended_at

    assert counted(target, batch.id + others) == counted(source, batch.id)
    assert counted(source, batch.id)[0] == 1
    goes_on(target)
    assert counted(target, batch.id + others)[0] == 0


def test_a_batch_that_has_ended_stays_ended(source, target, others):
    with source.batch("done", on_success=report.build(event="all")) as batch:
        batch.enqueue_many(number, [{"n": 1}, {"n": 2}])
    status = batch.wait(LONG)

    target.import_jobs(exported(source))

    (copy,) = target.batches(open=False)
    assert copy.status() == status
    assert list(copy.results()) == [1, 2]
    assert target.count_jobs(worker=report) == 1
    assert exported(target)[1:][:3] == exported(source)[1:][:3] or others


@pytest.mark.parametrize("abandoned", ["keep", "cancel"])
def test_a_batch_that_is_not_closed_stays_open_or_is_cancelled(source, target, others, abandoned):
    batch = source.batch("open", abandoned=abandoned)
    batch.enqueue(later, {"n": 1})

    target.import_jobs(exported(source))

    (copy,) = target.batches()
    assert copy.status().open == (abandoned == "keep")
    assert copy.status().cancelled == (abandoned == "cancel")
    copy.close()
    goes_on(target)
    assert not copy.status().open


def test_results_come_along_and_nothing_is_loaded_on_the_way(source, target, others):
    kept = settled(source, source.enqueue(number, {"n": 5}))
    settled(source, source.enqueue(returns_what_tells))
    settled(source, source.enqueue(short_lived, {}))
    settled(source, source.enqueue(returns_none))
    LOADED.clear()

    target.import_jobs(exported(source))

    assert LOADED == []
    found = target.list_jobs(queue="quick")
    assert found[0].id == kept.id + others
    assert found[0].result(0) == 5
    assert LOADED == []
    assert found[1].result(0).value == 3
    assert LOADED == [3]
    assert found[2].result(0) == "soon gone"
    assert found[3].result(0) is None
    assert target.verify() == []


def test_steps_and_checkpoints_come_along(source, target, others):
    stepped = source.enqueue(takes_steps, max_attempts=1)
    settled(source, stepped, "failed")
    lines = exported(source)
    TAKEN.clear()
    LOADED.clear()

    target.import_jobs(lines)

    (copy,) = target.list_jobs(worker=takes_steps)
    assert target.verify() == []
    assert LOADED == []
    target.retry_job(copy)
    assert settled(target, copy).status == "completed"
    assert TAKEN == ["third"]
    assert target.verify() == []


def test_a_follow_up_waits_for_its_job(source, target, others):
    FOLLOWED.append(source.enqueue(later, {"n": 1}))
    settled(source, source.enqueue(follows))

    target.import_jobs(exported(source))

    assert target.count_jobs(status="suspended") == 1
    goes_on(target)
    assert target.count_jobs(worker=report, status="completed") == 1


def test_jobs_alone_belong_to_no_group_and_wait_for_nothing_that_is_not_there(
    source, target, others
):
    a_workflow(source)
    source.batch("open").enqueue(later, {"n": 1})
    lines = list(source.export_jobs(status=["suspended", "enqueued"]))
    assert not any("antq_group" in json.loads(line) for line in lines)

    target.import_jobs(lines)

    assert target.workflows() == []
    assert target.batches() == []
    assert target.verify() == []
    assert target.count_jobs(status="suspended") == 0
    goes_on(target)


def test_a_duplicate_that_is_left_out_cuts_off_what_waits_for_it(source, target, others):
    flow = Workflow("once")
    first = flow.add(once, {"n": 1})
    flow.add(report, {"event": "end"}, after=first)
    source.start_workflow(flow)
    target.enqueue(once, {"n": 1})

    assert target.import_jobs(exported(source)) == (1, 1)

    (copy,) = target.workflows()
    assert [str(job.status) for job in copy.jobs()] == ["cancelled"]
    assert not copy.status().open
    assert target.verify() == []


def test_an_import_that_ends_early_leaves_no_job_suspended_and_no_group_open(
    source, target, others
):
    a_workflow(source)
    lines = exported(source)
    at = next(i for i, line in enumerate(lines) if json.loads(line).get("status") == "enqueued")

    with pytest.raises(BatchError):
        target.import_jobs([*lines[:at], b"{}", *lines[at:]])

    assert target.verify() == []
    goes_on(target)
    assert target.count_jobs(status="suspended") == 0


def test_an_import_whose_lines_cannot_be_read_to_the_end_leaves_no_group_open(
    source, target, others
):
    a_workflow(source)
    lines = exported(source)

    def read():
        yield from lines[:-2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        target.import_jobs(read())

    (copy,) = target.workflows()
    assert copy.incomplete == 0
    assert target.verify() == []
    goes_on(target)
    assert not copy.status().open


def test_an_import_that_died_is_told_by_verify_and_what_it_left_can_be_cancelled(
    source, target, others, monkeypatch
):
    run = a_workflow(source)
    batch = source.batch("rows")
    with batch.batch("inner") as inner:
        inner.enqueue(later, {"n": 1})
    batch.close()
    lines = exported(source)
    monkeypatch.setattr(transfer, "_BATCH", 3)
    monkeypatch.setattr(transfer._Intake, "end", lambda *_: None)
    target.import_jobs(lines)
    monkeypatch.undo()

    told = [finding for finding in target.verify() if "has not come in whole" in finding]
    assert [int(finding.split()[1]) for finding in told] == [run.id + others, batch.id + others]
    (copy,) = target.workflows(open=True)
    assert copy.incomplete
    assert not target.batches(open=True)[0].status().closed
    copy.cancel()
    target.get_batch(batch.id + others).cancel()

    assert until(lambda: not copy.status().open and not target.batches(open=True), "the ends")
    assert target.verify() == []
    goes_on(target)


KILLED_AFTER = """
import os, signal, sys
from antq_actors import AntQ
from antq_actors.storage.admin import transfer
from antq_actors.storage.client import StorageClient
from antq_actors.storage.jobs.job_store import JobStore

path, key_file, lines, left = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
transfer._BATCH = 3
write = StorageClient.write
of_imports = JobStore.import_jobs, JobStore.tie_loose, JobStore.end_groups, JobStore.forget_import

def counted(self, verb, *args, **options):
    global left
    found = write(self, verb, *args, **options)
    left -= verb in of_imports
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return found

StorageClient.write = counted
keys = {"signing_key_file": key_file} if key_file else {}
with AntQ(path, queues={"quick": 2, "slow": 2}, **keys).start(queues=False) as app:
    with open(lines, "rb") as file:
        print(app.import_jobs(file).stored)
"""


def killed_import(target, signed, lines, file, writes):
    """Import lines in another process, which kills itself behind so many transactions of it."""
    file.write_text("".join(f"{line}\n" for line in map(bytes.decode, lines)))
    key_file = str(signed.get("signing_key_file", ""))
    command = [sys.executable, "-c", KILLED_AFTER, str(target.path), key_file, file, str(writes)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LONG, check=False)  # noqa: S603 - our own


@pytest.mark.parametrize("writes", [1, 2, 4, 6, 7, 8])
def test_an_import_that_was_killed_goes_on_when_the_same_lines_are_imported(  # noqa: PLR0917 - fixtures
    source, target, others, signed, tmp_path, monkeypatch, writes
):
    run = a_workflow(source)
    batch = source.batch("rows", on_complete=report.build(event="complete"))
    with batch.batch("inner") as inner:
        inner.enqueue_many(later, [{"n": n} for n in range(4)])
    batch.close()
    source.enqueue(grow)
    assert until(lambda: source.count_jobs(worker=grow, status="completed"), "the part")
    jobs = source.count_jobs()
    lines = exported(source)

    killed = killed_import(target, signed, lines, tmp_path / "lines", writes)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    monkeypatch.setattr(transfer, "_BATCH", 2)  # of another release
    imported = target.import_jobs(lines)

    assert (imported.stored, imported.duplicates) == (jobs, 0)
    assert target.count_jobs() == others + jobs
    assert target._runtime().store.read(JobReader.imports) == []
    copy = target.get_workflow(run.id + others)
    assert not copy.incomplete
    goes_on(target)
    assert copy.result(timeout=LONG) == 5
    assert len(target.list_jobs(worker=report, args={"event": "complete"})) == 1
    assert target.get_batch(batch.id + others).status().completed == 1


def test_an_import_of_other_lines_leaves_one_that_was_killed_as_it_is(
    source, target, signed, tmp_path
):
    a_workflow(source)
    lines = exported(source)
    killed_import(target, signed, lines, tmp_path / "lines", 2)
    before = target.count_jobs()

    other = target.import_jobs([HEAD, *lines[2:]])

    assert target.count_jobs() == before + other.stored
    (left,) = target._runtime().store.read(JobReader.imports)
    assert len(left.parts) == 2
    assert target.import_jobs(lines).stored == source.count_jobs()
    assert target.count_jobs() == other.stored + source.count_jobs()
    assert target._runtime().store.read(JobReader.imports) == []


def test_the_same_lines_are_imported_twice_where_the_first_import_has_ended(source, target):
    source.enqueue_many(later, [{"n": n} for n in range(3)])
    lines = exported(source)

    assert target.import_jobs(lines).stored == target.import_jobs(lines).stored == 3

    assert target.count_jobs() == 6


def test_a_killed_import_that_another_process_goes_on_with_is_left_to_it(
    source, target, signed, tmp_path, monkeypatch
):
    a_workflow(source)
    lines = exported(source)
    killed_import(target, signed, lines, tmp_path / "lines", 2)
    store, seen = target._runtime().store, []

    def read():
        for number, line in enumerate(lines):
            if number == len(lines) - 1:
                seen.append(store.living_of([store.read(JobReader.imports)[0].head.holder]))
            yield line

    monkeypatch.setattr(transfer, "_BATCH", 3)
    target.import_jobs(read())

    assert len(seen[0]) == 1
    assert target.count_jobs() == source.count_jobs()


def test_names_of_what_comes_later_are_understood(source, target, others):
    a_workflow(source)
    head, *lines = exported(source)

    target.import_jobs([head, *reversed(lines)])

    goes_on(target)
    assert target.count_jobs(status="suspended") == 0


@pytest.mark.parametrize(
    "line",
    [
        '{"antq_group":0,"kind":0,"name":"x","created_at":"2026-01-01T00:00:00Z"}',
        '{"antq_group":1,"kind":9,"name":"x","created_at":"2026-01-01T00:00:00Z"}',
        '{"antq_group":1,"kind":0,"name":"x","created_at":"2026-01-01T00:00:00Z","gone":[1,-1,0,0]}',
        '{"antq_group":1,"kind":0,"name":"x","created_at":"2026-01-01T00:00:00Z","more":1}',
        '{"antq_group":1}',
    ],
)
def test_a_line_that_describes_no_group_is_refused(target, line):
    with pytest.raises(BatchError, match="line 2"):
        target.import_jobs([HEAD, line])
    assert target.batches() == []


def test_an_export_of_an_earlier_release_is_imported_as_before(target, others):
    line = (
        '{"id":3,"worker":"x:Y","queue":"slow","status":"enqueued","args":{"antq_group":1},'
        '"inserted_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}'
    )
    assert target.import_jobs([HEAD, line]) == (1, 0)
    assert target.verify() == []


def test_a_backup_and_a_compacted_store_have_all_of_it(source, tmp_path, signed):
    run = a_workflow(source)
    source.backup(tmp_path / "copy")
    source.stop()
    maintenance.compact(tmp_path / "source")
    maintenance.restore(tmp_path / "copy", tmp_path / "restored")

    for name in ("source", "restored"):
        with AntQ(tmp_path / name, queues=QUEUES, **signed) as app:
            goes_on(app)
            assert app.get_workflow(run.id).result(LONG) == 5


def test_a_store_is_signed_with_another_key(source, tmp_path, signed):
    run = a_workflow(source)
    with source.batch("rows", on_success=report.build(event="all")) as batch:
        batch.enqueue(later, {"n": 1})
    source.stop()
    (tmp_path / "new").write_bytes(b"n" * 32)
    (tmp_path / "new").chmod(0o600)

    maintenance.reseal(tmp_path / "source", [b"n" * 32])

    assert maintenance.verify(tmp_path / "source", signing_keys=[b"n" * 32]) == []
    with AntQ(tmp_path / "source", queues=QUEUES, signing_key_file=tmp_path / "new") as app:
        goes_on(app)
        assert app.get_workflow(run.id).result(LONG) == 5
        assert app.count_jobs(worker=report, status="completed") == 1

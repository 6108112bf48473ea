"""Batches: many jobs, and what is stored when all of them have ended."""

import asyncio
import copy
import pickle
import threading
from collections.abc import Iterator

import pytest
from support.apps import settled, until

from antq_actors import (
    AlreadyExists,
    AntQ,
    Batch,
    BatchClosed,
    BatchError,
    BatchNotFound,
    BatchStatus,
    Fail,
    Job,
    Status,
    Unique,
    UnknownQueue,
    maintenance,
    worker,
)
from antq_actors.jobs import current_app
from antq_actors.storage.jobs.job_store import JobStore

KEY = b"k" * 32
SECONDS = 60


@worker
def row(number: int) -> Fail | None:
    """Fail for a negative number."""
    return Fail("negative") if number < 0 else None


@worker(unique=Unique(args=["number"]))
def row_once(number: int) -> None:
    """Do nothing."""


@worker
def report(event: str) -> None:
    """Do nothing: that it is stored is what is looked at."""


@worker(max_attempts=1)
def fail_until_retried(job: Job) -> Fail | None:
    return Fail("first") if job.error_count == 0 else None


CALLBACKS = ("on_success", "on_complete", "on_failure")


def callbacks(**options):
    return {name: report.options(**options).build(event=name) for name in CALLBACKS}


def events(app):
    return [job.args["event"] for job in app.list_jobs(worker=report)]


def rows(*numbers):
    return [{"number": number} for number in numbers]


def test_a_batch_ends_when_all_of_its_members_have(app):
    with app.batch("import", **callbacks()) as batch:
        job = batch.enqueue(row, {"number": 1})
        ids = batch.enqueue_many(row, rows(2, 3))

    status = batch.wait(SECONDS)

    assert status == BatchStatus(
        total=3, ended=3, completed=3, failed=0, cancelled=0, closed=True, open=False
    )
    assert events(app) == ["on_success", "on_complete"]
    assert [each.id for each in batch.jobs()] == [job.id, *ids]


def test_the_first_member_that_fails_fires_failure_and_the_last_end_complete(app):
    with app.batch("import", **callbacks()) as batch:
        batch.enqueue_many(row, rows(-1, 1, -2))

    status = batch.wait(SECONDS)

    assert (status.completed, status.failed) == (1, 2)
    assert events(app) == ["on_failure", "on_complete"]
    assert len(batch.jobs("failed")) == 2
    assert len(batch.jobs([Status.COMPLETED, "failed"])) == 3


def test_members_run_before_the_batch_is_closed(app):
    batch = app.batch("import", **callbacks())
    settled(app, batch.enqueue(row, {"number": 1}))

    assert batch.status().open
    assert not batch.status().closed
    assert events(app) == []
    batch.close()
    batch.close()

    assert batch.wait(SECONDS).completed == 1
    assert events(app) == ["on_success", "on_complete"]


def test_an_empty_batch_ends_when_it_is_closed(app):
    with app.batch("import", **callbacks()) as batch:
        pass

    assert batch.wait(SECONDS).total == 0
    assert events(app) == ["on_success", "on_complete"]


def test_an_exception_in_the_block_leaves_the_batch_open(app):
    with pytest.raises(KeyError), app.batch("import") as batch:  # noqa: PT012 - the block
        batch.enqueue(row, {"number": 1})
        raise KeyError

    assert not batch.status().closed


def test_a_closed_batch_gets_no_members_from_outside(app):
    with app.batch("import") as batch:
        pass

    with pytest.raises(BatchClosed):
        batch.enqueue(row, {"number": 1})
    for numbers in ([1], []):
        with pytest.raises(BatchClosed):
            batch.enqueue_many(row, rows(*numbers))
    assert batch.status().total == 0


def test_a_batch_and_its_errors_are_found_by_number(app):
    one, two = app.batch("one"), app.batch("two")
    two.close()

    assert app.batches() == [one, two]
    assert app.batches(open=True) == [one]
    assert app.batches(open=False) == [two]
    found = app.get_batch(two.id)
    assert (found, found.name) == (two, "two")
    for number in (99, 0, -1, 2**64, 10**5_000):
        with pytest.raises(BatchNotFound, match=r"99|0|-1|\d+ bits"):
            app.get_batch(number)
    error = pickle.loads(pickle.dumps(BatchClosed("closed")))  # noqa: S301
    assert str(error) == "closed"


def test_what_is_wrong_with_a_batch_is_refused_where_it_is_made(app):
    stored = app.enqueue(row, {"number": 1})

    for wrong in ({"on_success": stored}, {"on_complete": report}, {"on_failure": "report"}):
        with pytest.raises(TypeError, match=next(iter(wrong))):
            app.batch("import", **wrong)
    with pytest.raises(TypeError, match="name"):
        app.batch(7)
    with pytest.raises(ValueError, match="name of a batch is text"):
        app.batch("\udcff")
    with pytest.raises(ValueError, match="abandoned"):
        app.batch("import", abandoned="forget")
    with pytest.raises(UnknownQueue):
        app.batch("import", on_success=report.options(queue="nowhere").build(event="x"))
    with pytest.raises(TypeError, match="open"):
        app.batches(open="yes")
    assert app.batches() == []


def test_duplicates_are_no_members(app):
    app.queue("default").pause()
    with app.batch("import", **callbacks()) as batch:
        first = batch.enqueue(row_once, {"number": 1})
        with pytest.raises(AlreadyExists):
            batch.enqueue(row_once, {"number": 1})
        ids = batch.enqueue_many(row_once, rows(1, 2, 2))
    app.queue("default").resume()

    assert batch.wait(SECONDS).total == 2
    assert [job.id for job in batch.jobs()] == [first.id, *ids]


@worker
def add_rows(numbers: list[int], job: Job) -> None:
    assert job.batch.name == "import"
    assert job.batch.enqueue(row, {"number": 0}) is None
    assert job.batch.enqueue_many(row, rows(*numbers)) is None


@worker(executor="process")
def add_rows_in_process(numbers: list[int], job: Job) -> None:
    add_rows(numbers, job)


@worker
async def add_rows_in_coroutine(numbers: list[int], job: Job) -> None:
    add_rows(numbers, job)


ADDERS = [add_rows, add_rows_in_process, add_rows_in_coroutine]


@pytest.mark.parametrize("adds", ADDERS)
def test_a_member_adds_members_with_its_completion(app, adds):
    with app.batch("import", **callbacks()) as batch:
        batch.enqueue(adds, {"numbers": [1, 2, 3]})

    assert batch.wait(SECONDS).total == 5
    assert events(app) == ["on_success", "on_complete"]


@worker(max_attempts=2)
def add_and_fail_once(job: Job) -> Fail | None:
    job.batch.enqueue(row, {"number": job.attempts})
    return Fail("once") if job.attempts == 1 else None


add_and_fail_once.calculate_delay = lambda job: 0.0


def test_what_an_attempt_that_failed_has_added_is_not_stored(app):
    with app.batch("import") as batch:
        batch.enqueue(add_and_fail_once)

    batch.wait(SECONDS)

    assert [job.args["number"] for job in app.list_jobs(worker=row)] == [2]


seen: list[tuple[str, Batch | None]] = []


@worker
def look(job: Job) -> None:
    seen.append((job.args and "member", job.batch))


def test_members_and_callbacks_know_their_batch(app):
    seen.clear()
    with app.batch("import", on_success=look.build()) as batch:
        batch.enqueue(look)
    batch.wait(SECONDS)

    until(lambda: len(seen) == 2, "the callback")
    plain = settled(app, app.enqueue(look))

    assert [found for _, found in seen] == [batch, batch, None]
    assert plain.batch is None
    assert app.get_job(batch.jobs()[0].id).batch == batch


@worker(executor="process", result=True)
def look_from_process(batch: int) -> list[str]:
    """Return which batch the members of one know, as a job process reads them."""
    app = AntQ(current_app.parent().path, queues={"default": 1})
    found = app.get_batch(batch).jobs()
    return [job.batch.name for job in (*found, app.get_job(found[0].id))]


def test_members_that_come_from_another_process_know_their_batch(app):
    app.queue("mail").pause()
    batch = app.batch("import")
    member = batch.enqueue(row, {"number": 1}, queue="mail")

    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(member, protocol)).batch == batch  # noqa: S301
    found = look_from_process.perform_async(batch=batch.id)

    assert found.result(timeout=SECONDS) == ["import", "import"]


def test_a_copied_job_knows_its_batch_and_its_application(app, tmp_path):
    batch = app.batch("import")
    member = batch.enqueue(row, {"number": 1})

    with AntQ(tmp_path / "other").start(queues=False):  # the one that was started last
        copied = copy.copy(member)
        assert copied == member
        assert copied.batch == batch


def test_a_batch_is_cancelled_with_all_that_waits(app):
    app.queue("default").pause()
    with app.batch("import", **callbacks()) as batch:
        batch.enqueue_many(row, rows(*range(20)))

    batch.cancel()
    batch.cancel()
    app.queue("default").resume()

    assert batch.wait(SECONDS).cancelled == 20
    assert events(app) == ["on_failure", "on_complete"]


def test_an_open_batch_that_is_cancelled_is_closed(app):
    batch = app.batch("import")

    batch.cancel()

    assert batch.status().closed
    with pytest.raises(BatchClosed):
        batch.enqueue(row, {"number": 1})


def test_members_that_failed_are_retried_and_counted_anew(app):
    with app.batch("import", **callbacks()) as batch:
        batch.enqueue_many(fail_until_retried, [{}, {}])
    assert batch.wait(SECONDS).failed == 2

    batch.retry_failed()

    assert batch.wait(SECONDS).completed == 2
    assert events(app) == ["on_failure", "on_complete", "on_success"]
    batch.retry_failed()
    assert batch.status().completed == 2


def test_a_batch_in_a_batch_counts_once(app):
    with app.batch("outer", **callbacks()) as outer:
        with outer.batch("inner") as inner:
            inner.enqueue_many(row, rows(1, -1))
        outer.enqueue(row, {"number": 1})

    status = outer.wait(SECONDS)

    assert (status.total, status.completed, status.failed) == (2, 1, 1)
    assert inner.status().total == 2
    assert events(app) == ["on_failure", "on_complete"]
    with pytest.raises(BatchClosed):
        outer.batch("late")


def test_a_wait_that_is_late_raises_timeout(app):
    batch = app.batch("import")

    with pytest.raises(TimeoutError, match="import"):
        batch.wait(0)
    for wrong in (-1, float("nan"), "soon"):
        with pytest.raises((TypeError, ValueError), match="timeout"):
            batch.wait(wrong)


@worker
def wait_for(batch: int, job: Job) -> None:
    with pytest.raises(ValueError, match="timeout"):
        current_app.current().get_batch(batch).wait()


def test_a_wait_in_perform_needs_a_timeout(app):
    batch = app.batch("import")

    assert settled(app, app.enqueue(wait_for, {"batch": batch.id})).status is Status.COMPLETED


def test_callbacks_are_taken_as_they_are_when_the_batch_is_made(app):
    events = ["before"]
    job = report.options(priority=5, max_attempts=7).build(event=events)
    batch = app.batch("import", on_success=job)
    events.append("after")
    batch.close()

    (callback,) = app.list_jobs(worker=report)
    assert callback.args == {"event": ["before"]}
    assert (callback.priority, callback.max_attempts) == (5, 7)


def test_a_program_without_queues_makes_a_batch_that_others_run(tmp_path):
    with AntQ(tmp_path).start(queues=False) as app, app.batch("import", **callbacks()) as batch:
        batch.enqueue_many(row, rows(1, 2))

    with AntQ(tmp_path, queues={"default": 2}) as app:
        assert app.get_batch(batch.id).wait(SECONDS).completed == 2
        assert app.verify() == []


def test_a_bad_item_is_named_and_those_before_it_are_members(app):
    batch = app.batch("import")

    with pytest.raises(BatchError) as refused:
        batch.enqueue_many(row, [*rows(1, 2), {"nonsense": 3}])

    assert refused.value.index == 2
    assert [job.id for job in batch.jobs()] == refused.value.ids


member_ended = threading.Event()
added: list[list[int] | None] = []


@worker
def adds_when_over(job: Job) -> None:
    """Have a thread add members, of which the first comes when this member has ended."""
    batch = job.batch

    def late() -> Iterator[dict[str, int]]:
        begun.set()
        member_ended.wait()
        yield {"number": 1}

    begun = threading.Event()
    thread = threading.Thread(target=lambda: added.append(batch.enqueue_many(row, late())))
    thread.start()
    begun.wait()


def test_members_that_a_thread_adds_when_its_own_has_ended_are_stored_at_once(app):
    member_ended.clear()
    added.clear()
    batch = app.batch("import")
    member = settled(app, batch.enqueue(adds_when_over))
    member_ended.set()

    (ids,) = until(lambda: added)
    assert [job.id for job in batch.jobs()] == [member.id, *ids]
    batch.close()
    assert batch.wait(SECONDS).completed == 2


@worker(executor="process")
def makes_batch(batch: int) -> None:
    """Add two rows and what is none to a batch, from a process that has its parent's."""
    app = AntQ(current_app.parent().path, queues={"default": 1})
    with pytest.raises(BatchError) as refused:
        app.get_batch(batch).enqueue_many(row, [*rows(1, 2), {"nonsense": 3}])
    assert (refused.value.index, len(refused.value.ids)) == (2, 2)
    with pytest.raises(UnknownQueue):
        app.get_batch(batch).enqueue_many(row, [], queue="nowhere")


def test_a_bad_item_is_named_in_another_process_and_those_before_it_are_members(app):
    batch = app.batch("import")

    done = settled(app, makes_batch.perform_async(batch=batch.id))

    assert (done.status, done.errors) == (Status.COMPLETED, ())
    assert batch.status().total == 2


@worker
def adds_wrongly(job: Job) -> None:
    """Add members that cannot be stored, in ways that each call says at once."""
    for items in (rows(1), []):
        with pytest.raises(UnknownQueue):
            job.batch.enqueue_many(row, items, queue="nowhere")
    with pytest.raises(BatchError, match=r"item 0 .*ZeroDivisionError|item 0 .*division"):
        job.batch.enqueue_many(row, (1 // each for each in [0]))


def test_what_is_wrong_with_members_is_refused_in_a_member_as_outside(app):
    with app.batch("import") as batch:
        batch.enqueue(adds_wrongly)

    assert batch.wait(SECONDS).completed == batch.status().total == 1


def test_no_verb_finds_a_batch_that_was_pruned(app):
    with app.batch("import") as batch:
        pass
    app._running.store.write(JobStore.prune, finished_before=2**62, limit=10)

    for verb in (batch.status, batch.close, batch.cancel, batch.retry_failed, batch.jobs):
        with pytest.raises(BatchNotFound):
            verb()


@pytest.mark.parametrize(("abandoned", "is_closed"), [("keep", False), ("cancel", True)])
def test_a_batch_is_abandoned_when_its_application_stops(tmp_path, abandoned, is_closed):
    with AntQ(tmp_path).start(queues=False) as app:
        batch = app.batch("import", abandoned=abandoned)
        batch.enqueue_many(row, rows(1, 2))

    with AntQ(tmp_path).start(queues=False) as app:
        status = app.get_batch(batch.id).status()
        assert status.closed is is_closed
        assert status.cancelled == (2 if is_closed else 0)
        assert app.nodes() == []


def test_callbacks_are_signed_again_with_the_jobs(tmp_path):
    path, key_file = tmp_path / "store", tmp_path / "key"
    key_file.write_bytes(KEY)
    key_file.chmod(0o600)
    with AntQ(path).start(queues=False) as app:
        batch = app.batch("import", on_complete=report.build(event="on_complete"))

    maintenance.reseal(path, [KEY])

    assert maintenance.verify(path, signing_keys=[KEY]) == []
    with AntQ(path, queues={"default": 1}, signing_key_file=key_file) as app:
        app.get_batch(batch.id).close()
        (callback,) = app.list_jobs(worker=report)
        assert settled(app, callback).status is Status.COMPLETED


def test_a_process_without_the_key_stores_callbacks_that_others_run(tmp_path):
    path, key_file = tmp_path / "store", tmp_path / "key"
    key_file.write_bytes(KEY)
    key_file.chmod(0o600)
    with AntQ(path, signing_key_file=key_file).start(queues=False) as app:
        batch = app.batch("import", on_complete=report.build(event="on_complete"))
    with AntQ(path).start(queues=False) as app:
        app.get_batch(batch.id).close()

    with AntQ(path, queues={"default": 1}, signing_key_file=key_file) as app:
        (callback,) = app.list_jobs(worker=report)
        assert settled(app, callback).status is Status.COMPLETED


@worker(max_attempts=1)
async def in_a_coroutine(batch: int, job: Job) -> None:
    found = current_app.current().get_batch(batch)
    added = await found.aenqueue(row, {"number": 1})
    ids = await found.aenqueue_many(row, rows(2, 3))
    assert [each.id for each in await found.ajobs()] == [added.id, *ids]
    await found.aclose()
    await found.acancel()
    await found.aretry_failed()
    assert (await found.astatus()).closed


def test_coroutines_have_twins_of_the_methods(app):
    batch = app.batch("import")

    job = settled(app, app.enqueue(in_a_coroutine, {"batch": batch.id}))

    assert job.status is Status.COMPLETED, job.errors
    assert batch.wait(SECONDS).total == 3


@worker(result=True)
def square(number: int) -> int | Fail:
    return Fail("negative") if number < 0 else number**2


def test_results_of_completed_members_come_in_the_order_of_ids(app):
    with app.batch("import") as batch:
        batch.enqueue_many(square, rows(3, -1, 2))
        batch.enqueue(row, {"number": 1})
        batch.enqueue(square, {"number": 1})
    assert list(app.batch("empty").results()) == []

    batch.wait(SECONDS)

    assert list(batch.results()) == [9, 4, 1]
    assert list(batch.results()) == [9, 4, 1]


@worker(executor="process", result=True)
def sum_of(batch: int, job: Job) -> int:
    assert current_app.parent() is not None
    return sum(job.batch.results())


def test_a_callback_in_a_job_process_reads_the_results(app):
    with app.batch("import", on_success=sum_of.build(batch=0)) as batch:
        batch.enqueue_many(square, rows(3, 2))
    batch.wait(SECONDS)

    (callback,) = app.list_jobs(worker=sum_of)

    assert callback.result(timeout=SECONDS) == 13


def test_results_that_are_not_kept_are_left_out(app):
    with app.batch("import") as batch:
        first = batch.enqueue(square, {"number": 2})
        batch.enqueue(square, {"number": 3})
    batch.wait(SECONDS)

    app.delete_job(first)

    assert list(batch.results()) == [9]


@pytest.mark.parametrize("name", ["", "\ud800"])
def test_a_batch_has_a_name_of_at_least_one_character(app, name):
    batch = app.batch("import")

    for make in (app.batch, batch.batch):
        with pytest.raises(ValueError, match="name of a batch is text"):
            make(name)
    assert app.batches() == [batch]


def test_the_number_of_a_batch_is_that_of_no_job(app):
    batch = app.batch("import")
    job = app.enqueue(row, {"number": 1}, schedule_in=3600)

    assert app.wait([batch.id, job], timeout=0) == ([], [job])
    assert app.wait([batch.id], timeout=SECONDS) == ([], [])
    assert asyncio.run(app.wait_async([batch.id], timeout=SECONDS)) == ([], [])
    with pytest.raises(TimeoutError):
        batch.wait(timeout=0)


@pytest.mark.parametrize(("abandoned", "error"), [(1, TypeError), ("delete", ValueError)])
def test_what_becomes_of_an_abandoned_batch_is_checked(app, abandoned, error):
    with pytest.raises(error, match="abandoned must be 'keep' or 'cancel'"):
        app.batch("import", abandoned=abandoned)
    assert app.batches() == []

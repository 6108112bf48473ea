"""Steps and checkpoints: what an execution of a job has kept is there in the next one."""

import asyncio
import copy
import os
import pickle
import threading
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from support.apps import settled, until

from antq_actors import (
    AntQ,
    Cancel,
    DuplicateStep,
    Fail,
    Job,
    Snooze,
    Status,
    StepError,
    Superseded,
    errors,
    otp,
    worker,
)
from antq_actors.jobs import steps
from antq_actors.jobs.steps import ListSteps

MIB = 2**20


@pytest.fixture
def journal(tmp_path):
    """A file in which jobs write a line for each thing that they do, in any process."""
    file = tmp_path / "journal"
    file.touch()
    return file


def note(journal: str, line: object) -> object:
    with Path(journal).open("a") as file:
        file.write(f"{line}\n")
    return line


async def note_soon(journal: str, line: object) -> object:
    return note(journal, line)


def names_of(app, job):
    return [step.name for step in app.antq_steps(ListSteps(job.id))]


class Odd(Exception):
    """Raised by jobs on purpose."""


# ---- steps ----------------------------------------------------------------------------------


def three_steps(job: Job, journal: str) -> None:
    assert job.step("one", note, journal, "one") == "one"
    value = job.step("two", note, journal, line=("two", job.attempts))
    assert value == ("two", 1)
    assert isinstance(value, tuple)
    if job.attempts < 3:
        raise Odd
    assert job.step("three", note, journal, "three") == "three"


@worker(max_attempts=3, retry_delay=0)
def in_thread(journal: str, job: Job) -> None:
    three_steps(job, journal)


@worker(max_attempts=3, retry_delay=0, executor="process")
def in_process(journal: str, job: Job) -> None:
    three_steps(job, journal)


@worker(max_attempts=3, retry_delay=0)
async def in_coroutine(journal: str, job: Job) -> None:
    assert await job.astep("one", note_soon, journal, "one") == "one"
    assert await job.astep("two", note_soon, journal, line=("two", job.attempts)) == ("two", 1)
    if job.attempts < 3:
        raise Odd
    assert await job.astep("three", note_soon, journal, "three") == "three"


@pytest.mark.parametrize("performed", [in_thread, in_coroutine, in_process])
def test_a_step_that_was_kept_is_not_run_by_later_executions(app, journal, performed):
    job = settled(app, app.enqueue(performed, {"journal": str(journal)}))

    assert job.status is Status.COMPLETED
    assert journal.read_text() == "one\n('two', 1)\nthree\n"
    assert names_of(app, job) == ["one", "two", "three"]
    assert app.verify() == []


VALUES = [None, 0, "text", b"x" * 5_000, [1, {"a": (2, {3})}], timedelta(1), Counter("aab")]


@worker(max_attempts=2, retry_delay=0)
def keep_values(job: Job) -> None:
    values = [job.step(str(number), copy.copy, value) for number, value in enumerate(VALUES)]
    assert values == VALUES
    assert [type(each) for each in values] == [type(each) for each in VALUES]
    if job.attempts == 1:
        raise Odd


def test_a_kept_value_is_what_the_function_returned_in_its_type_too(app):
    assert settled(app, app.enqueue(keep_values)).status is Status.COMPLETED


@worker(max_attempts=2, retry_delay=0)
def change_its_steps(journal: str, job: Job) -> None:
    for name in ("a", "b") if job.attempts == 1 else ("c", "b"):
        job.step(name, note, journal, name)
    if job.attempts == 1:
        raise Odd


def test_unknown_names_run_and_forgotten_ones_are_ignored(app, journal):
    job = settled(app, app.enqueue(change_its_steps, {"journal": str(journal)}))

    assert job.status is Status.COMPLETED
    assert journal.read_text() == "a\nb\nc\n"
    assert names_of(app, job) == ["a", "b", "c"]


@worker(max_attempts=2, retry_delay=0)
def fail_in_a_step(journal: str, job: Job) -> None:
    def fail_once():
        note(journal, job.attempts)
        if job.attempts == 1:
            raise Odd("in the step")

    job.step("a", fail_once)


def test_what_a_step_raises_is_raised_and_nothing_is_kept(app, journal):
    job = settled(app, app.enqueue(fail_in_a_step, {"journal": str(journal)}))

    assert job.status is Status.COMPLETED
    assert [error.error for error in job.errors] == ["in the step"]
    assert journal.read_text() == "1\n2\n"


@worker(max_attempts=2, retry_delay=0)
def take_twice(journal: str, job: Job) -> None:
    job.step("a", note, journal, "a")
    with pytest.raises(DuplicateStep, match="'a'"):
        job.step("a", note, journal, "again")
    if job.attempts == 1:
        raise Odd


@worker
async def take_twice_in_coroutine(journal: str, job: Job) -> None:
    await job.astep("a", note_soon, journal, "a")
    with pytest.raises(DuplicateStep, match="'a'"):
        await job.astep("a", note_soon, journal, "again")


@pytest.mark.parametrize("performed", [take_twice, take_twice_in_coroutine])
def test_the_same_name_twice_in_one_execution_is_refused_before_the_function(
    app, journal, performed
):
    job = settled(app, app.enqueue(performed, {"journal": str(journal)}))

    assert job.status is Status.COMPLETED, job.errors
    assert journal.read_text() == "a\n"


@worker
def take_in_threads(job: Job) -> None:
    refused: list[Exception] = []
    together = threading.Barrier(8)

    def take(number: int) -> None:
        together.wait()
        job.step(f"own {number}", lambda: number)
        try:
            job.step("shared", lambda: number)
        except DuplicateStep as error:
            refused.append(error)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(refused) == 7


def test_threads_of_a_job_take_steps_side_by_side(app):
    job = settled(app, app.enqueue(take_in_threads))

    assert job.status is Status.COMPLETED, job.errors
    assert sorted(names_of(app, job)) == [*(f"own {number}" for number in range(8)), "shared"]
    assert app.verify() == []


async def a_coroutine() -> None:
    pass


REFUSED = [
    (("", len, ""), ValueError, "empty"),
    ((7, len, ""), TypeError, "7"),
    ((None, len, ""), TypeError, "None"),
    (("a", 7), TypeError, "function"),
    (("b", a_coroutine), TypeError, "astep"),
    (("large", bytes, 2 * MIB), StepError, "'large'.*1,048,576"),
    (("lock", threading.Lock), StepError, "'lock'"),
]


@worker
def ask_for_nonsense(number: int, job: Job) -> None:
    arguments, error, named = REFUSED[number]
    with pytest.raises(error, match=named):
        job.step(*arguments)


@worker(executor="process")
def ask_in_process(number: int, job: Job) -> None:
    ask_for_nonsense(number, job)


@worker
async def ask_in_coroutine(job: Job) -> None:
    for name, error in (("", ValueError), (7, TypeError)):
        with pytest.raises(error):
            await job.astep(name, a_coroutine)

    async def large() -> bytes:
        return bytes(2 * MIB)

    with pytest.raises(StepError, match="'large'"):
        await job.astep("large", large)


@pytest.mark.parametrize("asks", [ask_for_nonsense, ask_in_process])
def test_names_functions_and_values_that_cannot_be_are_refused(app, asks):
    jobs = [app.enqueue(asks, {"number": number}) for number in range(len(REFUSED))]
    jobs = [settled(app, job) for job in jobs]

    assert [job.errors for job in jobs] == [()] * len(jobs)
    assert [names_of(app, job) for job in jobs] == [[]] * len(jobs)


def test_coroutines_are_refused_the_same(app):
    assert settled(app, app.enqueue(ask_in_coroutine)).errors == ()


@worker(max_attempts=2, retry_delay=0)
def take_many(journal: str, job: Job) -> None:
    for number in range(3):
        job.step(str(number), note, journal, number)
    with pytest.raises(StepError, match="3 steps"):
        job.step("one too many", note, journal, "called")
    if job.attempts == 1:
        raise Odd


def test_a_step_too_many_is_refused_before_its_function(app, journal, monkeypatch):
    assert steps.MOST_STEPS == 10_000
    monkeypatch.setattr(steps, "MOST_STEPS", 3)
    job = settled(app, app.enqueue(take_many, {"journal": str(journal)}))

    assert job.status is Status.COMPLETED, job.errors
    assert journal.read_text() == "0\n1\n2\n"


@worker
def take_ten_thousand(job: Job) -> None:
    for number in range(10_000):
        job.step(str(number), lambda: None)
    with pytest.raises(StepError, match="10,000"):
        job.step("one too many", lambda: 1 / 0)


def test_a_job_may_have_ten_thousand_steps(tmp_path):
    with AntQ(queues={"default": 1}) as app:
        job = settled(app, app.enqueue(take_ten_thousand))

        assert job.status is Status.COMPLETED, job.errors
        assert names_of(app, job) == [str(number) for number in range(10_000)]


# ---- keys -----------------------------------------------------------------------------------

keys: dict[int, list[str]] = {}


@worker(max_attempts=2, retry_delay=0)
def note_its_keys(job: Job) -> None:
    keys.setdefault(job.id, []).append(job.step_key("pay"))
    assert job.step_key("pay") != job.step_key("ship")
    if job.attempts == 1:
        raise Odd


def test_the_key_of_a_step_is_the_same_in_each_execution_and_differs_between_jobs(app):
    one, other = (settled(app, app.enqueue(note_its_keys)) for _ in range(2))
    app.retry_job(one, fresh=True)
    one = until(lambda: len(keys[one.id]) == 4 and settled(app, one))

    assert isinstance(one.step_key("pay"), str)
    assert set(keys[one.id]) == {one.step_key("pay")}
    assert set(keys[other.id]) == {other.step_key("pay")} != set(keys[one.id])
    keys.clear()


def test_jobs_of_other_stores_have_other_keys():
    jobs = []
    for _ in range(2):
        with AntQ(start_queues=False) as app:
            jobs.append(app.enqueue(note_its_keys))

    assert jobs[0].id == jobs[1].id
    assert jobs[0].step_key("pay") != jobs[1].step_key("pay")


@pytest.mark.parametrize(("name", "error"), [("", ValueError), (7, TypeError)])
def test_a_key_needs_a_name_and_a_stored_job(light, name, error):
    with pytest.raises(error):
        light.enqueue(note_its_keys).step_key(name)
    with pytest.raises(RuntimeError, match="built"):
        note_its_keys.build().step_key("pay")


# ---- checkpoints ----------------------------------------------------------------------------

found: list[object] = []


@pytest.fixture(autouse=True)
def nothing_found():
    found.clear()


def note_found(job: Job) -> bool:
    """Note what this execution found; return whether it is the first one."""
    found.append(job.checkpointed)
    return len(found) == 1


def pass_checkpoints(job: Job) -> None:
    for number in range(5):
        job.checkpoint([number], every=3600)


@worker(max_attempts=2, retry_delay=0)
def raise_after(job: Job) -> None:
    if note_found(job):
        pass_checkpoints(job)
        raise Odd
    assert job.checkpointed == [4]
    job.checkpoint("other", every=0)
    assert job.checkpointed == [4]


@worker(max_attempts=2, retry_delay=0)
async def raise_in_coroutine(job: Job) -> None:
    if note_found(job):
        pass_checkpoints(job)
        raise Odd


@worker
def snooze_after(job: Job) -> Snooze | None:
    if note_found(job):
        pass_checkpoints(job)
        return Snooze(0)
    return None


@worker
def end_after(how: str, job: Job) -> object:
    if not note_found(job):
        return None
    pass_checkpoints(job)
    return {"complete": None, "fail": Fail("no"), "cancel": Cancel("no")}[how]


@pytest.mark.parametrize("performed", [raise_after, raise_in_coroutine, snooze_after])
def test_the_last_checkpoint_goes_with_the_outcome(app, performed):
    assert settled(app, app.enqueue(performed)).status is Status.COMPLETED

    assert found == [None, [4]]
    assert app.verify() == []


@pytest.mark.parametrize("how", ["complete", "fail", "cancel"])
def test_it_is_there_also_when_an_ended_job_is_retried(app, how):
    job = settled(app, app.enqueue(end_after, {"how": how}))
    app.retry_job(job)
    until(lambda: len(found) == 2)

    assert found == [None, [4]]


@worker(max_attempts=2, retry_delay=0, executor="process")
def die_after(how: str, journal: str, job: Job) -> None:
    note(journal, job.checkpointed)
    if job.attempts == 1:
        pass_checkpoints(job)
        if how == "exit":
            os._exit(1)
        raise Odd


@pytest.mark.parametrize("how", ["raise", "exit"])
def test_a_checkpoint_outlives_the_job_process(app, journal, how):
    job = settled(app, app.enqueue(die_after, {"how": how, "journal": str(journal)}))

    assert job.status is Status.COMPLETED, job.errors
    assert journal.read_text() == "None\n[4]\n"


@worker(max_attempts=2, retry_delay=0, timeout=0.2)
def time_out(job: Job) -> None:
    if note_found(job):
        pass_checkpoints(job)
        while not job.cancelled():
            job.checkpoint("last", every=3600)


def test_it_goes_with_a_timeout_too(app):
    assert settled(app, app.enqueue(time_out)).status is Status.COMPLETED
    assert found == [None, "last"]


go = threading.Event()
passed = threading.Event()


@pytest.fixture(autouse=True)
def nobody_passed():
    go.clear()
    passed.clear()


@worker
def pass_and_wait(every: float, job: Job) -> None:
    if note_found(job):
        job.checkpoint(1, every=every)
        job.checkpoint(2, every=every)
        passed.set()
        go.wait()


def test_with_every_0_it_is_stored_when_the_call_returns(app):
    job = app.enqueue(pass_and_wait, {"every": 0})
    passed.wait()
    stored = app.antq_steps(steps.ReadCheckpoint(job.id, 1))
    go.set()

    assert app.antq_decode(stored) == 2


def test_else_not_more_often_than_every_so_many_seconds(app):
    job = app.enqueue(pass_and_wait, {"every": 3600})
    passed.wait()
    stored = app.antq_steps(steps.ReadCheckpoint(job.id, 1))
    go.set()

    assert app.antq_decode(stored) == 1


@worker
def pass_nonsense(job: Job) -> None:
    for every, error in ((-1, ValueError), ("soon", TypeError), (float("nan"), ValueError)):
        with pytest.raises(error, match="every"):
            job.checkpoint(1, every=every)
    with pytest.raises(StepError, match="checkpoint"):
        job.checkpoint(threading.Lock())
    with pytest.raises(StepError, match="checkpoint"):
        job.checkpoint(bytes(2 * MIB))
    job.checkpoint(1, every=timedelta(seconds=1))


@worker(executor="process")
def pass_nonsense_in_process(job: Job) -> None:
    pass_nonsense(job)


@pytest.mark.parametrize("performed", [pass_nonsense, pass_nonsense_in_process])
def test_a_checkpoint_that_cannot_be_is_refused(app, performed):
    assert settled(app, app.enqueue(performed)).errors == ()


# ---- the fence ------------------------------------------------------------------------------


outcomes: list[BaseException | None] = []


def go_on(job: Job) -> None:
    if passed.is_set():
        return
    job.step("before", lambda: 1)
    while True:
        try:
            passed.set()
            go.wait()
            break
        except BaseException:  # noqa: BLE001, S112 - it is interrupted, and goes on
            continue
    for take in (
        lambda: job.step("after", lambda: 2),
        lambda: job.checkpoint(3, every=0),
        lambda: job.checkpoint(3),
    ):
        try:
            outcomes.append(take())
        except Exception as error:  # noqa: BLE001 - it is looked at
            outcomes.append(error)


def delete(app, job):
    app.delete_job(job)


def kill_queue(app, job):
    otp.exit(app.queue("default").ref, otp.Killed())
    until(lambda: app.get_job(job.id).interruptions == 1)


@worker
def take_after(job: Job) -> None:
    go_on(job)


@pytest.mark.parametrize("take_away", [delete, kill_queue])
def test_what_a_superseded_execution_keeps_is_refused(app, take_away):
    outcomes.clear()
    job = app.enqueue(take_after)
    passed.wait()
    take_away(app, job)

    go.set()

    until(lambda: len(outcomes) == 3)
    assert [type(each) for each in outcomes] == [Superseded] * 3
    assert str(job.id) in str(outcomes[0])
    assert app.verify() == []


@worker(executor="process")
def step_when_deleted(journal: str, job: Job) -> None:
    job.step("before", int)
    note(journal, "kept")
    until(Path(journal).with_name("go").exists)
    try:
        job.step("after", int)
    except Superseded:
        note(journal, "superseded")


@worker
async def step_when_deleted_in_coroutine(journal: str, job: Job) -> None:
    await job.astep("before", a_coroutine)
    note(journal, "kept")
    await asyncio.to_thread(until, Path(journal).with_name("go").exists)
    try:
        await job.astep("after", a_coroutine)
    except Superseded:
        note(journal, "superseded")


@pytest.mark.parametrize("performed", [step_when_deleted, step_when_deleted_in_coroutine])
def test_steps_of_a_deleted_job_are_refused_in_every_executor(app, journal, performed):
    job = app.enqueue(performed, {"journal": str(journal)})
    until(lambda: journal.read_text() == "kept\n")
    app.delete_job(job)

    journal.with_name("go").touch()

    assert until(lambda: journal.read_text() == "kept\nsuperseded\n")


@worker(timeout=0.05)
def go_on_too_long(job: Job) -> None:
    go_on(job)


def test_steps_of_an_attempt_that_timed_out_are_refused(app):
    outcomes.clear()
    while not passed.is_set():  # on a busy machine, the first step may take as long as the timeout
        job = settled(app, app.enqueue(go_on_too_long))

    go.set()

    until(lambda: len(outcomes) == 3)
    assert [type(each) for each in outcomes] == [Superseded] * 3
    assert names_of(app, job) == ["before"]


kept: list[Job] = []


@worker
def keep(job: Job) -> None:
    kept.append(job)


def test_a_job_that_is_not_being_performed_has_no_steps(app):
    stored = settled(app, app.enqueue(keep))

    for job in (stored, keep.build(), kept.pop()):
        with pytest.raises(RuntimeError, match=r"not being performed.*step\(\)"):
            job.step("a", lambda: 1)
        with pytest.raises(RuntimeError, match=r"not being performed.*checkpoint\(\)"):
            job.checkpoint(1)
        with pytest.raises(RuntimeError, match=r"not being performed.*astep\(\)"):
            job.astep("a", a_coroutine).send(None)
        assert job.checkpointed is None


# ---- retried, deleted -----------------------------------------------------------------------


def test_a_retry_keeps_the_steps_and_a_fresh_one_forgets_them(app, journal):
    job = settled(app, app.enqueue(change_its_steps, {"journal": str(journal)}))
    for fresh, lines in ((False, 3), (True, 6)):
        app.retry_job(job, fresh=fresh)
        assert settled(app, job).errors
        assert len(journal.read_text().splitlines()) == lines
        assert app.verify() == []


def test_a_fresh_retry_forgets_the_checkpoint(app):
    job = settled(app, app.enqueue(end_after, {"how": "fail"}))
    app.retry_worker(job, fresh=True)
    until(lambda: len(found) == 2)

    assert found == [None, None]


def test_the_twin_of_retry_job_forgets_it_too(app):
    job = settled(app, app.enqueue(end_after, {"how": "fail"}))
    asyncio.run(app.aretry_job(job, fresh=True))
    until(lambda: len(found) == 2)

    assert found == [None, None]


def test_fresh_is_true_or_false(light):
    with pytest.raises(TypeError, match="fresh"):
        light.retry_job(1, fresh="yes")


def test_steps_are_deleted_with_their_job(tmp_path, journal):
    with AntQ(tmp_path / "store", queues={"default": 1}) as app:
        for _ in range(3):
            settled(app, app.enqueue(in_thread, {"journal": str(journal)}))
        app.delete_job(1)
        assert app.delete_jobs(status="completed", limit=1).changed == 1
        assert app.verify() == []
        assert names_of(app, app.get_job(3)) == ["one", "two", "three"]


def test_errors_of_steps_are_antq_errors_and_can_be_pickled():
    for error in (StepError, DuplicateStep, Superseded):
        raised = pickle.loads(pickle.dumps(error("text")))  # noqa: S301 - its own bytes

        assert (type(raised), str(raised)) == (error, "text")
        assert issubclass(error, errors.AntqError)
    assert issubclass(DuplicateStep, StepError)

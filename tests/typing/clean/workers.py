# pyright: strict
"""Workers as users write them: neither mypy --strict nor pyright may find anything here."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, assert_type

from antq_actors import Backoff, Cancel, Fail, Job, Snooze, Unique, Worker, current_job, worker


class Plain(Worker):
    def perform(self, job: Job) -> None:
        assert_type(job.args, Mapping[str, Any])


class Full(
    Worker,
    queue="mail",
    max_attempts=3,
    timeout=timedelta(minutes=1),
    unique=Unique(args=["email"], statuses=["enqueued", "running"]),
    priority=5,
    retry_delay=Backoff(first=10, longest=timedelta(hours=1), jitter=0.2),
    executor="process",
    ray={"num_cpus": 1},
    name="shop.mail:Full",
):
    def perform(self, job: Job) -> Fail | Cancel | Snooze | None:
        return Snooze(30) if job.attempts < 3 else None


class Later(Worker):
    def perform(self, job: Job) -> Snooze:
        return Snooze(timedelta(minutes=1))


class Inherits(Full, queue=None, timeout=None, unique=None, executor=None, retry_delay=None): ...


class OwnDelay(Worker, max_attempts=3):
    async def perform(self, job: Job) -> int:
        return job.id

    def calculate_delay(self, job: Job) -> float:
        return 2 * super().calculate_delay(job)


class Fixed(Worker, retry_delay=5): ...


class Timedelta(Worker, retry_delay=timedelta(seconds=5)): ...


class ByFunction(Worker, retry_delay=lambda job: 2.0**job.attempts): ...


class Everything(Worker, unique=Unique(["email"], statuses="all")): ...


assert_type(Plain.perform_async(), Job)
assert_type(Plain.perform_async({"email": "x"}, schedule_in=60, queue="slow"), Job)
assert_type(Plain.build({"email": "x"}, schedule_at=datetime.now(UTC)), Job)
Plain.perform_async({}, max_attempts=2, timeout=None, unique=None, priority=1)
Plain.perform_async({}, schedule_in=timedelta(days=1))


async def enqueue() -> Job:
    return await Plain.aperform_async({"email": "x"}, priority=5)


@worker
def send(email: str, percent: int = 10) -> bool:
    return percent > len(email)


@worker(queue="mail", max_attempts=3, retry_delay=lambda job: job.attempts, executor="thread")
def send_slowly(email: str) -> None: ...


@worker
async def fetch(url: str) -> bytes:
    return url.encode()


assert_type(send("x"), bool)
assert_type(send.perform_async(email="x"), Job)
assert_type(send.options(schedule_in=60, priority=5).perform_async(email="x", percent=5), Job)
assert_type(send_slowly.build(email="x"), Job)
fetch.options(queue="slow").build(url="x")


async def enqueue_functions() -> None:
    await send.aperform_async(email="x")
    await send.options(queue="slow").aperform_async(email="x")
    assert_type(await fetch("x"), bytes)


@worker
def first(job: Job, email: str) -> str:
    return f"{job.id} {email}"


@worker(max_attempts=2)
def first_or_none(job: Job | None, email: str) -> str:
    return email if job is None else f"{job.id} {email}"


@worker
def positional(job: Job, /, email: str) -> None: ...


@worker
def annotated(job: Annotated[Job, "mine"], email: str) -> None: ...


@worker
def last(email: str, *, job: Job) -> str:
    return f"{job.id} {email}"


@worker(queue="mail")
def last_or_none(email: str, job: Job | None = None) -> str:
    return email if job is None else f"{job.id} {email}"


@worker
def anything(payload: object, n: int = 1) -> None: ...


@worker(queue="mail")
def job_or_id(job: Job | int, n: int = 1) -> None: ...


anything.perform_async(payload={"a": 1}, n=2)
job_or_id.perform_async(job=5, n=2)


@worker
def in_between(email: str, job: Job, percent: int = 10) -> int:
    return job.id + percent


@worker(max_attempts=2)
async def among_many(a: int, b: str, c: float, d: bytes = b"", *, job: Job) -> int:
    return job.id


in_between.perform_async(email="x", percent=5)
among_many.options(queue="slow").perform_async(a=1, b="", c=0.5)
assert_type(in_between("x", Plain.build(), 5), int)
first.perform_async(email="x")
first_or_none.perform_async(email="x")
positional.options(priority=1).perform_async(email="x")
annotated.build(email="x")
last.perform_async(email="x")
last_or_none.options(schedule_in=5).perform_async(email="x")
assert_type(first(first.build(email="x"), "x"), str)
assert_type(first_or_none(None, "x"), str)
assert_type(last_or_none("x"), str)
assert_type(current_job(), Job | None)

"""Misused workers: mypy and pyright refuse each line that is marked, and no other one."""

from datetime import timedelta

from antq_actors import Backoff, Job, Unique, Worker, worker


class Plain(Worker):
    def perform(self, job: Job) -> None: ...


class Misspelt(Worker, max_atempts=3): ...  # refused


class WrongType(Worker, max_attempts="3"): ...  # refused


class WrongExecutor(Worker, executor="threads"): ...  # refused


class WrongUnique(Worker, unique=["email"]): ...  # refused


class WrongDelay(Worker, retry_delay="10"): ...  # refused


class WrongDelayFunction(Worker, retry_delay=lambda: 5): ...  # refused


class ScheduledClass(Worker, schedule_in=5): ...  # refused


Unique(args=["email"], statuses="enqeued")  # refused
Unique(args=["email"], statuses=["completed", "fialed"])  # refused
Backoff(first=1, longset=5)  # refused
Backoff(factor=timedelta(1))  # refused

Plain.perform_async(email="x")  # refused
Plain.perform_async({"email": "x"}, schedule_im=60)  # refused
Plain.perform_async({"email": "x"}, schedule_in="60")  # refused
Plain.perform_async({"email": "x"}, retry_delay=5)  # refused
Plain.perform_async("x")  # refused
Plain.build({"email": "x"}, prioritiy=5)  # refused


async def enqueue() -> None:
    await Plain.aperform_async({"email": "x"}, que="mail")  # refused


@worker
def send(email: str, percent: int = 10) -> None: ...


@worker(max_atempts=3)  # refused
def misspelt() -> None: ...


@worker(retry_delay=["10"])  # refused
def wrong_delay() -> None: ...


send.perform_async(emial="x")  # refused
send.perform_async(email=5)  # refused
send.perform_async()  # refused
send.perform_async({"email": "x"})  # refused
send.build(email="x", schedule_in=60)  # refused
send.options(schedule_im=60)  # refused
send.options(priority="high").perform_async(email="x")  # refused
send.options(priority=5).perform_async(emial="x")  # refused
send(5)  # refused


@worker
def first(job: Job, email: str) -> None: ...


@worker(queue="mail")
def first_or_none(job: Job | None, email: str) -> None: ...


first.perform_async(job=Plain.build(), email="x")  # refused
first.perform_async(emial="x")  # refused
first_or_none.build(email=5)  # refused
first("x")  # refused

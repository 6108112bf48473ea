# pyright: strict
"""An application as users write it: neither mypy --strict nor pyright may find anything here."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, Unpack, assert_type

from antq_actors import (
    AntQ,
    AttemptError,
    BulkOutcome,
    FunctionWorker,
    Health,
    Imported,
    Job,
    JobDraft,
    JobOptions,
    Middleware,
    NodeInfo,
    Progress,
    QueueConfig,
    QueueHandle,
    QueueInfo,
    QueueStatus,
    Status,
    Worker,
    WorkerOptions,
    worker,
)
from antq_actors.otp import ServerRef
from antq_actors.telemetry import Event, JobEnded, JobStarted, log_events

T = TypeVar("T")


class Tenants(Middleware):
    def on_enqueue(self, draft: JobDraft) -> None:
        draft.meta["tenant"] = assert_type(draft.queue_name, str)

    def around_enqueue(self, draft: JobDraft, call: Callable[[], Job]) -> Job:
        return call()

    def around_job(self, job: Job, call: Callable[[], T]) -> T:
        assert_type(job.meta["tenant"], str)
        return call()

    async def around_job_async(self, job: Job, call: Callable[[], Awaitable[T]]) -> T:
        return await call()


class Untyped(Middleware):
    def around_job(self, job: Job, call: Callable[[], Any]) -> Any:
        return call()


AntQ(middleware=[Tenants(), Untyped(), "antq_actors:Middleware"])


class Mail(Worker, name="shop:Mail"):
    def perform(self, job: Job) -> None: ...


@worker
def send(email: str) -> None: ...


queues: dict[str, int | QueueConfig] = {"mail": 5, "slow": QueueConfig(executor="process")}
app = AntQ("jobs", queues=queues, retention=timedelta(days=1))
AntQ(
    Path("jobs"),
    queues={"default": 10, "mail": QueueConfig(2, check_interval=timedelta(1))},
    start_queues=False,
)

assert_type(app.start(), AntQ)
app.queue("mail").pause()
assert_type(app.enqueue(Mail, {"email": "x"}, queue="mail", schedule_in=5), Job)
assert_type(app.enqueue(send, {"email": "x"}, priority=5), Job)
assert_type(app.enqueue_many(Mail, ({"n": n} for n in range(5)), max_attempts=2), list[int])
assert_type(app.list_jobs(status="enqueued", queue="mail", worker=Mail), list[Job])
assert_type(app.list_jobs(status=["failed", Status.CANCELLED], worker="shop:Mail"), list[Job])
assert_type(app.list_workers(status={Status.FAILED}, queue_name="mail", worker=send), list[Job])
assert_type(app.count_jobs(status=("enqueued", "retrying"), queue="mail"), int)
assert_type(app.get_job(1).status, Status)
assert_type(app.get_job(1).errors, tuple[AttemptError, ...])
assert_type(app.cancel_job(1), Job)
assert_type(app.queue("mail"), QueueHandle)
assert_type(app.queue("mail").status(), QueueStatus)
assert_type(app.queue("mail").status().executors, tuple[Health, ...])
assert_type(app.queue("mail").status().counts[Status.RUNNING], int)
assert_type(app.nodes(), list[NodeInfo])
assert_type(app.nodes()[0].queues, dict[str, QueueInfo])
assert_type(app.import_jobs(app.export_jobs(status="completed")), Imported)
assert_type(app.backup("copy"), Path)
assert_type(app.root, ServerRef)
assert_type(app.default_queue, str)
shown: list[Progress] = list(app.queue("mail").status().progress.values())
workers: list[FunctionWorker[..., ..., None]] = [send]

with app as running:
    assert_type(running, AntQ)
app.stop(timeout=timedelta(seconds=5))


def later(email: str, **options: Unpack[JobOptions]) -> Job:
    """Options can be passed on."""
    return app.enqueue(Mail, {"email": email}, **options)


patient: WorkerOptions = {"max_attempts": 20, "executor": "thread"}


@worker(**patient)
def push(url: str) -> None: ...


async def enqueue() -> None:
    assert_type(await app.aenqueue(Mail, {"n": 1}, queue="mail"), Job)
    assert_type(await app.aenqueue_many(Mail, [{"n": 1}, None], timeout=5), list[int])
    assert_type(await app.alist_jobs(status="failed", error="KeyError", limit=20), list[Job])
    assert_type(await app.acount_jobs(worker=Mail), int)
    assert_type(await app.aget_job(1), Job)
    assert_type(await app.acancel_job(await app.aretry_job(1)), Job)
    assert_type(await app.aretry_jobs(status="failed", spread=timedelta(minutes=10)), BulkOutcome)
    assert_type(await app.acancel_jobs(queue="mail", dry_run=True), BulkOutcome)
    assert_type(app.delete_workers(queue_name="mail", limit=5).changed, int)
    assert_type(app.retry_jobs(worker=Mail, error="KeyError"), BulkOutcome)
    assert_type(await app.areschedule(await app.arun_now(1), schedule_in=5), Job)


def on_end(event: JobEnded) -> None:
    assert_type(event.next_at, datetime | None)


def on_both(event: JobStarted | JobEnded) -> None:
    assert_type(event.queue_time, float)


def on_all(event: Event) -> None:
    assert_type(event.at, datetime)


with app.subscribe(on_end, JobEnded) as subscription:
    assert_type(subscription.dropped, int)
app.subscribe(on_both, JobStarted, JobEnded)
app.subscribe(on_all)
app.subscribe(on_all, JobEnded)
app.subscribe(log_events("text"))

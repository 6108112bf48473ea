"""The application that a Ray actor hosts, as every other process of the cluster holds it.

A call goes to the actor and its reply comes back, also when that is an error. Ray restarts an
actor that dies: what may be asked twice is asked again until there is a reply.
"""

from __future__ import annotations

import itertools
import math
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, Unpack

import ray
from ray import exceptions

from antq_actors.checks import to_seconds
from antq_actors.errors import BatchError, NotStarted, StorageError
from antq_actors.integrations.ray.parcel import pack_worker
from antq_actors.jobs import current_app
from antq_actors.jobs.job import Job, check_outside_of_jobs
from antq_actors.jobs.new_job import check_args
from antq_actors.jobs.resolver import name_of
from antq_actors.storage.format.values import encode_args

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta

    from antq_actors.jobs.control import Progress
    from antq_actors.jobs.options import JobOptions
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.queues.messages import QueueStatus

NAMESPACE: Final = "antq"
"""Ray's namespace of the actors that host applications: the same for all clients."""

ANSWER_TIMEOUT_SECONDS: Final = 30.0
"""Seconds that the host has for an answer, and to come back when it died."""

BATCH_SIZE: Final = 1_000
"""Jobs that ``enqueue_many`` sends at once."""

_MAX_WAIT_SECONDS: Final = 0.1
"""Seconds that the host waits at a time until there is nothing to do."""

_POLL_SECONDS: Final = 0.05


class _Hosted:
    """What this process hosts."""

    name: str | None = None
    """That of the application, if this is the process of its Ray actor."""


hosted_here: Final = _Hosted()


class Reply(NamedTuple):
    """What came of a call: a value or an exception."""

    value: Any
    error: BaseException | None = None
    cause: BaseException | None = None


class RayClient:
    """An application on a Ray cluster, from any process of it.

    Its methods are those of :class:`antq_actors.AntQ`, and raise what those raise. A change that
    was under way when the host died raises StorageError: it may have been made or not.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._handle: Any = None
        self._default_queue: str | None = None

    def __repr__(self) -> str:
        return f"<Client of {self._name!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return RayClient, (self._name,)

    # ---- life -----------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Have ``perform_async`` in this process no longer enqueue here. The Ray actor goes on."""
        current_app.leave(self)

    def stop(self, *, timeout: float = 30.0) -> None:
        """Stop the hosted application as `AntQ.stop` does; kill its Ray actor and wait for that."""
        self.close()
        self.ask("stop", timeout, answer_timeout=timeout + ANSWER_TIMEOUT_SECONDS)
        handle = self._found()
        ray.kill(handle, no_restart=True)
        self._handle = None
        _wait_until_gone(self._name)

    # ---- jobs -----------------------------------------------------------------------------

    @property
    def default_queue(self) -> str:
        """The application's queue of workers that name none; requested from the Ray actor once."""
        if self._default_queue is None:
            self._default_queue = self.ask("default_queue")
        return self._default_queue

    def enqueue(
        self,
        worker: AnyWorker,
        args: Mapping[str, Any] | None = None,
        /,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Store a job of *worker* through the Ray actor and return it, as `AntQ.enqueue` does."""
        sent = (pack_worker(worker), _encoded(args), options)
        job: Job = self.ask("enqueue", *sent, may_repeat=False)
        return job

    def enqueue_many(
        self,
        worker: AnyWorker,
        args_iterable: Iterable[Mapping[str, Any] | None],
        /,
        **options: Unpack[JobOptions],
    ) -> list[int]:
        """Store a job for each item in batches through the Ray actor, as `AntQ.enqueue_many`."""
        parcel, items, ids = pack_worker(worker), iter(args_iterable), list[int]()
        for start in itertools.count(0, BATCH_SIZE):
            batch, error = _next_batch(items)
            try:
                ids += self.ask("enqueue_many", parcel, batch, options, may_repeat=False)
            except BatchError as refused:
                ids += refused.ids
                cause = refused.__cause__ or refused
                raise _batch_error(start + refused.index, ids, cause) from cause
            if error is not None:
                raise _batch_error(start + len(batch), ids, error) from error
            if len(batch) < BATCH_SIZE:
                break
        return ids

    def list_jobs(self, *, worker: AnyWorker | str | None = None, **filters: Any) -> list[Job]:
        """Return the matching jobs of the application on the Ray cluster, as `AntQ.list_jobs`."""
        jobs: list[Job] = self.ask("list_jobs", worker=_name(worker), **filters)
        return jobs

    def count_jobs(self, *, worker: AnyWorker | str | None = None, **filters: Any) -> int:
        """Return how many jobs on the Ray cluster match, as `AntQ.count_jobs`."""
        number: int = self.ask("count_jobs", worker=_name(worker), **filters)
        return number

    def get_job(self, id: int) -> Job:  # noqa: A002 - as the field is named
        """Return the job with this id of the application on the Ray cluster. Raises JobNotFound."""
        job: Job = self.ask("get_job", id)
        return job

    def cancel_job(self, job_or_id: Job | int) -> Job:
        """Cancel a job of the application on the Ray cluster and return it."""
        job: Job = self.ask("cancel_job", _id(job_or_id))
        return job

    def retry_job(self, job_or_id: Job | int) -> Job:
        """Enqueue an ended job on the Ray cluster again and return it, as `AntQ.retry_job` does."""
        job: Job = self.ask("retry_job", _id(job_or_id), may_repeat=False)
        return job

    def delete_job(self, job_or_id: Job | int) -> None:
        """Delete a job of the application on the Ray cluster, as `AntQ.delete_job` does."""
        self.ask("delete_job", _id(job_or_id), may_repeat=False)

    def wait_idle(
        self, queue: str | None = None, *, timeout: float | timedelta | None = None
    ) -> bool:
        """Wait until the application on the Ray cluster has nothing to do, as `AntQ.wait_idle`.

        It is asked for a moment at a time: the host does one thing after the other.
        """
        if timeout is None:
            check_outside_of_jobs("wait_idle")
            deadline = math.inf
        else:
            deadline = time.monotonic() + to_seconds(timeout, "timeout")
        while True:
            left = max(0.0, deadline - time.monotonic())
            is_idle: bool = self.ask("wait_idle", queue, timeout=min(left, _MAX_WAIT_SECONDS))
            if is_idle or left <= _MAX_WAIT_SECONDS:
                return is_idle

    # ---- Ant's names ----------------------------------------------------------------------

    def list_workers(self, *, worker: AnyWorker | str | None = None, **filters: Any) -> list[Job]:
        """Return jobs of the application on the Ray cluster, as `AntQ.list_workers` does."""
        jobs: list[Job] = self.ask("list_workers", worker=_name(worker), **filters)
        return jobs

    def count_workers(self, **filters: Any) -> int:
        """Return how many jobs match on the Ray cluster, as `AntQ.count_workers` does."""
        number: int = self.ask("count_workers", **filters)
        return number

    get_worker, cancel_worker = get_job, cancel_job
    retry_worker, delete_worker = retry_job, delete_job

    def queue(self, name: str) -> RayQueueClient:
        """Return the client of a queue on the Ray cluster, checked there. Raises UnknownQueue."""
        self.ask("queue", name, "name")
        return RayQueueClient(self, name)

    # ---- attempts -------------------------------------------------------------------------

    def report(self, attempt: int, progress: Progress) -> None:
        """Send an attempt's progress from its Ray task to the Ray actor, without waiting."""
        try:
            self._found().on_progress.remote(attempt, progress)
        except (exceptions.RayError, NotStarted):
            self._handle = None

    def is_stop_requested(self, attempt: int) -> bool:
        """Return whether an attempt in a Ray task must stop; calls the application's Ray actor."""
        is_requested: bool = ray.get(
            self._found().is_stop_requested.remote(attempt), timeout=ANSWER_TIMEOUT_SECONDS
        )
        return is_requested

    # ---- inside ---------------------------------------------------------------------------

    def ask(
        self,
        what: str,
        *args: Any,
        may_repeat: bool = True,
        answer_timeout: float = ANSWER_TIMEOUT_SECONDS,
        **options: Any,
    ) -> Any:
        """Call the Ray actor, again if it died, and return its reply.

        Raises what the actor raises, NotStarted and StorageError.
        """
        deadline = time.monotonic() + answer_timeout
        while True:
            is_new = self._handle is None
            try:
                asked = self._found().ask.remote(what, args, options)
                reply: Reply = ray.get(asked, timeout=max(0.0, deadline - time.monotonic()))
                break
            except exceptions.ActorUnschedulableError as error:
                self._handle = None  # its node is gone; it may be hosted on another by now
                if is_new:
                    raise self._not_hosted() from error
            except exceptions.RayActorError as error:
                self._handle = None
                if not may_repeat:
                    raise self._lost(what) from error
                if time.monotonic() > deadline:
                    raise StorageError(
                        f"the host of {self._name!r} did not come back within"
                        f" {answer_timeout:g} s: {error}"
                    ) from error
                time.sleep(_POLL_SECONDS)
            except exceptions.GetTimeoutError as error:
                raise StorageError(
                    f"the host of {self._name!r} did not answer within {answer_timeout:g} s"
                ) from error
        if reply.error is not None:
            raise reply.error from reply.cause
        return reply.value

    def _lost(self, what: str) -> StorageError:
        return StorageError(
            f"the host of {self._name!r} died before it answered; whether {what} was done"
            " is not known. Look with list_jobs, or do it again if twice does no harm"
        )

    def _found(self) -> Any:
        if self._handle is None:
            self._handle = find_host(self._name)
        if self._handle is None:
            raise self._not_hosted()
        return self._handle

    def _not_hosted(self) -> NotStarted:
        return NotStarted(
            f"no application is hosted as {self._name!r} on this Ray cluster, or its node"
            " has left; start it with cluster.host(path, queues=…) on the node of its files"
        )


class RayQueueClient:
    """A queue of an application on a Ray cluster, as `antq_actors.QueueHandle`."""

    def __init__(self, client: RayClient, name: str) -> None:
        self.name = name
        self._client = client

    def __repr__(self) -> str:
        return f"<QueueClient {self.name!r}>"

    def set_concurrency(self, n: int) -> None:
        """Perform up to *n* jobs of the queue at once on the Ray cluster, until a restart."""
        self._client.ask("queue", self.name, "set_concurrency", n)

    def pause(self) -> None:
        """Have the queue on the Ray cluster claim no more jobs; running jobs go on."""
        self._client.ask("queue", self.name, "pause")

    def resume(self) -> None:
        """Have the queue on the Ray cluster claim jobs again."""
        self._client.ask("queue", self.name, "resume")

    def status(self) -> QueueStatus:
        """Return the status of the queue on the Ray cluster."""
        status: QueueStatus = self._client.ask("queue", self.name, "status")
        return status


def find_host(name: str) -> Any:
    """Return the Ray actor that hosts the application of this name, or None."""
    try:
        return ray.get_actor(name, namespace=NAMESPACE)
    except ValueError:
        return None


def _wait_until_gone(name: str) -> None:
    deadline = time.monotonic() + ANSWER_TIMEOUT_SECONDS
    while find_host(name) is not None and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def _encoded(args: Mapping[str, Any] | None) -> bytes:
    return encode_args(check_args(args))  # here, so that it is refused here


def _next_batch(items: Any) -> tuple[list[bytes], Exception | None]:
    """Encode the next arguments of ``enqueue_many`` for the Ray actor; return them and an error."""
    batch: list[bytes] = []
    try:
        batch += (_encoded(item) for item in itertools.islice(items, BATCH_SIZE))
    except Exception as error:  # noqa: BLE001 - of the caller's iterable, or of an item
        return batch, error
    return batch, None


def _batch_error(index: int, ids: list[int], error: BaseException) -> BatchError:
    return BatchError(
        f"item {index} was not stored, {len(ids)} before it were: {error}", index, ids
    )


def _id(job_or_id: Job | int) -> int:
    return job_or_id.id if isinstance(job_or_id, Job) else job_or_id


def _name(worker: AnyWorker | str | None) -> str | None:
    return worker if worker is None or isinstance(worker, str) else name_of(worker)

"""The application that a Ray actor hosts, as every other process of the cluster holds it.

A call goes to the actor and its reply comes back, also when that is an error. Ray restarts an
actor that dies: what may be asked twice is asked again until there is a reply.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, Unpack

import ray
from ray import exceptions

from antq_actors.app.job_verbs import JobVerbs
from antq_actors.app.remote import RemoteRuntime
from antq_actors.errors import NotStarted, StorageError
from antq_actors.integrations.ray.parcel import pack_worker
from antq_actors.jobs import current_app
from antq_actors.jobs.new_job import check_args
from antq_actors.jobs.worker import in_thread
from antq_actors.storage.format.values import encode_args

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from antq_actors.jobs.control import Progress
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.options import JobOptions
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import NewJob

NAMESPACE: Final = "antq"
"""Ray's namespace of the actors that host applications: the same for all clients."""

ANSWER_TIMEOUT_SECONDS: Final = 30.0
"""Seconds that the host has for an answer, and to come back when it died."""

_LONG_ANSWER_SECONDS: Final = 86_400.0
_LONG: Final = frozenset({"verify", "backup", "cron.backfill", "_count", "_unknown"})
"""What reads the whole store or makes many jobs: these have that time for their answer."""

_DONE_ONCE: Final = frozenset(
    {
        "enqueue",
        "antq_insert",
        "enqueue_many",
        "retry_job",
        "delete_job",
        "run_now",
        "reschedule",
        "_step_bulk",
        "backup",
        "cron.delete",
        "cron.run_now",
        "cron.backfill",
    }
)
"""Changes that would do more, or be refused, if they were made twice."""

_LOOKS: Final = frozenset(
    {
        *("status", "name", "jobs", "entries", "holders", "ended", "kept", "close", "cancel"),
        *("get", "incomplete", "output", "members", "deleted", "member_names", "of_group", "plan"),
    }
)
"""Verbs of batches and workflows that may be done twice, as they look, or as twice is once."""

_NAMES: Final = {
    "_step_bulk": "the change of the last 500 jobs",
    "antq_batch": "the change of a batch",
    "antq_insert": "enqueue",
    "antq_workflow": "the change of a workflow",
}
"""What errors call what users have not called."""

_WHY_NOT: Final = (
    "through a client: the application runs in an actor of Ray. Use antq_actors.maintenance, or"
    " AntQ(path, start_queues=False), on the node of its files"
)

_POLL_SECONDS: Final = 0.05

_CHECKPOINT_SECONDS: Final = 5.0
"""Seconds that a job waits for the arrival of a checkpoint which goes with its outcome."""
_INLINED_BYTES: Final = 64 * 1024
"""Bytes of an argument that Ray sends along with a call."""


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


class StopRequest(NamedTuple):
    """Whether the attempt of a Ray task must stop."""

    is_made: bool
    is_cancelled: bool = False
    """Whether that is because its job was cancelled."""


class RayClient(JobVerbs):
    """An application on a Ray cluster, from any process of it.

    Its methods are those of :class:`antq_actors.AntQ`, and raise what those raise. A change that
    was under way when the host died raises StorageError: it may have been made or not.
    """

    antq_middleware: Final = None
    """The host calls its middleware for what is enqueued here."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._handle: Any = None
        self._default_queue: str | None = None
        self._remote = RemoteRuntime(
            self.call,
            name_of=self._name_there,
            pack_worker=pack_worker,
            pack_args=_encoded,
            why=_WHY_NOT,
        )

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
        self._ask("stop", [timeout], answer_timeout=timeout + ANSWER_TIMEOUT_SECONDS)
        handle = self._found()
        ray.kill(handle, no_restart=True)
        self._handle = None
        _wait_until_gone(self._name)

    # ---- jobs -----------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """The directory of the store, on the node of the Ray actor."""
        return self._remote.path

    @property
    def default_queue(self) -> str:
        """The application's queue of workers that name none; requested from the Ray actor once."""
        if self._default_queue is None:
            self._default_queue = self.call("default_queue")
        return self._default_queue

    def enqueue(
        self,
        worker: AnyWorker,
        args: Mapping[str, Any] | None = None,
        /,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Store a job of *worker* through the Ray actor and return it, as `AntQ.enqueue` does."""
        job: Job = self.call("enqueue", pack_worker(worker), _encoded(args), **options)
        return self._own(job)

    def antq_prepare(
        self, worker: AnyWorker, args: Mapping[str, Any] | None, options: Mapping[str, Any], /
    ) -> NewJob:
        """Have the Ray actor check a job for an attempt, as `AntQ.antq_prepare`."""
        new: NewJob = self.call("antq_prepare", pack_worker(worker), _encoded(args), options)
        return new

    def antq_check(
        self, worker: AnyWorker, args: Mapping[str, Any] | None, options: Mapping[str, Any], /
    ) -> NewJob:
        """Have the Ray actor check a job, as `AntQ.antq_check`."""
        new: NewJob = self.call("antq_check", pack_worker(worker), _encoded(args), options)
        return new

    def enqueue_many(
        self,
        worker: AnyWorker,
        args_iterable: Iterable[Mapping[str, Any] | None],
        /,
        **options: Unpack[JobOptions],
    ) -> list[int]:
        """Store a job for each item in batches through the Ray actor, as `AntQ.enqueue_many`."""
        return self._remote.enqueue_many(worker, args_iterable, options)

    async def aenqueue(
        self,
        worker: AnyWorker,
        args: Mapping[str, Any] | None = None,
        /,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Do what :meth:`enqueue` does on the Ray cluster, without stopping the event loop."""
        return await in_thread(self.enqueue, worker, args, **options)

    async def aenqueue_many(
        self,
        worker: AnyWorker,
        args_iterable: Iterable[Mapping[str, Any] | None],
        /,
        **options: Unpack[JobOptions],
    ) -> list[int]:
        """Do what :meth:`enqueue_many` does on the Ray cluster, without stopping the event loop."""
        return await in_thread(self.enqueue_many, worker, args_iterable, **options)

    # ---- attempts -------------------------------------------------------------------------

    def report(self, attempt: int, progress: Progress) -> None:
        """Send an attempt's progress from its Ray task to the Ray actor, without waiting."""
        try:
            self._found().on_progress.remote(attempt, progress)
        except (exceptions.RayError, NotStarted):
            self._handle = None

    def hold_checkpoint(self, attempt: int, value: bytes | None, before: Any) -> Any:
        """Send an attempt's checkpoint from its Ray task to the Ray actor; return what to wait for.

        That is *before* for the next one: so they arrive in their order, and few are on their way.
        """
        try:
            if before is not None:
                ray.wait([before], timeout=_CHECKPOINT_SECONDS)
            sent = self._found().on_checkpoint.remote(attempt, value)
            if value is not None and len(value) > _INLINED_BYTES:
                # Ray leaves it in this process until it is fetched, and it may end before that.
                ray.wait([sent], timeout=_CHECKPOINT_SECONDS)
        except (exceptions.RayError, NotStarted):
            self._handle = None  # the attempt is interrupted anyway
            return None
        return sent

    def stop_request(self, attempt: int, *, checks: bool = True) -> StopRequest:
        """Return whether an attempt in a Ray task must stop; calls the application's Ray actor.

        *checks*: the job asks for it, and so may take its time to stop.
        """
        request: StopRequest = ray.get(
            self._found().stop_request.remote(attempt, checks=checks),
            timeout=ANSWER_TIMEOUT_SECONDS,
        )
        return request

    # ---- inside ---------------------------------------------------------------------------

    def _runtime(self) -> RemoteRuntime:
        return self._remote

    def call(self, method: str, /, *args: Any, **options: Any) -> Any:
        """Do a *method* of the hosted application in its Ray actor; return what it returns there.

        What must not be done twice is not called again when the actor died.
        """
        return self._ask(
            method,
            args,
            options,
            may_repeat=_may_repeat(method, args),
            answer_timeout=_LONG_ANSWER_SECONDS if method in _LONG else ANSWER_TIMEOUT_SECONDS,
        )

    def _name_there(self, worker: AnyWorker) -> str:
        """Return the name by which the Ray actor knows a worker, which it then does."""
        parcel = pack_worker(worker)
        self.call("define", parcel)
        return parcel.name

    def _ask(
        self,
        what: str,
        args: Sequence[Any] = (),
        options: Mapping[str, Any] | None = None,
        *,
        may_repeat: bool = True,
        answer_timeout: float = ANSWER_TIMEOUT_SECONDS,
    ) -> Any:
        """Call the Ray actor, again if it died, and return its reply.

        Raises what the actor raises, NotStarted and StorageError.
        """
        deadline = time.monotonic() + answer_timeout
        while True:
            is_new = self._handle is None
            try:
                asked = self._found().ask.remote(what, args, options or {})
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
            f"the host of {self._name!r} died before it answered; whether {_NAMES.get(what, what)}"
            " was done is not known. Look with list_jobs, or do it again if twice does no harm"
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


def _may_repeat(method: str, args: Sequence[Any]) -> bool:
    """Return whether a call may be repeated, if the host died before it answered."""
    if method in {"antq_batch", "antq_workflow"}:
        return bool(args) and args[0] in _LOOKS
    return method not in _DONE_ONCE


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

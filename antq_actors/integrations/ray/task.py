"""What runs on a node of the cluster: one attempt, in a process that Ray keeps for the next.

It has no store. What an attempt wants of its application goes to the Ray actor that hosts it; where
none does, jobs cannot be enqueued from there, progress goes nowhere, and an attempt
learns that it must stop by being ended.
"""

from __future__ import annotations

import logging
import pickle
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Unpack

from antq_actors.errors import NotStarted
from antq_actors.executors.base import attempt_runner
from antq_actors.executors.sent_middleware import EnqueuesWithin, SentPipeline
from antq_actors.integrations.ray import parcel
from antq_actors.integrations.ray.client import RayClient
from antq_actors.jobs import current_app
from antq_actors.jobs.control import Control, Progress, Terminated
from antq_actors.jobs.perform import Attempt
from antq_actors.storage.format.kept_values import KeptValues

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from antq_actors.executors.sent_middleware import PackedMiddleware
    from antq_actors.integrations.ray.parcel import WorkerParcel
    from antq_actors.jobs.batch import Batch
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.options import JobOptions
    from antq_actors.jobs.outcome import Failed
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import NewJob, StoredJob
    from antq_actors.jobs.steps import StepRequest

CHECK_INTERVAL_SECONDS: Final = 0.1
"""Least seconds between two checks whether an attempt must stop."""


class Wanted(NamedTuple):
    """An attempt to perform."""

    number: int
    """Of the attempt, where it was started."""
    job: StoredJob
    until: float | None
    """When it times out, by the clock on the wall: the nodes share no other."""
    failed: Failed | None
    """As of an `Attempt`."""
    worker: WorkerParcel | None
    log_level: int
    default_queue: str
    host: str | None
    """The name under which the application is hosted."""
    middleware: PackedMiddleware | None = None
    """What the application has called around jobs; None: nothing."""


def run(pickled: bytes) -> bytes:
    """Perform in a Ray task a pickled attempt; return its outcome and checkpoint, pickled.

    What Ray does with objects that are no bytes takes ten times as long. Raises SystemExit alone,
    and that when Ray ends this process.
    """
    wanted: Wanted = pickle.loads(pickled)  # noqa: S301 - of the application's own process
    logging.basicConfig(level=wanted.log_level)  # to where Ray looks for logs; once
    _sigterm.install()
    _application.represent(wanted.host, wanted.default_queue)
    if wanted.worker is not None:
        parcel.unpack_worker(wanted.worker)
    until = wanted.until
    deadline = None if until is None else time.monotonic() + until - time.time()
    control = Control(deadline)
    if wanted.host is not None:
        control = _RayControl(deadline, client=RayClient(wanted.host), number=wanted.number)
    control.application = lambda: _application
    control.middleware = _application.middleware = _sent(wanted.middleware)
    control.executor = "ray"
    attempt = Attempt(wanted.job, control, wanted.failed)
    try:
        with _sigterm:
            outcome = attempt_runner(attempt, propagate=(Terminated,)).run()
    except Terminated:
        sys.exit(1)  # as Ray would have done without us
    return pickle.dumps((outcome, control.checkpoint), pickle.HIGHEST_PROTOCOL)


_middleware: Final[dict[PackedMiddleware, SentPipeline]] = {}
"""What was sent to this process, which it sets up once."""


def _sent(packed: PackedMiddleware | None) -> SentPipeline | None:
    """Return the middleware that was sent to this Ray process; None: there is none."""
    if packed is None:
        return None
    known = _middleware.get(packed)
    if known is None:
        known = _middleware[packed] = SentPipeline(packed)
    return known


class _RayControl(Control):
    """The control of an attempt whose queue is in the Ray actor that hosts the application."""

    client: Any = None
    number: int = 0
    """Of the attempt, where it was started."""
    sent: Any = None
    """What says that the last checkpoint has arrived; None: there was none."""
    checked_at: float = 0.0
    """When it last asked, on the monotonic clock."""

    def look(self) -> None:
        self._ask(checks=False)

    def cancelled(self) -> bool:
        self._check()
        return super().cancelled()

    def remaining(self) -> float | None:
        self._check()
        return super().remaining()

    def report(self, progress: Progress) -> None:
        self.client.report(self.number, progress)

    def hold_checkpoint(self, value: bytes | None) -> None:
        super().hold_checkpoint(value)
        self.sent = self.client.hold_checkpoint(self.number, value, self.sent)

    def _check(self) -> None:
        now = time.monotonic()
        if self.stop_requested or now - self.checked_at < CHECK_INTERVAL_SECONDS:
            return
        self.checked_at = now
        self._ask(checks=True)

    def _ask(self, *, checks: bool) -> None:
        with suppress(Exception):  # the host is being restarted: then this attempt is ended anyway
            request = self.client.stop_request(self.number, checks=checks)
            self.stop_requested, self.is_cancelled = request


class _Sigterm:
    """Ray's SIGTERM ends an attempt by SystemExit, which would be a failure like any other here."""

    def __init__(self) -> None:
        self._of_ray: Any = None
        self._is_installed = False
        self._performs = False

    def install(self) -> None:
        """Install the SIGTERM handler of a Ray task's process, in front of Ray's own."""
        if not self._is_installed and threading.current_thread() is threading.main_thread():
            self._is_installed = True
            self._of_ray = signal.signal(signal.SIGTERM, self._on_sigterm)

    def __enter__(self) -> None:
        self._performs = True

    def __exit__(self, *_: object) -> None:
        self._performs = False

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        if self._performs:
            self._performs = False
            raise Terminated
        if callable(self._of_ray):
            self._of_ray(number, frame)
        else:
            sys.exit(1)


class _HostedApplication(KeptValues, EnqueuesWithin):
    """Stands for the application, for attempts that enqueue jobs."""

    def __init__(self) -> None:
        self.default_queue = "default"
        self._host: RayClient | None = None
        self._is_known = False

    def represent(self, host: str | None, default_queue: str) -> None:
        """Have jobs of this Ray process enqueue through the application hosted as *host*."""
        self._host = None if host is None else RayClient(host)
        self.default_queue = default_queue
        if not self._is_known:
            self._is_known = True
            current_app.enter(self)

    def enqueue(
        self,
        worker: AnyWorker,
        args: Mapping[str, Any] | None = None,
        /,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Have the hosting Ray actor store a job. Raises NotStarted if none hosts."""
        if self.middleware is not None:
            return self.enqueue_within(self.middleware, worker, args, options)
        return self._hosted().enqueue(worker, args, **options)

    def antq_prepare(
        self, worker: AnyWorker, args: Mapping[str, Any] | None, options: Mapping[str, Any], /
    ) -> NewJob:
        """Have the hosting Ray actor check a job of an attempt. Raises NotStarted if none hosts."""
        if self.middleware is not None:
            return self.prepare_within(self.middleware, worker, args, options)
        return self._hosted().antq_prepare(worker, args, options)

    def antq_check(
        self, worker: AnyWorker, args: Mapping[str, Any], options: Mapping[str, Any]
    ) -> NewJob:
        """Have the hosting Ray actor check a job, and call nothing around that."""
        return self._hosted().antq_check(worker, args, options)

    def antq_insert(self, new: NewJob) -> Job:
        """Have the hosting Ray actor store a job that it has checked."""
        job: Job = self._hosted().call("antq_insert", new)
        return job

    def antq_workflow(self, verb: str, /, *args: Any) -> Any:
        """Have the hosting Ray actor do a verb of workflows. Raises NotStarted if none hosts."""
        return self._hosted().antq_workflow(verb, *args)

    def antq_batch(self, verb: str, /, *args: Any) -> Any:
        """Have the hosting Ray actor do a verb of batches. Raises NotStarted if none hosts."""
        return self._hosted().antq_batch(verb, *args)

    def antq_batch_of(self, id_: int, job: Job, /) -> Batch | None:
        """Return the batch with an id, of which this is a job. Raises NotStarted if none hosts."""
        return self._hosted().antq_batch_of(id_, job)

    def result(self, job_or_id: Any, *, timeout: Any = None) -> Any:
        """Wait for a job through the Ray actor that hosts the application; return its result."""
        return self._hosted().result(job_or_id, timeout=timeout)

    async def aresult(self, job_or_id: Any, *, timeout: Any = None) -> Any:  # noqa: ASYNC109 - its twin
        """Do what `result` does, without stopping the event loop."""
        return await self._hosted().aresult(job_or_id, timeout=timeout)

    def antq_steps(self, request: StepRequest, /) -> Any:
        """Have the hosting Ray actor do what an attempt asks for. Raises NotStarted."""
        return self._hosted().antq_steps(request)

    def _hosted(self) -> RayClient:
        if self._host is None:
            raise NotStarted(
                "the application that runs this job is not hosted on the Ray cluster, so no job can"
                " be stored from a Ray task; host it:\n\n"
                "    from antq_actors import cluster\n"
                "    cluster.host(path, queues=…)"
            )
        return self._host


_application: Final = _HostedApplication()
_sigterm: Final = _Sigterm()

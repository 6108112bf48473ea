"""The contract of an executor, and which executors there are.

``thread`` is the exception that needs no more than an actor's own thread, see `thread.py`. Every
other kind is an object made for one queue: it has an actor that keeps it going, and starts
attempts somewhere else. Each is imported when it is first needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

from antq_actors.introspection import explain_fields
from antq_actors.jobs import instant
from antq_actors.jobs.perform import AttemptRunner, never
from antq_actors.storage.format.encoding import load_job
from antq_actors.storage.format.values import encode_value

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.middleware import Pipeline
    from antq_actors.jobs.outcome import NotRun, Outcome
    from antq_actors.jobs.perform import Attempt, Propagate
    from antq_actors.otp.kernel.child_spec import ChildSpec

THREAD: Final = "thread"
ASYNC: Final = "async"
PROCESS: Final = "process"
RAY: Final = "ray"

_EXECUTORS: Final = {
    ASYNC: "antq_actors.executors.event_loop:LoopExecutor",
    PROCESS: "antq_actors.executors.process.executor:ProcessExecutor",
    # By its name alone, as it is above this package.
    RAY: "antq_actors.integrations.ray:make",
}
"""What makes each executor from its Settings: the module and the name there."""


class NotReady(Exception):
    """The executor's actor is being restarted, or cannot start."""


Done: TypeAlias = "Callable[[Outcome | NotRun | None], object]"
"""Called with how an attempt ended, in any thread, once; a second time does no harm. None: it was
stopped, as requested, and has no outcome. What only the queue knows (the delay of a failure, the
most interruptions) is left open."""


class AttemptHandle(Protocol):
    """An attempt under way in an executor. Both methods return at once, in any thread, and may be
    called again.
    """

    def interrupt(self) -> None:
        """Have the attempt end soon, by force if need be; that is reported, mostly as None."""

    def kill(self) -> bool:
        """Have the attempt end now, if possible; return whether that will be reported soon."""


@explain_fields
class Health(NamedTuple):
    """The state of an executor."""

    kind: str
    """As ``executor=`` names it."""
    running: int
    """Attempts under way."""
    detail: str
    """What it consists of, in a few words."""


class Executor(Protocol):
    """Runs attempts of one queue."""

    kind: str
    """As `executor=` names it."""

    def child(self) -> ChildSpec:
        """Return the spec of the actor that keeps the executor going."""

    def start(self, attempt: Attempt, done: Done) -> AttemptHandle:
        """Start an attempt in this executor, without waiting or taking long. Raises NotReady."""

    def resize(self, concurrency: int) -> None:
        """Have the executor be ready for so many attempts at once."""

    def health(self) -> Health:
        """Return the state of the executor, without waiting."""


class Settings(NamedTuple):
    """What an executor is made with."""

    queue: str
    name: str
    """The name of its actor."""
    concurrency: int
    clock: Callable[[], Instant]
    max_jobs: int | None = None
    """Jobs after which an OS process is replaced."""
    max_memory: int | None = None
    """Bytes of memory above which an OS process is replaced after a job."""
    application: str = ""
    """The name of the application's root supervisor."""
    path: Path | None = None
    """The directory that the application was described with; None: it is volatile."""
    middleware: Pipeline | None = None
    """What the application has called around attempts."""
    tell: Callable[..., None] = lambda *_, **_values: None
    """Called with a class of events and values for its fields, in any thread."""


def make_executor(kind: str, settings: Settings) -> Executor:
    """Make an executor for a queue. Raises NotReady when a library it needs is not installed."""
    if kind not in _EXECUTORS:
        raise NotReady(f"there is no executor {kind!r}")
    module, _, name = _EXECUTORS[kind].partition(":")
    executor: Executor = getattr(importlib.import_module(module), name)(settings)
    return executor


def run_coroutine(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a job's coroutine in this thread; return what it returns, or raise that."""
    from antq_actors.executors import job_threads  # noqa: PLC0415 - asyncio takes long to import

    return job_threads.run_coroutine(coroutine)


def attempt_runner(
    attempt: Attempt,
    clock: Callable[[], Instant] = instant.now,
    propagate: Propagate = (),
    is_abandoned: Callable[[], bool] = never,
) -> AttemptRunner:
    """Return what performs *attempt*, in every executor; see the fields of AttemptRunner."""
    # By position, as by name it would cost three times as much.
    return AttemptRunner(
        *(attempt, load_job, run_coroutine, clock, propagate, is_abandoned, encode_value)
    )

"""The middleware of an application in another process, which performs jobs of it.

There it is called around their attempts, and around what they enqueue, in the thread that enqueues:
the application checks and stores the job, and this process calls the middleware in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec.structs import replace

from antq_actors.errors import ConfigError
from antq_actors.jobs.middleware import Pipeline, check_middleware
from antq_actors.jobs.new_job import check_args
from antq_actors.storage import main_objects
from antq_actors.storage.format.values import encode_and_snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from antq_actors.jobs.job import Job
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import NewJob

PackedMiddleware: TypeAlias = tuple[str | bytes, ...]
"""The middleware of an application for another process: names of classes, and pickled instances."""


def pack_middleware(pipeline: Pipeline) -> PackedMiddleware:
    """Return the middleware of an application for another process. Raises ConfigError."""
    packed: list[str | bytes] = []
    for each in pipeline.given:
        try:
            packed.append(each if isinstance(each, str) else main_objects.dumps_by_value(each))
        except Exception as error:
            raise ConfigError(
                f"middleware {type(each).__name__} cannot be pickled, which processes of jobs need:"
                f" {type(error).__name__}: {error}; give it as 'module:Class', or leave out of its"
                " state (__getstate__) what belongs to this process"
            ) from error
    return tuple(packed)


class SentPipeline(Pipeline):
    """The middleware of an application in another process, unpacked there when it is set up."""

    def __init__(self, packed: PackedMiddleware) -> None:
        super().__init__((), ())
        self._packed: PackedMiddleware | None = packed

    def set_up(self) -> None:
        """Unpack the middleware that was sent to this process, and set it up here."""
        self.unpack()
        super().set_up()

    def unpack(self) -> None:
        """Import and unpickle the middleware, once. Raises what that raises."""
        if self._packed is not None:
            self.begun = None
            unpacked = check_middleware(list(map(_unpacked, self._packed)))
            if unpacked is not None:
                self.__dict__.update(unpacked.__dict__)
            self._packed = None


def _unpacked(packed: str | bytes) -> Any:
    """Return a name as it is, and an instance as it was sent. Raises ConfigError."""
    if isinstance(packed, str):
        return packed
    try:
        return main_objects.loads_by_value(packed)
    except Exception as error:
        raise ConfigError(
            f"a middleware cannot be unpickled in this process: {type(error).__name__}: {error}"
        ) from error


class EnqueuesWithin:
    """Enqueues jobs at an application in another process, within its middleware in this one."""

    middleware: SentPipeline | None = None
    """What that application has called around jobs; None: nothing, or it was not sent yet."""

    @property
    def antq_middleware(self) -> SentPipeline | None:
        """What is called around the enqueuing of jobs."""
        return self.middleware

    def antq_check(
        self, worker: AnyWorker, args: Mapping[str, Any], options: Mapping[str, Any]
    ) -> NewJob:
        """Have the application check a job, and call nothing around that."""
        raise NotImplementedError

    def antq_insert(self, new: NewJob) -> Job:
        """Have the application store a job that it has checked."""
        raise NotImplementedError

    def enqueue_within(
        self,
        middleware: SentPipeline,
        worker: AnyWorker,
        args: Mapping[str, Any] | None,
        options: Mapping[str, Any],
    ) -> Job:
        """Store a job within the middleware, and return it."""
        _, given = encode_and_snapshot(check_args(args))
        middleware.unpack()

        def store(new: NewJob) -> Job:
            return replace(self.antq_insert(new), args=given)

        new = self.antq_check(worker, given, options)
        return middleware.store(middleware.draft(new, given), store)

    def prepare_within(
        self,
        middleware: SentPipeline,
        worker: AnyWorker,
        args: Mapping[str, Any] | None,
        options: Mapping[str, Any],
    ) -> NewJob:
        """Return a job that is to be stored later, and that the middleware has seen."""
        given = check_args(args)
        middleware.unpack()
        return middleware.prepare(self.antq_check(worker, given, options), given)

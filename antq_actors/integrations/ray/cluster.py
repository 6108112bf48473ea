"""An application on a Ray cluster: hosted by one actor next to its store, used from every node.

    from antq_actors import QueueConfig, cluster

    app = cluster.host("/data/jobs", queues={"gpu": QueueConfig(64, executor="ray")})
    app.enqueue(Train, {"model": 7})

    app = cluster.connect()                      # in any other process of the cluster
    Train.perform_async({"model": 8})

The host is a named, detached actor of Ray on the node where it was started, for that is where its
files are. Ray restarts it when it dies, and then it opens the same path and goes on.
"""

from __future__ import annotations

import logging
import os
import pickle
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from antq_actors.app import AntQ, signing_keys
from antq_actors.errors import ConfigError
from antq_actors.integrations.ray import NOT_INSTALLED
from antq_actors.jobs import current_app, resolver
from antq_actors.storage.format.values import load_args

try:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError as error:
    raise ImportError(NOT_INSTALLED) from error

from antq_actors.integrations.ray import executor, parcel
from antq_actors.integrations.ray.client import (
    NAMESPACE,
    RayClient,
    Reply,
    StopRequest,
    find_host,
    hosted_here,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from antq_actors.app.config import QueueConfig
    from antq_actors.app.signing_keys import KeyText
    from antq_actors.jobs.control import Progress
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import NewJob

__all__ = ["NAMESPACE", "RayClient", "connect", "host"]

log: Final = logging.getLogger("antq_actors.cluster")

DEFAULT_NAME: Final = "antq"

MAX_CONCURRENCY: Final = 64
"""Calls that the host carries out at once; each has a thread, and more of them wait."""

RETRY_INTERVAL_SECONDS: Final = 2.0
"""Seconds between two tries to start an application that cannot start."""


def host(
    path: str | os.PathLike[str],
    *,
    queues: Mapping[str, int | QueueConfig] | None = None,
    name: str = DEFAULT_NAME,
    **settings: Any,
) -> RayClient:
    """Host the application over *path* in a Ray actor on this node, or find it; return its client.

    *settings* are those of :class:`antq_actors.AntQ`. Begins Ray as ``ray.init()`` does if this
    process has not. Keys in ``ANTQ_SIGNING_KEYS`` of this process are the application's, also on a
    cluster that was started without them. Raises what AntQ and its start raise, and ConfigError
    when *name* hosts another path.
    """
    where = Path(path).absolute()
    AntQ(where, queues=queues, **settings)  # what is wrong with them is said here
    _begin()
    is_new = find_host(name) is None
    handle = _actor(name).remote(where, queues, name, settings, _keys(settings))
    client = RayClient(name)
    try:
        hosted = client.call("path")
    except Exception:
        if is_new:
            ray.kill(handle, no_restart=True)
        raise
    if hosted != where:
        raise ConfigError(
            f"{name!r} is hosted on this Ray cluster already, over {hosted}; give another name=,"
            f" or connect({name!r})"
        )
    current_app.enter(client)
    return client


def _actor(name: str) -> Any:
    """Return the class of Ray's actor for the host: named, detached, on this node, restarted."""
    return ray.remote(RayHost).options(
        name=name,
        namespace=NAMESPACE,
        get_if_exists=True,
        lifetime="detached",
        max_restarts=-1,
        max_task_retries=0,
        max_concurrency=MAX_CONCURRENCY,
        num_cpus=0,
        scheduling_strategy=NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        ),
    )


def _keys(settings: Mapping[str, Any]) -> list[KeyText]:
    # Ray starts its processes with the environment of the node, and not with that of this one.
    kinds = {
        "signing_key_file": signing_keys.VARIABLE,
        "encryption_key_file": signing_keys.ENCRYPTION.variable,
    }
    found = [
        signing_keys.of_environment(variable)
        for setting, variable in kinds.items()
        if settings.get(setting) is None
    ]
    return [text for text in found if text is not None]


def connect(name: str = DEFAULT_NAME) -> RayClient:
    """Return the client of an application hosted on this Ray cluster; starts Ray if need be.

    Until it is closed, ``perform_async`` in this process enqueues there. Raises NotStarted when
    none is hosted as *name*.
    """
    _begin()
    client = RayClient(name)
    client.call("path")
    current_app.enter(client)
    return client


def _begin() -> None:
    if not ray.is_initialized():
        ray.init()


class RayHost:
    """The actor of Ray that runs the application; :class:`RayClient` is its other half.

    It starts the application when it is made, which is also what Ray does when it restarts it. An
    application that cannot start returns that error to every call, and is tried again. If its tree
    stops, this process ends, so that Ray starts another.
    """

    def __init__(
        self,
        path: Path,
        queues: Mapping[str, int | QueueConfig] | None,
        name: str,
        settings: Mapping[str, Any],
        keys: Sequence[KeyText] = (),
    ) -> None:
        for text in keys:
            text.put_into_environment()
        logging.basicConfig()  # to where Ray looks for logs
        hosted_here.name = name
        self._app = AntQ(path, queues=queues, **settings)
        self._failure: Exception | None = None
        self._stops = False
        self._start()

    def ask(self, what: str, args: Sequence[Any], options: Mapping[str, Any]) -> Reply:
        """Call *what* of this Ray actor's application for a client; return the result or error."""
        if self._failure is not None and what != "stop":
            return Reply(None, _portable(self._failure), _portable(self._failure.__cause__))
        own = getattr(self, f"_{what}", None)
        try:
            if own is not None:
                return Reply(own(*args, **options))
            return Reply(current_app.carry_out(self._app, what, args, options))
        except Exception as error:  # noqa: BLE001 - it is raised there
            return Reply(None, _portable(error), _portable(error.__cause__))

    def on_progress(self, number: int, progress: Progress) -> None:
        """Note the progress of an attempt, reported by its Ray task."""
        executor.on_progress(number, progress)

    def on_checkpoint(self, number: int, value: bytes | None) -> None:
        """Hold the checkpoint of an attempt, passed in its Ray task."""
        executor.on_checkpoint(number, value)

    def stop_request(self, number: int, *, checks: bool = True) -> StopRequest:
        """Return whether an attempt in a Ray task, which perhaps *checks* for that, must stop."""
        return executor.stop_request(number, checks=checks)

    # ---- what a client asks; all else is the application's own ----------------------------------

    def _define(self, worker: parcel.WorkerParcel) -> None:
        parcel.unpack_worker(worker)

    def _enqueue(self, worker: parcel.WorkerParcel, args: bytes, **options: Any) -> Job:
        return self._app.enqueue(_worker(worker), load_args(args), **options)

    def _antq_prepare(
        self, worker: parcel.WorkerParcel, args: bytes, options: Mapping[str, Any]
    ) -> NewJob:
        return self._app.antq_prepare(_worker(worker), load_args(args), options)

    def _antq_check(
        self, worker: parcel.WorkerParcel, args: bytes, options: Mapping[str, Any]
    ) -> NewJob:
        return self._app.antq_check(_worker(worker), load_args(args), options)

    def _enqueue_many(
        self, worker: parcel.WorkerParcel, items: Sequence[bytes], **options: Any
    ) -> list[int]:
        return self._app.enqueue_many(_worker(worker), map(load_args, items), **options)

    def _start(self) -> None:
        try:
            self._app.start()
        except Exception as error:
            self._failure = error
            if not self._stops:
                log.exception("the application cannot start; it is tried again")
                again = threading.Timer(RETRY_INTERVAL_SECONDS, self._start)
                again.daemon = True
                again.start()
        else:
            self._failure = None
            self._app.root.cell.watch(self, self._tree_ended)

    def _stop(self, timeout: float) -> None:
        self._stops = True
        self._app.stop(timeout=timeout)

    def _tree_ended(self, _ref: object, reason: object) -> None:
        if not self._stops:
            log.error("the application gave up: %s; Ray will start another", reason)
            os._exit(1)


def _worker(sent: parcel.WorkerParcel) -> AnyWorker:
    parcel.unpack_worker(sent)
    return resolver.resolve(sent.name, job_id=0)


def _portable(error: BaseException | None) -> BaseException | None:
    """Return *error* if it can be pickled for the Ray client, else a RuntimeError with its text."""
    if error is None:
        return None
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - whether it can travel
    except Exception:  # noqa: BLE001 - any may refuse
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error

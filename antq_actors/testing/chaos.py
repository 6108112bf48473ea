"""Doing harm to an application on purpose: to see in a test what supervision makes of it.

Each function returns when the harm is done. For harm to any actor there is ``otp.chaos``.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import lmdb

from antq_actors.app import AntQ, antq
from antq_actors.app.queries import id_of
from antq_actors.app.runtime import is_within
from antq_actors.checks import short_repr
from antq_actors.errors import NotStarted, StorageError
from antq_actors.jobs import current_app
from antq_actors.otp.kernel.cell import living
from antq_actors.otp.messaging.names import registered
from antq_actors.storage.lmdb.open_stores import close_left_open

if TYPE_CHECKING:
    from antq_actors.app.runtime import Runtime
    from antq_actors.jobs.job import Job
    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.storage.jobs.reader import JobReader

__all__ = ["crash_storage", "fail_next_commit", "hang_worker", "kill_node"]

KILLED_SECONDS: Final = 10.0
"""How long killed actors have to be gone."""
POLL_SECONDS: Final = 0.005


def kill_node(app: AntQ) -> None:
    """End an application as ``kill -9`` of its process would: nothing is given back.

    What the threads of its jobs still say is dropped. The application is stopped then, and its path
    can be started again at once, also by another one. That counts an interruption of each job that
    ran. A job may call it, and goes no further then: it is among those that are killed. A coroutine
    goes on until it waits.
    """
    runtime = _runtime(app)
    if is_within(runtime.names.root):
        # What is killed must not be what kills: the thread of a job is interrupted in between.
        killing = threading.Thread(target=_kill, args=(app, runtime), name="antq kills")
        killing.start()
        while killing.is_alive():
            killing.join(POLL_SECONDS)  # an interruption comes between two of them
    else:
        _kill(app, runtime)


def _kill(app: AntQ, runtime: Runtime) -> None:
    with app._changing:
        runtime.is_stopping = True
        current_app.leave(app)
        node = runtime.node.opened_number
        _kill_actors(app, runtime)
        close_left_open(runtime.path, runtime.names)
        if node is not None:
            with suppress(OSError):
                runtime.node.lost(node)
        runtime.discard()
        with suppress(ValueError):
            antq._started.remove(app)
        app._running = None
        app.antq_hub.set_number(0)


def crash_storage(app: AntQ) -> None:
    """Have the storage actor of an application die; its supervisor has started another by then."""
    store = _runtime(app).store
    has_died: list[bool] = []

    def crash(_reader: JobReader) -> None:
        if not has_died:  # the reader of its successor is asked again
            has_died.append(True)
            raise StorageError("it was crashed on purpose, by chaos.crash_storage()") from (
                lmdb.PanicError("as if the environment could not be used any more")
            )

    store.read(crash)


def fail_next_commit(app: AntQ) -> None:
    """Have the next write of an application fail with a StorageError, and store nothing.

    Whichever that is: an enqueue, or what a queue stores of its jobs, which it repeats.
    """
    _runtime(app).store.tracker.failing = StorageError(
        "the commit failed on purpose, by chaos.fail_next_commit()"
    )


def hang_worker(app: AntQ, job_or_id: Job | int) -> None:
    """Have the next attempt of a job hang in place of ``perform``, until it is ended.

    Its timeout ends it, or a cancellation. Raises JobNotFound.
    """
    runtime = _runtime(app)
    runtime.store.tracker.hanging.add(app.get_job(id_of(job_or_id)).id)


def _runtime(app: AntQ) -> Runtime:
    if not isinstance(app, AntQ):
        raise TypeError(f"chaos is done to an application, an AntQ, got {short_repr(app)}")
    runtime = app._running
    if runtime is None:
        raise NotStarted("this application is not running, so no harm can be done to it")
    return runtime


def _kill_actors(app: AntQ, runtime: Runtime) -> None:
    """Kill the actors of an application, and wait until they are gone.

    None is told to end before it is killed, none is restarted, and none sees the store closed: a
    queue actor would give back what runs, or crash.
    """
    root = runtime.root.cell
    queues = {runtime.names.queue(name) for name in app._config.queues}
    prefix = f"{runtime.names.root}."
    deadline = time.monotonic() + KILLED_SECONDS
    # Again and again: a supervisor may be at a start that it has begun before.
    while (cells := _alive_below(root)) or any(name.startswith(prefix) for name in registered()):
        for cell in cells:
            cell.stopped_with_all = True  # no supervisor starts anything again from now on
        cells.sort(key=lambda cell: cell.name not in queues)
        for cell in cells:
            cell.kill()
        runtime.store.close()  # nobody waits for it any more
        if time.monotonic() > deadline:
            break
        time.sleep(POLL_SECONDS)


def _alive_below(root: ActorCell) -> list[ActorCell]:
    """Return the actors of the tree of *root* that have not ended, the newest first."""
    return [cell for cell in reversed(tuple(living)) if cell.reason is None and _is_in(cell, root)]


def _is_in(cell: ActorCell, root: ActorCell) -> bool:
    above: ActorCell | None = cell
    while above is not None and above is not root:
        above = None if above.parent is None else above.parent.cell
    return above is root

"""Where a process can be made to kill itself: between any two steps of a job's path.

The product knows nothing of this. A failpoint is a row of the table below: the functions that have
to be passed, one after the other, before the process dies by SIGKILL, as if the power had gone at
that very line. ``arm`` wraps them in the process that is to die.

    arm("claim:half-written")     dies when a job is marked running, but not yet in the index
    arm("claim:half-written", 3)  dies when that happens for the third time

A new failpoint is a new row; the names are in the order in which a process comes by. What of a
process's life leads there, ``one_life`` in processes.py has to live, and test_failpoints.py to
prepare.
"""

import importlib
import inspect
import os
import signal
import threading
from collections.abc import Callable
from functools import partial, wraps
from types import SimpleNamespace
from typing import Any, Final, Literal, NamedTuple

import journal

from antq_actors.jobs.outcome import Failed, GivenBack, Snoozed
from antq_actors.jobs.state import ENDED, Status


class Step(NamedTuple):
    """A function to be passed, if *only* says that this call is meant.

    *only* gets the call: its arguments by name, and after it its ``answer``.
    """

    when: Literal["before", "after"]
    where: str
    """``module:attribute.path``"""
    only: Callable[[Any], bool] = lambda call: True


before = partial(Step, "before")
after = partial(Step, "after")

STORE: Final = "antq_actors.storage.jobs.job_store:JobStore"
TABLE: Final = "antq_actors.storage.jobs.table:JobEntries"
BULK: Final = "antq_actors.storage.jobs.bulk_update:BulkUpdate"
CLIENT: Final = "antq_actors.storage.client:StorageClient"
OPENING: Final = "antq_actors.storage.lmdb.open_files"
ENVIRONMENT: Final = "antq_actors.storage.lmdb.environment:Environment"
DIRECTORY: Final = "antq_actors.storage.lmdb.directory"
NODE_LOCK: Final = "antq_actors.storage.locks.node_lock"
TURNS: Final = "antq_actors.storage.jobs.cron_turns"
CRONS: Final = "antq_actors.storage.jobs.cron_table:CronTable"
LIMITED: Final = "antq_actors.storage.jobs.limited_jobs:LimitedJobs"
RUNNER: Final = "antq_actors.jobs.perform:AttemptRunner"
RUNS: Final = "antq_actors.queues.running_attempts:RunningAttempts"
EXITS: Final = "antq_actors.queues.exit_queue:ExitQueue"
STANDING: Final = "antq_actors.storage.requests:StandingClaim"
NODE: Final = "antq_actors.queues.node:QueueNode"
QUEUE_STATE: Final = "antq_actors.queues.queue_state"
ANTQ: Final = "antq_actors.app.antq"
RUNNING: Final = Status.RUNNING

# A verb writes its records; then the transaction's counts are written; then it is committed.
COUNTED: Final = after(f"{STORE}.flush")
COMMITTED: Final = after(f"{ENVIRONMENT}.write")


def _enters(status: Status) -> Step:
    """Return the step between a job's record, which says this status, and its place in the index.

    Of a job that has run: a new one enters the index by its insert.
    """
    return before(
        f"{TABLE}._enter", lambda call: call.state.status is status and call.state.execution > 0
    )


def _changes_to(status: Status) -> Callable[[Any], bool]:
    """Return whether jobs change to this status that are claimed, or have completed, together."""
    return lambda call: call.transition.result.status is status


def _asks(verb: str) -> Callable[[Any], bool]:
    """Return whether a caller wants this verb of the store."""
    return lambda call: call.verb.__name__ == verb


def _settles(outcome: type) -> Step:
    return after(
        f"{STORE}.settle", lambda call: call.answer and isinstance(call.settlement.outcome, outcome)
    )


_INSERTS: Final = after(f"{STORE}._add")
_CLAIMS: Final = after(f"{STORE}._take_due", lambda call: call.claimed)
_COMPLETES: Final = after(
    f"{STORE}._complete_together", lambda call: len(call.answer) < len(call.settlements)
)
_SERVES: Final = after(f"{STANDING}.serve", lambda call: call.answer)
_FIRES: Final = after(f"{TURNS}:fire", lambda call: call.answer.fired)
_KEEPS_LIMITS: Final = after(f"{LIMITED}.flush", lambda call: call.answer)
_PRUNES: Final = after(f"{STORE}.prune", lambda call: call.answer > 0)


# By the rescuer: a queue actor rescues the jobs of its predecessor with the same verb.
def _of_a_dead_node(call: Any) -> bool:
    return call.verb.__name__ == "rescue" and "queue_name" not in call.kwargs


_BEGINS_RESCUE: Final = before(f"{CLIENT}.write", _of_a_dead_node)
_RESCUES: Final = after(f"{STORE}.rescue", lambda call: call.queue_name is None and call.answer > 0)
_HAS_RESCUED: Final = after(f"{CLIENT}.write", _of_a_dead_node)
_STOPS: Final = before(f"{ANTQ}:drain")

FAILPOINTS: Final[dict[str, tuple[Step, ...]]] = {
    # ---- a process opens the store
    "open:directory-made": (after(f"{DIRECTORY}:prepare"),),
    "open:before-tables": (before(f"{OPENING}:open_tables"),),
    "open:tables-made": (after(f"{OPENING}:open_tables"),),
    # ---- it becomes a node
    "node:numbered": (before(f"{NODE_LOCK}:hold"),),
    "node:locked": (after(f"{NODE_LOCK}:hold"),),
    "node:half-recorded": (after(f"{STORE}.add_node"),),
    "node:recorded": (after(f"{CLIENT}.open_node"),),
    # ---- a job comes in
    "insert:before": (before(f"{CLIENT}.write", _asks("insert")),),
    "insert:half-written": (before(f"{TABLE}._enter", lambda call: call.state.execution == 0),),
    "insert:before-counts": (_INSERTS,),
    "insert:before-commit": (_INSERTS, COUNTED),
    "insert:after-commit": (_INSERTS, COMMITTED),
    "insert:before-reply": (after(f"{CLIENT}.write", _asks("insert")),),
    "insert-many:before": (before(f"{CLIENT}.write", _asks("insert_many")),),
    "insert-many:half-stored": (before(f"{TABLE}._enter_many"),),
    "insert-many:before-counts": (after(f"{STORE}.insert_many"),),
    "insert-many:before-commit": (after(f"{STORE}.insert_many"), COUNTED),
    "insert-many:after-commit": (after(f"{STORE}.insert_many"), COMMITTED),
    # ---- it is claimed
    "claim:before": (before(f"{CLIENT}.request_work", lambda call: call.limit > 0),),
    "claim:begun": (after(f"{BULK}._leave", _changes_to(RUNNING)),),
    "claim:half-written": (before(f"{BULK}._enter", _changes_to(RUNNING)),),
    "claim:before-counts": (_CLAIMS,),
    "claim:before-commit": (_CLAIMS, COUNTED),
    "claim:after-commit": (_CLAIMS, COMMITTED),
    "claim:answered": (before(f"{RUNS}.start", lambda call: call.jobs),),
    # ---- or with the transaction that stores it
    "serve:claimed": (_SERVES,),
    "serve:before-commit": (_SERVES, COUNTED),
    "serve:after-commit": (_SERVES, COMMITTED),
    "serve:notified": (_SERVES, after(f"{EXITS}.notify")),
    # ---- it is performed
    "perform:worker-started": (before(f"{RUNNER}._run"),),
    "perform:before": (after(f"{RUNNER}._prepare"),),
    "perform:after": (after(f"{RUNNER}.run"),),
    # ---- its outcome is stored
    "outcome:heard": (after(f"{QUEUE_STATE}:verdict"),),
    "outcome:before": (before(f"{CLIENT}.request_work", lambda call: call.settlements),),
    "outcome:begun": (after(f"{BULK}._leave", _changes_to(Status.COMPLETED)),),
    "outcome:half-written": (before(f"{BULK}._enter", _changes_to(Status.COMPLETED)),),
    "outcome:before-counts": (_COMPLETES,),
    "outcome:before-commit": (_COMPLETES, COUNTED),
    "outcome:after-commit": (_COMPLETES, COMMITTED),
    "outcome:claims-next": (_COMPLETES, _CLAIMS),
    # ---- or it is to be performed again
    "retry:half-written": (_enters(Status.RETRYING),),
    "retry:before-error": (
        after(f"{TABLE}._enter", lambda call: call.state.status is Status.RETRYING),
    ),
    "retry:before-counts": (_settles(Failed),),
    "retry:before-commit": (_settles(Failed), COUNTED),
    "retry:after-commit": (_settles(Failed), COMMITTED),
    "snooze:half-written": (_enters(Status.SCHEDULED),),
    "snooze:before-counts": (_settles(Snoozed),),
    "snooze:before-commit": (_settles(Snoozed), COUNTED),
    "snooze:after-commit": (_settles(Snoozed), COMMITTED),
    # ---- it has a limit
    "limit:waits": (after(f"{LIMITED}._wait"),),
    "limit:counted": (after(f"{LIMITED}._start"),),
    "limit:half-left": (after(f"{LIMITED}._leave"),),
    "limit:next-in-front": (after(f"{LIMITED}._fill"),),
    "limit:before-commit": (_KEEPS_LIMITS, COUNTED),
    "limit:after-commit": (_KEEPS_LIMITS, COMMITTED),
    # ---- a periodic entry is declared
    "entry:half-declared": (after(f"{CRONS}.declare"),),
    "entry:declared": (after(f"{CLIENT}.write", _asks("declare")),),
    # ---- it enqueues a job
    "cron:due": (before(f"{CLIENT}.write", _asks("fire")),),
    "cron:enqueued": (after(f"{TURNS}:insert_unless_refused"),),
    "cron:moved": (after(f"{TURNS}:_fire"),),
    "cron:before-commit": (_FIRES, COUNTED),
    "cron:after-commit": (_FIRES, COMMITTED),
    "cron:answered": (after(f"{CLIENT}.write", _asks("fire")),),
    # ---- it is deleted at last
    "prune:before": (_COMPLETES, before(f"{CLIENT}.write", _asks("prune"))),
    "prune:half-deleted": (after(f"{TABLE}._leave", lambda call: call.state.status in ENDED),),
    "prune:one-deleted": (after(f"{TABLE}.remove"),),
    "prune:before-commit": (_PRUNES, COUNTED),
    "prune:after-commit": (_PRUNES, COMMITTED),
    # ---- another node has died
    "rescue:dead-known": (after(f"{CLIENT}.dead_nodes", lambda call: call.answer),),
    "rescue:half-written": (_BEGINS_RESCUE, _enters(Status.ENQUEUED)),
    "rescue:before-counts": (_RESCUES,),
    "rescue:before-commit": (_RESCUES, COUNTED),
    "rescue:after-commit": (_RESCUES, COMMITTED),
    "rescue:node-known": (_HAS_RESCUED,),
    "rescue:node-half-forgotten": (_HAS_RESCUED, after(f"{STORE}.remove_node")),
    "rescue:node-forgotten": (_HAS_RESCUED, before(f"{NODE_LOCK}:release")),
    "rescue:lock-removed": (_HAS_RESCUED, after(f"{NODE_LOCK}:release")),
    # ---- this one stops
    "stop:before-drain": (_STOPS,),
    "stop:half-given-back": (_STOPS, before(f"{STORE}.settle"), _enters(Status.ENQUEUED)),
    "stop:given-back-before-commit": (_STOPS, _settles(GivenBack), COUNTED),
    "stop:given-back": (_STOPS, _settles(GivenBack), COMMITTED),
    "stop:drained": (after(f"{ANTQ}:drain"),),
    "stop:before-node-closed": (before(f"{NODE}.close"),),
    "stop:node-half-forgotten": (before(f"{NODE}.close"), after(f"{STORE}.remove_node")),
    "stop:node-forgotten": (before(f"{NODE}.close"), before(f"{NODE_LOCK}:release")),
    "stop:node-closed": (after(f"{NODE}.close"),),
    "stop:before-environment-closed": (before(f"{ENVIRONMENT}.close"),),
    "stop:environment-closed": (after(f"{ENVIRONMENT}.close"),),
}


def arm(name: str, nth: int = 1) -> None:
    """Let this process die when it passes a failpoint for the *nth* time."""
    steps = FAILPOINTS[name]
    trap = _Trap(name, len(steps), nth)
    for number, step in enumerate(steps):
        _wrap(step, partial(trap.passed, number))


class _Trap:
    """How far this process is on its way to a failpoint."""

    def __init__(self, name: str, length: int, nth: int) -> None:
        self._name = name
        self._length = length
        self._nth = nth
        self._next = 0
        self._lock = threading.RLock()  # a signal handler may come by while its thread is here

    def passed(self, number: int) -> None:
        with self._lock:
            if number != self._next:
                return
            self._next += 1
            if self._next < self._length:
                return
            self._next = 0
            self._nth -= 1
            if self._nth == 0:
                journal.note("died", detail=self._name)
                os.kill(os.getpid(), signal.SIGKILL)


def _wrap(step: Step, passed: Callable[[], None]) -> None:
    module, _, path = step.where.partition(":")
    *owners, attribute = path.split(".")
    owner = importlib.import_module(module)
    for each in owners:
        owner = getattr(owner, each)
    function = getattr(owner, attribute)
    signature = inspect.signature(function)

    def is_meant(args, kwargs, **more):
        call = signature.bind(*args, **kwargs)
        call.apply_defaults()
        return step.only(SimpleNamespace(**call.arguments, **more))

    @wraps(function)
    def passing(*args, **kwargs):
        if step.when == "before":
            if is_meant(args, kwargs):
                passed()
            return function(*args, **kwargs)
        answer = function(*args, **kwargs)
        if is_meant(args, kwargs, answer=answer):
            passed()
        return answer

    setattr(owner, attribute, passing)

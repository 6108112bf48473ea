"""Fires the periodic entries of a store: enqueues a job for each of their instants.

Each node has such a service, and none is special: whichever wakes up first enqueues the job and
moves the entry on, in one transaction, and the others find nothing to do.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors.errors import CronError, StorageError
from antq_actors.flow.cron_turn import CLOCK_TOLERANCE
from antq_actors.jobs import everywhere, instant
from antq_actors.otp.actors.gen_server import GenServer
from antq_actors.otp.kernel.messages import NOREPLY, Continue
from antq_actors.otp.messaging import calls
from antq_actors.otp.messaging.timers import cancel_timer
from antq_actors.queues.outage import Outage
from antq_actors.queues.services.cron_within import fire_within
from antq_actors.queues.services.housekeeping import rescue_dead_nodes
from antq_actors.storage.jobs import cron_turns, crons

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.middleware import Pipeline
    from antq_actors.otp.messaging.timers import Timer
    from antq_actors.queues.node import QueueNode
    from antq_actors.storage.client import StorageClient
    from antq_actors.storage.jobs.cron_turns import CronTurn, PlannedJob, Seen
    from antq_actors.storage.jobs.crons import CronDeclaration

log: Final = logging.getLogger("antq_actors.queues")

LOOK_SECONDS: Final = 1.0
"""Between two looks at the store and the clock: another process may have changed an entry, and
somebody the clock. A look reads one key."""

RETRY_SECONDS: Final = 5.0
"""Between two tries while the store refuses."""


class Fire(NamedTuple):
    """Do a turn now. A call returns how many jobs were enqueued, or raises StorageError."""


class _Look(NamedTuple):
    """It is time for the next turn."""


@dataclass(slots=True)
class CronDeclarations:
    """What the code of this node declares. It outlives the service, which is restarted."""

    entries: Sequence[CronDeclaration] = ()
    node: int = 0
    """The node under whose number they were declared last; 0: not yet."""
    refresh_after: str | None = ""
    """Behind this name the instants of entries are still to be found anew, as each node does once;
    None: all were. It is kept, so that a store that refuses in between fires no start twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CronConfig:
    """The settings of a cron service."""

    max_interruptions: int
    retention: float | None
    """Seconds after which an entry that no node declares is deleted; None: never."""
    middleware: Pipeline | None = None
    """What is called around the enqueuing of jobs; None: nothing."""


class CronService(GenServer):
    """Declares the entries of this node's code, and fires what is due in the store.

    It sleeps until the next instant, but never for long: the clock may be changed, and the machine
    may sleep. What passed while it could not fire is what the entry's ``missed`` is about.
    """

    def __init__(
        self,
        store: StorageClient,
        node: QueueNode,
        declarations: CronDeclarations,
        config: CronConfig,
        clock: Callable[[], Instant] = instant.now,
    ) -> None:
        super().__init__()
        self._store = store
        self._node = node
        self._declarations = declarations
        self._config = config
        self._middleware: Pipeline | None
        everywhere.follow(self)
        self._clock = clock
        self._outage = Outage()
        self._timer: Timer | None = None
        self._latest_look: Instant = 0
        self._next_sweep: float = 0.0
        self._fired = 0

    def equip(self) -> None:
        """Take the middleware that is called now around the enqueuing of jobs."""
        current = everywhere.current(self._config.middleware)
        self._middleware = None if current is None else current.to_enqueue

    def init(self) -> Continue:
        """Declare what the code of this node says, so that it is there when the node has started.

        Raises CronError where code takes the name of an entry that was made at runtime.
        """
        if not self._declarations.node:
            names = [each.name for each in self._declarations.entries]
            for name in self._store.read(crons.find_taken, names):
                raise crons.taken(name)
            with suppress(StorageError):  # the first turn tries again, and says why
                self._declare()
        return Continue()

    def handle_continue(self, _token: object) -> None:
        """Do the first turn."""
        self._turn()

    def handle_info(self, message: Any) -> None:
        """Do a turn when the timer says so."""
        if isinstance(message, _Look):
            self._turn()
        else:
            super().handle_info(message)

    def handle_cast(self, request: Any) -> None:
        """Do a turn now: an entry was changed in this process."""
        if isinstance(request, Fire):
            self._turn()
        else:
            super().handle_cast(request)

    def handle_call(self, request: Any) -> Any:
        """Do a turn now; return how many jobs it enqueued. Raises StorageError in the caller."""
        if not isinstance(request, Fire):
            return super().handle_call(request)
        try:
            self.run_once()
        except StorageError as error:
            calls.reply_error(self.from_, error)
            return NOREPLY
        return self._fired

    def _turn(self) -> None:
        """Do a turn and set the timer for the next one."""
        if self._timer is not None:
            cancel_timer(self._timer)
        try:
            next_at = self.run_once()
        except StorageError as error:
            if self._outage.refused(time.monotonic()):
                log.warning("nothing periodic is enqueued, until the store can be used: %s", error)
            seconds = RETRY_SECONDS
        else:
            self._outage.over(time.monotonic())
            seconds = LOOK_SECONDS
            left = None if next_at is None else instant.seconds_until(next_at, self._clock)
            if left is not None:
                seconds = min(seconds, max(0.0, left))
        self._timer = self.send_after(seconds, _Look())

    def run_once(self) -> Instant | None:
        """Fire what is due in the store now; return the next instant. Raises StorageError."""
        self._fired = 0
        self._declare()
        now = self._clock()  # not before: a store that is busy may have been waited for
        if now < self._latest_look - CLOCK_TOLERANCE:
            after: str | None = ""
            while after is not None:
                after = self._refresh(after, now, is_start=False)
            self._latest_look = now
        self._latest_look = max(self._latest_look, now)
        if time.monotonic() >= self._next_sweep:
            self._sweep(now)
        next_at = self._store.read(cron_turns.head)
        if next_at is not None and next_at <= now:
            turn = self._fire(now)
            for warning in turn.warnings:
                log.warning("%s", warning)
            self._fired, next_at = turn.fired, turn.next_at
        return next_at

    def _fire(self, now: Instant) -> CronTurn:
        """Fire what is due, within the middleware if there is any: then one entry at a time."""
        middleware, store = self._middleware, self._store
        if middleware is None:
            return store.write(cron_turns.fire, now=now)
        jobs = store.read(cron_turns.due_jobs, now, 1)
        return fire_within(
            middleware,
            jobs,
            lambda seen: store.write(cron_turns.fire, now=now, limit=1, seen=seen),
        )

    def _declare(self) -> None:
        """Store what this node declares, once under each number that it gets."""
        declared = self._declarations
        node = self._node.number(self._rescue)
        if node == declared.node and declared.refresh_after is None:
            return
        if node != declared.node:
            is_start, entries = not declared.node, list(declared.entries)
            while entries:
                chunk, entries = entries[: cron_turns.MOST_DUE], entries[cron_turns.MOST_DUE :]
                try:
                    self._store.write(
                        crons.declare, chunk, node=node, now=self._clock(), changes=is_start
                    )
                except CronError as error:  # it was made since this node looked
                    log.error("%s", error)  # noqa: TRY400 - no news in the traceback
            declared.node = node
        while declared.refresh_after is not None:
            declared.refresh_after = self._refresh(
                declared.refresh_after, self._clock(), is_start=True
            )

    def _rescue(self) -> None:
        rescue_dead_nodes(
            self._store, max_interruptions=self._config.max_interruptions, now=self._clock()
        )

    def _refresh(self, after: str, now: Instant, *, is_start: bool) -> str | None:
        """Find the next instants of some entries behind a name anew; return where to go on."""
        store, node = self._store, self._declarations.node
        jobs: Sequence[PlannedJob] = ()
        if is_start and self._middleware is not None:
            jobs = store.read(cron_turns.boot_jobs, after, node=node, now=now)

        def refresh(seen: Seen | None) -> tuple[str | None, list[str]]:
            return store.write(
                cron_turns.refresh, after, node=node, now=now, is_start=is_start, seen=seen
            )

        middleware = self._middleware
        if middleware is None:
            following, warnings = refresh(None)
        else:
            following, warnings = fire_within(middleware, jobs, refresh)
        for warning in warnings:
            log.warning("%s", warning)
        return following

    def _sweep(self, now: Instant) -> None:
        """Delete the entries that no node has declared for longer than they are kept."""
        seconds = self._config.retention
        kept = None if seconds is None else round(seconds * instant.SECOND)
        after: str | None = ""
        while after is not None:
            after, names = self._store.read(crons.find_dormant, after)
            if not names:
                continue
            for name in self._store.write(crons.sweep, names, retention=kept, now=now):
                log.info("periodic entry %r was deleted: no node has declared it any more", name)
        self._next_sweep = time.monotonic() + min(3_600.0, seconds or 3_600.0)

"""The running system on one screen: every actor, its name, its supervisor, its order.

antq                    one_for_one
├── storage             the storage actor; LMDB is opened and closed here and nowhere else
├── queues              one_for_one: a queue that keeps crashing stops no other
│   └── <queue name>    one_for_all: a queue and its workers live and die together
│       ├── workers     dynamic, one temporary child per running job; and the executors that run
│       │               jobs outside of threads, each started when it is needed
│       └── queue       the queue actor
├── rescuer             gives back the jobs of nodes that died; before this one claims any, the
│                       first queue actor does
├── pruner              deletes ended jobs past their retention
├── cron                enqueues the jobs of periodic entries at their instants
└── flow                goes on with what was too much for one transaction, such as a large cascade
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from antq_actors.backoff import Backoff
from antq_actors.jobs import instant
from antq_actors.otp.kernel.child_spec import Strategy
from antq_actors.otp.messaging.calls import cast
from antq_actors.otp.messaging.names import AlreadyStarted
from antq_actors.otp.supervision.supervisor import Supervisor
from antq_actors.queues.messages import QueueSettings, Wake
from antq_actors.queues.queue_actor import QueueActor, wake_for_jobs, wake_queue
from antq_actors.queues.running_attempts import Workers
from antq_actors.queues.services.cron import CronConfig, CronService
from antq_actors.queues.services.flow import FlowService
from antq_actors.queues.services.housekeeping import Pruner, PrunerConfig, Rescuer, RescuerConfig
from antq_actors.storage.actor import StorageActor
from antq_actors.storage.jobs.tasks import TASKS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from antq_actors.app.config import Config, QueueConfig
    from antq_actors.jobs.instant import Instant
    from antq_actors.otp.kernel.cell import ServerRef
    from antq_actors.otp.kernel.child_spec import ChildSpec
    from antq_actors.queues.node import QueueNode
    from antq_actors.queues.services.cron import CronDeclarations
    from antq_actors.storage.client import StorageClient

WATCH_INTERVAL_SECONDS: Final = 0.05
"""Seconds between two looks for jobs that another process has stored; a look costs microseconds."""

QUEUE_SHUTDOWN_SECONDS: Final = 15.0
"""Seconds a queue actor has to give back what runs when it is stopped."""

QUEUE_BACKOFF: Final = Backoff(first=2.0, longest=5.0)
"""A queue actor that crashed cannot begin anew while the store refuses: it gives back jobs first.
So seldom, its tries use up no supervisor's restarts; the storage actor decides when to give up."""


@dataclass(frozen=True, slots=True)
class ActorNames:
    """The registered names of one application's actors; several may run in a process."""

    root: str

    @property
    def cron(self) -> str:
        """The registered name of the application's cron service."""
        return f"{self.root}.cron"

    @property
    def flow(self) -> str:
        """The registered name of the application's flow service."""
        return f"{self.root}.flow"

    @property
    def storage(self) -> str:
        """The registered name of the application's storage actor."""
        return f"{self.root}.storage"

    def workers(self, queue: str) -> str:
        """Return the registered name of the supervisor of a queue's worker actors."""
        return f"{self.root}.workers.{queue}"

    def queue(self, queue: str) -> str:
        """Return the registered name of a queue actor."""
        return f"{self.root}.queue.{queue}"


def start(
    config: Config,
    names: ActorNames,
    path: Path,
    store: StorageClient,
    node: QueueNode,
    *,
    declarations: CronDeclarations,
    runs_queues: bool,
    clock: Callable[[], Instant] = instant.now,
) -> ServerRef:
    """Start the application's supervision tree over the store in *path* and return its root.

    Unless it *runs_queues*, the storage actor is its only child; see :func:`start_flow`.

    Raises otp.StartError, which names the child that did not start.
    """
    children = [_storage(config, names, path, store, runs_queues=runs_queues, clock=clock)]
    if runs_queues:
        children += [
            Supervisor.child_spec(
                [_queue(config, names, name, store, node, clock=clock) for name in config.queues],
                id="queues",
            ),
            Rescuer.child_spec(
                store,
                RescuerConfig(max_interruptions=config.max_interruptions),
                clock,
                id="rescuer",
            ),
        ]
        if config.retention is not None:
            children.append(
                Pruner.child_spec(
                    store, PrunerConfig(retention=config.retention), clock, id="pruner"
                )
            )
        children.append(_cron(config, names, store, node, declarations, clock=clock))
        children.append(FlowService.child_spec(store, clock, id="flow", name=names.flow))
    root: ServerRef = Supervisor.start(children, name=names.root)
    return root


def start_flow(
    root: ServerRef, names: ActorNames, store: StorageClient, clock: Callable[[], Instant]
) -> None:
    """Have an application without queues do the tasks of its store as well, until it stops."""
    with suppress(AlreadyStarted):
        Supervisor.start_child(
            root, FlowService.child_spec(store, clock, id="flow", name=names.flow)
        )
    cast(names.flow, Wake())


def _storage(
    config: Config,
    names: ActorNames,
    path: Path,
    store: StorageClient,
    *,
    runs_queues: bool,
    clock: Callable[[], Instant],
) -> ChildSpec:
    queue_actors = {name: names.queue(name) for name in config.queues} if runs_queues else {}
    commanded = queue_actors | {TASKS: names.flow} if runs_queues else {}
    return StorageActor.child_spec(
        path,
        wake=partial(wake_for_jobs, queue_actors),
        wake_for_commands=partial(wake_queue, commanded, Wake(check_commands=True)),
        durable=config.path is not None,
        owner=names,
        signer=config.signer,
        idle=store.idle,
        waits=store.waits,
        tracker=store.tracker,
        counts=store.counts,
        clock=clock,
        watch_interval=WATCH_INTERVAL_SECONDS if config.path and runs_queues else None,
        id="storage",
        name=names.storage,
        shutdown=math.inf,  # a commit is never cut short
    )


def _cron(
    config: Config,
    names: ActorNames,
    store: StorageClient,
    node: QueueNode,
    declarations: CronDeclarations,
    *,
    clock: Callable[[], Instant],
) -> ChildSpec:
    settings = CronConfig(
        max_interruptions=config.max_interruptions,
        retention=config.retention,
        middleware=config.middleware,
    )
    return CronService.child_spec(
        store, node, declarations, settings, clock, id="cron", name=names.cron
    )


def _queue(
    config: Config,
    names: ActorNames,
    name: str,
    store: StorageClient,
    node: QueueNode,
    *,
    clock: Callable[[], Instant],
) -> ChildSpec:
    queue: QueueConfig = config.queues[name]
    settings = QueueSettings(
        name=name,
        concurrency=queue.concurrency,
        check_interval=float(queue.check_interval),  # type: ignore[arg-type]  # seconds now
        max_interruptions=config.max_interruptions,
        node=node,
        workers=names.workers(name),
        application=names.root,
        path=config.path,
        executor=queue.executor,
        max_jobs=queue.max_jobs,
        max_memory=queue.max_memory,
        max_abandoned=queue.max_abandoned,
        middleware=config.middleware,
    )
    return Supervisor.child_spec(
        [
            Workers.child_spec(id="workers", name=names.workers(name)),
            QueueActor.child_spec(
                store,
                settings,
                clock,
                id="queue",
                name=names.queue(name),
                shutdown=QUEUE_SHUTDOWN_SECONDS,
            ),
        ],
        strategy=Strategy.ONE_FOR_ALL,
        backoff=QUEUE_BACKOFF,
        id=name,
    )

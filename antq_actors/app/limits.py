"""What an application says of limits: it is checked at once, and stored when a node starts.

A limit is known to a store by what the node that started last says of it. So an application with
queues stores the limits of its queues and of all workers that are defined by then. One that only
enqueues stores what the store does not know yet, with the first job of a worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from antq_actors.flow.limit_options import limit_rule
from antq_actors.jobs import declared_limits, limits
from antq_actors.storage.jobs.job_store import JobStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from antq_actors.app.config import QueueConfig
    from antq_actors.flow.limits import LimitRule
    from antq_actors.jobs.limits import JobLimit
    from antq_actors.storage.client import StorageClient


def of_queue(name: str, queue: QueueConfig) -> tuple[JobLimit, ...]:
    """Return the limits that each job of a queue passes, but not those of the queue as a whole."""
    return limits.queue_limits(name, queue.rate_limit, queue.limits)


def check(queues: Mapping[str, QueueConfig]) -> None:
    """Raise ConfigError if two of *queues*, or one and a worker, say different things of a limit.

    And for limits of a queue that do not go together.
    """
    known: dict[str, tuple[LimitRule, str]] = {}
    for rule, owner in _rules(queues):
        other, its_owner = known.setdefault(rule.name, (rule, owner))
        if other != rule:
            raise declared_limits.two_rules(rule, owner, other, its_owner)
        declared_limits.refuse_other(rule, owner)


def declare(store: StorageClient, queues: Mapping[str, QueueConfig]) -> None:
    """Store what this process says of limits, in place of what other nodes said before.

    Of a queue also that it has none. Raises StorageError.
    """
    rules = {rule.name: rule for rule in declared_limits.declared_rules()}
    for name, queue in queues.items():
        rules.update((limit.rule.name, limit.rule) for limit in of_queue(name, queue))
    store.write(JobStore.declare_limits, list(rules.values()), replace=True)
    for name, queue in queues.items():
        rate, passes = _of_whole_queue(name, queue), limits.as_stored(of_queue(name, queue))
        store.write(JobStore.declare_queue, name, queue.global_concurrency, rate, passes)


def _rules(queues: Mapping[str, QueueConfig]) -> list[tuple[LimitRule, str]]:
    """Return each rule that a queue has, and the queue as an error names it."""
    found = []
    for name, queue in queues.items():
        owner = f"queue {name!r}"
        found += [(limit.rule, owner) for limit in of_queue(name, queue)]
        whole = _of_whole_queue(name, queue)
        found += [] if whole is None else [(whole, owner)]
    return found


def _of_whole_queue(name: str, queue: QueueConfig) -> LimitRule | None:
    rate_limit = queue.rate_limit
    if rate_limit is None or not limits.is_of_whole_queue(rate_limit):
        return None
    return limit_rule(name, rate_limit)

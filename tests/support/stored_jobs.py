"""Makers for the tests of the store."""

from antq_actors.flow.limits import GateKey, gate_id
from antq_actors.jobs import lifecycle
from antq_actors.jobs.state import ACTIVE, GateRef, JobFlow, JobSpec, NewJob
from antq_actors.jobs.unique import unique_digest
from antq_actors.storage.admin.verify import verify
from antq_actors.storage.format import values
from antq_actors.storage.format.records import Settlement
from antq_actors.storage.jobs import job_store

WORKER = "shop:Mail"


def a_new_job(
    args=None,
    *,
    now=0,
    queue="mail",
    due=None,
    priority=0,
    max_attempts=1,
    unique=None,
    statuses=ACTIVE,
    worker=WORKER,
    gates=(),
):
    """*gates*: a name, or a name and a key, of each limit that the job passes."""
    args = args or {}
    refs, gate_keys = limits_of(gates)
    return NewJob(
        lifecycle.create(
            queue_name=queue, now=now, due=due, priority=priority, max_attempts=max_attempts
        ),
        JobSpec(
            worker=worker,
            args=values.encode_args(args),
            inserted_at=now,
            unique=unique,
            unique_statuses=tuple(sorted(statuses)) if unique else (),
            unique_digest=unique_digest(worker, queue, args, unique) if unique else None,
            flow=JobFlow(refs) if refs else None,
        ),
        gate_keys,
    )


def gate(name, key=None):
    """Return the digest of a limit at a key."""
    return gate_id(name, None if key is None else str(key).encode())


def limits_of(gates):
    """Return what a job's spec says of these gates, and what people read of their keys."""
    pairs = [(each, None) if isinstance(each, str) else each for each in gates]
    refs = tuple(GateRef(gate(*pair)) for pair in pairs)
    keys = tuple(
        GateKey(gate(name, key), name, None if key is None else str(key).encode(), str(key))
        for name, key in pairs
    )
    return refs, keys


class Store:
    """The verbs, each in a transaction of its own, after which the tables must agree."""

    def __init__(self, env):
        self.env = env

    def has_nodes(self, *nodes):
        """Record these nodes; return itself."""
        for node in nodes:
            job_store.write(self.env, lambda store, node=node: store.add_node(node))
        return self

    def __getattr__(self, verb):
        def run(*args, **kwargs):
            try:
                return job_store.write(
                    self.env, lambda store: getattr(store, verb)(*args, **kwargs)
                )
            finally:
                assert self.findings() == []

        return run

    def findings(self):
        return self.env.read(lambda txn: verify(txn, self.env.tables))

    def claim(self, *, limit=1, now=0, queue="mail", node=1):
        return self.work(queue, [], node=node, limit=limit, now=now).jobs

    def end(self, job, outcome, *, now=0):
        """Settle the execution in which *job* was claimed."""
        return self.settle(Settlement(job.id, job.state.execution, outcome), now=now)

    def ids(self, filter_, *span, **options):
        return [job.id for job in self.page(filter_, *span, **options)]

"""Random graphs, and whatever is done with their jobs, against a small model of the rules."""

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from support.stored_jobs import Store, a_new_job

from antq_actors.errors import JobNotFound, NotCancellable, NotRetryable
from antq_actors.jobs.outcome import COMPLETED, Cancelled, Failed, GivenBack
from antq_actors.storage.jobs import dependents
from antq_actors.storage.jobs.graph import GraphNode
from antq_actors.storage.jobs.group_verbs import NewGroup
from antq_actors.storage.jobs.groups import WORKFLOW
from antq_actors.storage.lmdb.open_stores import open_environment
from antq_actors.workflows.edges import Condition

OUTCOMES = {"completed": COMPLETED, "failed": Failed("no"), "cancelled": Cancelled("no")}
BAD = ("failed", "cancelled", "deleted")


@dataclass
class Node:
    """A job of the model: what it waits for, by the number of the other one."""

    edges: dict[int, Condition]
    status: str = "suspended"
    is_cut: bool = False


@dataclass
class Model:
    """Looks at all edges again and again, until nothing changes."""

    nodes: list[Node] = field(default_factory=list)

    def settle(self):
        while sum(self.look_at(node) for node in self.nodes):  # each one, not up to the first
            pass

    def look_at(self, node):
        before = (node.status, node.is_cut, dict(node.edges))
        if node.status in ("suspended", "cancelled"):
            is_unneeded = self.drop_met(node)
            has_cut = any(
                condition is Condition.SUCCESS and self.nodes[up].status in BAD
                for up, condition in node.edges.items()
            )
            if node.status == "suspended" or node.is_cut:
                self.judge(node, has_cut=has_cut, is_unneeded=is_unneeded)
        return (node.status, node.is_cut, node.edges) != before

    def drop_met(self, node):
        for up, condition in list(node.edges.items()):
            status = self.nodes[up].status
            if up not in node.edges or status not in (*BAD, "completed"):
                continue
            if condition is Condition.FAILURE:
                if status in BAD:
                    for each in [u for u, c in node.edges.items() if c is Condition.FAILURE]:
                        del node.edges[each]
                else:
                    del node.edges[up]
                    if Condition.FAILURE not in node.edges.values():
                        return True
            elif condition is Condition.END or status == "completed":
                del node.edges[up]
        return False

    @staticmethod
    def judge(node, *, has_cut, is_unneeded):
        if is_unneeded:
            node.status, node.is_cut = "cancelled", False
            node.edges.clear()
        elif has_cut:
            node.status, node.is_cut = "cancelled", True
        else:
            node.status = "suspended" if node.edges else "enqueued"
            node.is_cut = False

    def retry(self, node):
        """Return whether the job may be retried, and do it."""
        if node.status not in ("completed", "failed", "cancelled"):
            return False
        cut = [
            self.nodes[up].status
            for up, condition in node.edges.items()
            if condition is Condition.SUCCESS and self.nodes[up].status in BAD
        ]
        if any(status != "deleted" for status in cut):
            return False
        node.edges = {u: c for u, c in node.edges.items() if self.nodes[u].status != "deleted"}
        node.status = "suspended" if node.edges else "enqueued"
        node.is_cut = False
        return True


@st.composite
def graphs(draw):
    """For each job what it waits for, among those before it."""
    nodes = []
    for i in range(draw(st.integers(2, 9))):
        ups = draw(st.lists(st.integers(0, i - 1), unique=True, max_size=4)) if i else []
        nodes.append({up: draw(st.sampled_from(list(Condition)[:3])) for up in ups})
    return nodes


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["completed", "failed", "cancelled", "retry", "cancel", "delete"]),
        st.integers(0, 8),
    ),
    max_size=25,
)


def change(store, model, ids, kind, at):
    """Change a job in the store and in the model; both have to refuse the same."""
    node, id_ = model.nodes[at], ids[at]
    if kind in OUTCOMES:
        if node.status == "enqueued":
            end(store, id_, OUTCOMES[kind])
            node.status = kind
    elif kind == "delete":
        if node.status != "deleted":
            store.delete(id_, now=5)
            node.status = "deleted"
    elif kind == "cancel":
        may_be = node.status not in ("deleted", "completed", "failed")
        assert tried(store.cancel, id_) == may_be
        node.status = "cancelled" if may_be else node.status
    else:
        assert tried(store.retry, id_) == model.retry(node)


def end(store, id_, outcome):
    """Claim all that is due, settle one of them, and give the others back."""
    for job in store.claim(limit=20, now=5):
        store.end(job, outcome if job.id == id_ else GivenBack(), now=5)


def tried(verb, id_):
    """Return whether a verb was done, and not refused."""
    try:
        verb(id_, now=5)
    except (JobNotFound, NotCancellable, NotRetryable):
        return False
    return True


@given(graphs(), CHANGES, st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_each_job_is_as_the_model_says_whatever_is_done(graph, changes, budget):
    with (
        TemporaryDirectory() as directory,
        mock.patch.object(dependents, "MOST_CHANGED", budget),
    ):
        env = open_environment(Path(directory) / "store", durable=False)
        try:
            _try(Store(env).has_nodes(1), graph, changes)
        finally:
            env.close()


def _try(store, graph, changes):
    group = store.create_group(NewGroup(WORKFLOW, "flow", 0))
    nodes = [
        GraphNode(a_new_job(), tuple((~up, condition) for up, condition in ups.items()))
        for ups in graph
    ]
    ids = store.insert_graph(group, nodes, now=1)
    model = Model([Node(dict(ups)) for ups in graph])
    model.settle()
    for kind, at in changes:
        change(store, model, ids, kind, at % len(ids))
        while store.do_task(now=6):
            pass
        model.settle()
        assert [status_of(store, id_) for id_ in ids] == [
            (node.status, node.is_cut) if node.status != "deleted" else ("deleted", False)
            for node in model.nodes
        ]


def status_of(store, id_):
    try:
        state = store.get(id_).state
    except JobNotFound:
        return "deleted", False
    return str(state.status), state.composed.is_cut

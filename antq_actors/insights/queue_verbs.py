"""What can be done to queues, and to the nodes that run them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antq_actors.app.node_socket import ask
from antq_actors.insights import fields
from antq_actors.insights.doing import Doer, NotPossible, done
from antq_actors.insights.nodes import read_nodes
from antq_actors.insights.queues import LivingNodes, handle_of, read_queue
from antq_actors.jobs.stepping import check_stops_on
from antq_actors.queues.messages import check_concurrency
from antq_actors.storage.jobs.job_store import JobStore

if TYPE_CHECKING:
    from antq_actors.app.queue_handle import QueueHandle
    from antq_actors.insights.doing import Done


class QueueVerbs(Doer):
    """Pauses queues, resumes them, lets them on job by job, and drains nodes.

    Each verb of a queue raises UnknownQueue; its item is the queue.
    """

    def pause(self, name: object, *, reason: object = None) -> Done:
        """Have a queue claim no more jobs, on every node."""
        with self._acting("pause", f"queue {name}", reason) as acting:
            queue = self._queue(name)
            queue.pause(by=self._visitor.name, reason=fields.text(reason, "reason"))
        return done(acting, read_queue(self._source, queue.name))

    def resume(self, name: object, *, reason: object = None) -> Done:
        """Have a queue claim jobs again."""
        with self._acting("resume", f"queue {name}", reason) as acting:
            queue = self._queue(name)
            queue.resume()
        return done(acting, read_queue(self._source, queue.name))

    def set_concurrency(
        self, name: object, *, n: object = None, node: object = None, reason: object = None
    ) -> Done:
        """Have a queue perform up to *n* jobs at once on a *node*, or on each that runs it.

        Until the node restarts. Raises NotPossible where none runs it.
        """
        with self._acting("concurrency", f"queue {name}", reason) as acting:
            queue = self._queue(name)
            most = check_concurrency(fields.needed_number(n, "n"))
            number = fields.number(node, "node")
            living = LivingNodes.read(self._source).of(queue.name)
            nodes = list(living) if number is None else [number]
            if not living or not set(nodes) <= living.keys():
                raise NotPossible(_no_node(queue.name, number, sorted(living)))
            were = {each: slots for each in nodes if (slots := living[each].concurrency)}
            self._store.write(JobStore.set_concurrency_command, queue.name, most, nodes, were)
        return done(acting, read_queue(self._source, queue.name))

    def step(
        self,
        name: object,
        *,
        n: object = None,
        id: object = None,  # noqa: A002 - as the field is named
        reason: object = None,
    ) -> Done:
        """Let the first *n* jobs of a paused queue start, or the one with this *id*.

        Their ``ids`` are answered as well. Raises QueueNotPaused.
        """
        with self._acting("step", f"queue {name}", reason) as acting:
            queue = self._queue(name)
            count, job = fields.number(n, "n"), fields.number(id, "id")
            if job is not None and count not in (None, 1):
                raise ValueError(f"give n or id, not both: n is {count}, and id is {job}")
            ids = queue.step(count or 1, job=job)
        return done(acting, read_queue(self._source, queue.name), ids=ids)

    def add_breakpoint(
        self,
        name: object,
        *,
        worker: object = None,
        arg: object = None,
        on: object = None,
        reason: object = None,
    ) -> Done:
        """Have a queue paused by itself at such a job; the item is the breakpoint."""
        with self._acting("breakpoint", f"queue {name}", reason) as acting:
            queue = self._queue(name)
            added = queue.add_breakpoint(
                worker=fields.text(worker, "worker"),
                args=fields.arguments(arg, "arg"),
                on=check_stops_on(fields.text(on, "on") or "claim"),
            )
        (item,) = (each for each in queue.breakpoints() if each.id == added)
        return done(acting, item)

    def remove_breakpoint(self, name: object, *, id: object = None, reason: object = None) -> Done:  # noqa: A002 - as the field is named
        """Remove a breakpoint; a queue that it has paused stays paused."""
        with self._acting("unbreak", f"queue {name}", reason) as acting:
            queue = self._queue(name)
            queue.remove_breakpoint(fields.needed_number(id, "id"))
        return done(acting, read_queue(self._source, queue.name))

    def _queue(self, name: object) -> QueueHandle:
        return handle_of(self._source, fields.needed_text(name, "name"))

    # ---- nodes --------------------------------------------------------------------------------

    def drain(self, number: object, *, reason: object = None) -> Done:
        """Have a node claim no more jobs, and end when those that run have.

        Raises LookupError for a node that there is not, NodeUnreachable.
        """
        with self._acting("drain", f"node {number}", reason) as acting:
            node = fields.needed_number(number, "number")
            living = {each.number for each in self._source.app.nodes() if each.alive}
            if node not in living:
                raise LookupError(f"there is no living node {node}")
            runtime = self._source.runtime
            if node == runtime.node.opened_number:
                runtime.node_drain.begin()
            else:
                ask(runtime.path, node, "drain", {})
            acting.note()
        found = [each for each in read_nodes(self._source) if each.node == node]
        return done(acting, found[0] if found else None)


def _no_node(queue: str, number: int | None, living: list[int]) -> str:
    if not living:
        return f"no node runs queue {queue!r}, so there are no slots to change; start one first"
    nodes = ", ".join(map(str, living))
    return f"node {number} does not run queue {queue!r}; living nodes that do: {nodes}"

"""What an application does with workflows: starts them, finds them, and serves their handles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from antq_actors.app.workflow import Workflow, output_name
from antq_actors.checks import checked_open, short_repr
from antq_actors.errors import AlreadyExists
from antq_actors.jobs.control import APPLICATION
from antq_actors.jobs.worker import in_thread

if TYPE_CHECKING:
    from antq_actors.app.remote import RemoteRuntime
    from antq_actors.app.runtime import Runtime
    from antq_actors.app.workflow_nodes import Group, Node
    from antq_actors.app.workflow_run import WorkflowRun


class WorkflowVerbs:
    """The workflows of an application, once it runs."""

    def _runtime(self) -> Runtime | RemoteRuntime:
        raise NotImplementedError

    def start_workflow(
        self, flow: Workflow, output: Node | Group | str | None = None
    ) -> WorkflowRun:
        """Store a workflow and return it; its jobs begin as soon as nothing is in their way.

        It is stored in one transaction, whole or not at all. One of more than 5,000 nodes is stored
        piece by piece, and runs meanwhile; if a piece is refused it is cancelled. *output*: the
        node, or its name, whose result is that of the workflow; of a group, the list of theirs.

        Raises CycleError, UnknownNode and WorkflowError for a graph that makes no sense;
        AlreadyExists, with the ``workflow``, while one with its name and key is open, and for a
        duplicate of a unique job; UnknownQueue, and what ``enqueue`` raises for a job of a group.
        """
        if not isinstance(flow, Workflow):
            raise TypeError(
                f"start_workflow takes a Workflow, a chain() or a group(), got {short_repr(flow)}"
            )
        try:
            run: WorkflowRun = self.antq_workflow("start", flow, output_name(flow, output))
        except AlreadyExists as error:
            if error.workflow is not None:
                error.workflow = error.workflow.antq_on(self)
            raise
        flow.started.add(run.id)
        return run.antq_on(self)

    def workflows(self, open: bool | None = None) -> list[WorkflowRun]:  # noqa: A002, FBT001
        """Return the stored workflows by id; only those that are *open*, or are not, if given."""
        found = self.antq_workflow("entries", checked_open(open))
        return [run.antq_on(self) for run in found]

    def get_workflow(self, id: int) -> WorkflowRun:  # noqa: A002 - as the field is named
        """Return the workflow with this id. Raises WorkflowNotFound."""
        run: WorkflowRun = self.antq_workflow("get", id)
        return run.antq_on(self)

    async def astart_workflow(
        self, flow: Workflow, output: Node | Group | str | None = None
    ) -> WorkflowRun:
        """Do what :meth:`start_workflow` does, without stopping the event loop."""
        return await in_thread(self.start_workflow, flow, output)

    # ---- inside ---------------------------------------------------------------------------

    def antq_workflow(self, verb: str, /, *args: Any) -> Any:
        """Do what the verb says to the workflows of the store, and return what it returns."""
        found = self._runtime().workflows.do(verb, *args)
        if verb == "jobs":
            for job in found:
                job.__dict__[APPLICATION] = self
        return found

"""The program that runs an application in several processes: it starts them and passes signals on.

It opens no store and imports no application, so there is nothing in it that could break.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pykka import ActorDeadError

from antq_actors.app.signals import SignalWaiter, hurries
from antq_actors.backoff import Backoff
from antq_actors.errors import AntqError
from antq_actors.multiprocess.process_group import STACKS, NodeProcessGroup
from antq_actors.otp.actors.gen_server import GenServer
from antq_actors.otp.kernel.errors import CallExit, StartError, Stop
from antq_actors.otp.kernel.messages import IGNORE
from antq_actors.otp.kernel.reasons import ExitReason, Shutdown
from antq_actors.otp.messaging import calls
from antq_actors.otp.supervision.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from antq_actors.multiprocess.process_group import NodeProcess
    from antq_actors.otp.kernel.child_spec import ChildSpec

RESTARTS: Final = 5
"""Restarts of each process that are allowed within ``WINDOW_SECONDS``: a job that kills its
process takes three before it fails."""
WINDOW_SECONDS: Final = 60.0

BACKOFF: Final = Backoff(first=0.5, longest=5.0)
"""For a system that cannot start a process at the moment."""

_TREE_ENDED: Final = 0


def run(
    command: Sequence[str],
    count: int,
    *,
    when_up: Callable[[], None] = lambda: None,
    report: Callable[[str], None] = lambda _: None,
) -> int:
    """Run *command*, an application, in *count* processes until a signal; return the exit code.

    The first signal stops them; each further one but SIGHUP stops them without waiting for their
    jobs. At SIGQUIT they also print the stacks of their threads. The exit code is that of the first
    process when it did not come up. Raises AntqError when processes end too often, and when one
    does not stop as it should.

    *when_up* is called in another thread when the first one is up, *report* with a line for what
    becomes of a signal.
    """
    living = NodeProcessGroup(command)
    asked = False
    with ThreadPoolExecutor(1, "antq-processes") as pool, SignalWaiter(_TREE_ENDED) as waiter:
        life = pool.submit(_live, living, count, when_up)
        life.add_done_callback(lambda _: waiter.post(_TREE_ENDED))
        while (event := waiter.wait()) != _TREE_ENDED:
            if event == STACKS:
                living.print_stacks()
            if living.stop():
                asked = True
                report("stopping all processes; Ctrl-C again to interrupt their jobs")
            elif hurries(event):
                report("interrupting their jobs")
                living.stop_now()
    code = life.result()
    if not asked and code == 0 and not living.all_drained:
        raise AntqError("the processes end again and again, and are not started any more")
    if living.unclean:
        raise AntqError(f"not all stopped as they should: {', '.join(living.unclean)}")
    if code == 0:
        report("stopped")
    return code


def _live(living: NodeProcessGroup, count: int, when_up: Callable[[], None]) -> int:
    """Supervise the application's processes until a stop or their end; return the exit code."""
    try:
        root = Supervisor.start(
            [_process(number, living) for number in range(1, count + 1)],
            max_restarts=RESTARTS * count,
            max_seconds=WINDOW_SECONDS,
            backoff=BACKOFF,
            name="antq",
        )
    except StartError as error:
        return _exit_code(error)
    when_up()
    living.stopping.wait()  # a supervisor that gives up stops them, too
    with suppress(CallExit):
        calls.stop(root, Shutdown())
    return 0


def _process(number: int, living: NodeProcessGroup) -> ChildSpec:
    # As long as it takes: a process has its own shutdown timeout, and then ends.
    return NodeProcessActor.child_spec(
        number, living, id=f"process {number}", shutdown=float("inf")
    )


def _exit_code(error: StartError) -> int:
    """Return the exit code of the first of several processes, which could not start."""
    failure = error.__cause__
    code = failure.process.returncode if isinstance(failure, NotUpError) else None
    if code is not None and code > 0:
        return code
    raise AntqError(f"no process can be started: {failure or error}")


class NotUpError(Exception):
    """The first process ended before it was up."""

    def __init__(self, process: NodeProcess) -> None:
        super().__init__(f"its process {process.end} before it was up")
        self.process = process


class _Ended(NamedTuple):
    """The process has ended."""


class NodeProcessActor(GenServer):
    """Owns the process of one number, and ends with how that ended; then both start again.

    Until a process has come up, a start lasts until it has, and fails when it ends before: a module
    that cannot be imported is reported once, by one process. Later starts do not wait, so that
    processes start side by side.
    """

    _process: NodeProcess

    def __init__(self, number: int, living: NodeProcessGroup) -> None:
        super().__init__()
        self._number = number
        self._living = living

    def init(self) -> Any:
        """Start one of the application's OS processes, and wait until the first is up."""
        process = self._living.start(self._number, self._on_end)
        if process is None:
            return IGNORE
        self._process = process
        # Also when this actor is killed, and so does not come to its terminate().
        self.ref.cell.watch(process, lambda _ref, _reason: process.stop())
        if self._living.has_booted or process.comes_up():
            self._living.has_booted = True
            return None
        process.stop()
        process.wait()
        if self._living.stopping.is_set():
            return IGNORE
        raise NotUpError(process)

    def handle_info(self, message: Any) -> None:
        """End this actor with its OS process, unless all the application's are being stopped.

        Nor does it if the process was drained: then no other one is to take its place.
        """
        if not isinstance(message, _Ended):
            super().handle_info(message)
        elif not self._living.stopping.is_set() and not self._process.was_drained:
            raise Stop(Shutdown(f"its process, {self._process.pid}, {self._process.end}"))

    def terminate(self, reason: ExitReason) -> None:
        """Send SIGTERM to one of the application's OS processes, and wait for its end."""
        if reason == Shutdown():
            # From the supervisor, which is ending and stops the others after this one.
            self._living.stop()
        self._process.stop()
        self._process.wait()

    def _on_end(self) -> None:
        with suppress(ActorDeadError):
            self.ref.tell(_Ended())

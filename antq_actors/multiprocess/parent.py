"""The program that runs an application in several processes: it starts them and passes signals on.

It opens no store and imports no application, so there is nothing in it that could break.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from antq_actors.app.signal_waiter import Ear, hurries
from antq_actors.errors import AntqError
from antq_actors.multiprocess.lifeline import STACKS
from antq_actors.multiprocess.process_actor import NotUpError, ProcessActor
from antq_actors.multiprocess.process_group import LivingProcesses
from antq_actors.otp.kernel.errors import CallExit, StartError
from antq_actors.otp.kernel.reasons import Shutdown
from antq_actors.otp.messaging import calls
from antq_actors.otp.supervision.backoff import Backoff
from antq_actors.otp.supervision.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from antq_actors.otp.kernel.child_spec import ChildSpec

RESTARTS: Final = 5
"""Restarts for each process that are borne within ``WINDOW``: a job that kills its process takes
three before it is failed."""
WINDOW: Final = 60.0

BACKOFF: Final = Backoff(first=0.5, longest=5.0)
"""For a system that can start no process just now."""

_TREE_ENDED: Final = 0


def run(
    command: Sequence[str],
    count: int,
    *,
    when_up: Callable[[], None] = lambda: None,
    report: Callable[[str], None] = lambda _: None,
) -> int:
    """Run *command* in *count* processes until a signal, and return the exit code.

    The first signal tells them to stop, each further one but SIGHUP to wait no longer; at SIGQUIT
    they also print where their threads are. The exit code is that of the first process when it did
    not come up. Raises AntqError when processes end too often, and when one does not stop as it
    should.

    *when_up* is called in another thread when the first one is up, *report* with a line for what
    becomes of a signal.
    """
    living = LivingProcesses(command)
    asked = False
    with ThreadPoolExecutor(1, "antq-processes") as pool, Ear(_TREE_ENDED) as ear:
        life = pool.submit(_live, living, count, when_up)
        life.add_done_callback(lambda _: ear.tell(_TREE_ENDED))
        while (event := ear.hear()) != _TREE_ENDED:
            if event == STACKS:
                living.print_stacks()
            if living.stop():
                asked = True
                report("stopping all processes; Ctrl-C again to interrupt their jobs")
            elif hurries(event):
                report("interrupting their jobs")
                living.hurry()
    code = life.result()
    if not asked and code == 0:
        raise AntqError("the processes end again and again, and are not started any more")
    if living.unclean:
        raise AntqError(f"not all stopped as they should: {', '.join(living.unclean)}")
    if code == 0:
        report("stopped")
    return code


def _live(living: LivingProcesses, count: int, when_up: Callable[[], None]) -> int:
    """Start the tree and stop it when that was asked for, or see it end; answer the exit code."""
    try:
        root = Supervisor.start(
            [_process(number, living) for number in range(1, count + 1)],
            max_restarts=RESTARTS * count,
            max_seconds=WINDOW,
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


def _process(number: int, living: LivingProcesses) -> ChildSpec:
    # As long as it takes: a process has its own patience with its jobs, and then ends.
    return ProcessActor.child_spec(number, living, id=f"process {number}", shutdown=float("inf"))


def _exit_code(error: StartError) -> int:
    """Answer how the first process ended; it has said why."""
    failure = error.__cause__
    code = failure.process.returncode if isinstance(failure, NotUpError) else None
    if code is not None and code > 0:
        return code
    raise AntqError(f"no process can be started: {failure or error}")

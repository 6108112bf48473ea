"""Children for supervisors under test, and the log in which they write what happens to them."""

import queue
import threading
import time

from antq_actors.otp import (
    IGNORE,
    RESTARTING,
    CallExit,
    GenServer,
    Killed,
    Shutdown,
    Supervisor,
    call,
    exit,  # noqa: A004 - OTP's name
    unlink,
)
from antq_actors.otp.messaging import names


class Log:
    """What happened, in order: ("up", id), ("down", id, reason)."""

    def __init__(self):
        self._entries = queue.Queue()

    def add(self, *entry):
        self._entries.put(entry)

    def take(self, count):
        """Wait for the next *count* entries."""
        return [self._entries.get(timeout=30) for _ in range(count)]

    def is_empty(self):
        return self._entries.empty()


class Child(GenServer):
    """Writes into the log, and does what *plan* says for its id, again at each start.

    The values of *plan*: "fail", "ignore", an Event to wait for in init, or nothing.
    """

    def __init__(self, child_id, log, plan=None):
        super().__init__()
        self.child_id, self.log, self.plan = child_id, log, {} if plan is None else plan

    def init(self):
        plan = self.plan.get(self.child_id)
        if plan == "fail":
            self.log.add("fails", self.child_id)
            raise ValueError(f"{self.child_id} fails")
        if plan == "ignore":
            return IGNORE
        if isinstance(plan, threading.Event):
            self.log.add("waits", self.child_id)
            plan.wait(30)
        self.log.add("up", self.child_id)
        return None

    def handle_call(self, request):
        if callable(request):
            return request(self)
        if isinstance(request, BaseException):
            raise_anew(request)
        return request

    def terminate(self, reason):
        self.log.add("down", self.child_id, reason)


class Stubborn(Child):
    """Does not end before its event is set."""

    def __init__(self, child_id, log, release):
        super().__init__(child_id, log)
        self.release = release

    def terminate(self, reason):
        super().terminate(reason)
        self.release.wait(30)


class Deserter(Child):
    """Unlinks itself from its supervisor."""

    def init(self):
        unlink(self.ref.cell.parent)
        return super().init()


BOOM = ValueError("boom")
DONE = Shutdown("done")
UP, DOWN = "up", "down"


def raise_anew(error):
    """Raise *error* without the traceback of the last time: an exception collects them all."""
    raise error.with_traceback(None) if isinstance(error, BaseException) else error


def crash(ref):
    """Have *ref* crash with BOOM; it has ended, and its supervisor has heard, when this returns."""
    end_with(ref, BOOM)


def end_with(ref, error):
    """Have a handler of *ref* raise *error*."""
    cell = names.find(ref)
    try:
        call(ref, error)
    except CallExit:
        eventually(lambda: all_have_heard(cell))
        return
    raise AssertionError(f"{ref} did not end")


def all_have_heard(cell):
    """Return whether those who wait for an actor, watch it and are linked to it know of its end."""
    return cell.reason is not None and cell.started is None


def kill(ref):
    exit(ref, Killed())


def ended(task):
    """Wait for the end of *task*; return its reason."""
    return eventually(lambda: task.ref.cell.reason)


def refs(sup):
    """Return what is in the place of each child of *sup*, by id."""
    return {child.id: child.ref for child in Supervisor.which_children(sup)}


def running(sup):
    return [child_id for child_id, ref in refs(sup).items() if ref not in (None, RESTARTING)]


def is_empty(sup):
    return Supervisor.which_children(sup) == []


def lines(caplog, level):
    """Return what was logged at *level*."""
    return [record.getMessage() for record in caplog.records if record.levelno == level]


def eventually(condition, seconds=80.0, what=None):
    """Wait until *condition* answers something true, and answer that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        threading.Event().wait(0.002)
    raise AssertionError(f"did not come true within {seconds} s: {what() if what else condition}")

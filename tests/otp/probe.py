"""An actor that does what the test says and notes the rest; and work that never ends by itself."""

import itertools
import queue
import sys
import threading
from contextlib import suppress

from supervised import Log, raise_anew

from antq_actors.otp import NOREPLY, GenServer, call
from antq_actors.otp.kernel.errors import Interrupt

LONGEST = 80.0
"""Seconds; whatever takes longer hangs."""


class Notes(Log):
    """What an actor noted, in order."""

    def add(self, entry):
        self._entries.put(entry)


class Probe(GenServer):
    """Calls what it is sent: a function of itself. Other messages go to its notes, as does its end.

    *init* and *at_end* are functions of the actor, run in init and in terminate.
    """

    def __init__(self, notes=None, *, init=None, at_end=None):
        super().__init__()
        self.notes = Notes() if notes is None else notes
        self.on_init, self.at_end = init, at_end

    def init(self):
        return self.on_init(self) if self.on_init else None

    def handle_call(self, request):
        return request(self)

    def handle_cast(self, request):
        self.handle_info(request)

    def handle_continue(self, token):
        self.handle_info(token)

    def handle_info(self, message):
        if callable(message):
            message(self)
        else:
            self.notes.add(message)

    def terminate(self, reason):
        self.notes.add(("terminate", reason))
        if self.at_end:
            self.at_end(self)


def raising(error):
    """A function that raises *error*, whatever it is given."""

    def fail(*_args):
        raise_anew(error)

    return fail


def answering(value):
    """A function that answers *value*, whatever it is given."""
    return lambda *_args: value


def in_actor(ref, fn, *args, **kwargs):
    """Return or raise what ``fn(...)`` does in the thread of the Probe *ref*, which lives on."""

    def run(_me):
        try:
            return fn(*args, **kwargs), None
        except Exception as error:  # noqa: BLE001 - it is raised again below
            return None, error

    value, error = call(ref, run, timeout=LONGEST)
    if error is not None:
        raise error
    return value


def postponing(owed):
    """A function that answers nothing yet; whom the answer is owed to is added to *owed*."""

    def postpone(me):
        owed.append(me.from_)
        return NOREPLY

    return postpone


def is_interrupted(number, functions, fn, *args):
    """Call *fn*, which Ctrl-C interrupts at the place *number* within *functions*.

    A place is where one of them begins, and where it has called C code: there CPython raises what
    a signal has for this thread. Return False if there are fewer.
    """
    codes = {function.__code__ for function in functions}
    places = itertools.count(1)

    def profile(frame, event, _argument):
        is_place = frame.f_code in codes and event in ("call", "c_return")
        if is_place and next(places) == number:
            raise KeyboardInterrupt

    profiler = sys.getprofile()
    sys.setprofile(profile)
    try:
        fn(*args)
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(profiler)
    return False


class Gate:
    """Holds an actor in a handler: it has come in, and goes on when it is opened."""

    def __init__(self):
        self._entered = threading.Semaphore(0)
        self._opened = threading.Event()

    def __call__(self, *_args):
        self._entered.release()
        assert self._opened.wait(LONGEST)
        return "through"

    def pass_through(self, *_args):
        """Do the same in init, which may not return just anything."""
        self()

    def hold(self, ref):
        """Have *ref* wait in here; it has come in when this returns."""
        ref.tell(self)
        self.wait_entered()

    def wait_entered(self):
        assert self._entered.acquire(timeout=LONGEST)

    def open(self):
        self._opened.set()


class InThread:
    """Runs a function in a plain thread; ``result`` answers or raises what it did."""

    def __init__(self, fn, *args, **kwargs):
        self._outcome = None

        def run():
            try:
                self._outcome = (fn(*args, **kwargs), None)
            except BaseException as error:  # noqa: BLE001 - it is raised again in result()
                self._outcome = (None, error)

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def result(self, timeout=LONGEST):
        self._thread.join(timeout)
        assert self._outcome is not None, "it hangs"
        value, error = self._outcome
        if error is not None:
            raise error
        return value

    @property
    def done(self):
        return not self._thread.is_alive()


class Endless:
    """Goes on until it is interrupted; tells when it has begun, and when it was cut short.

    An interruption may hit anywhere, so also between the taking of a lock and the ``with`` that
    would give it back. What several pieces of work share here is therefore done in C.
    """

    def __init__(self):
        self._begun = queue.SimpleQueue()
        self._over = queue.SimpleQueue()

    def __call__(self, *_args):
        never = threading.Lock()
        never.acquire()
        try:
            self._begun.put("begun")
            while True:
                never.acquire(timeout=0.001)
        finally:
            self._over.put("over")

    def wait_begun(self, count=1):
        for _ in range(count):
            self._begun.get(timeout=LONGEST)

    def has_begun(self):
        return not self._begun.empty()

    def wait_over(self, count=1):
        for _ in range(count):
            self._over.get(timeout=LONGEST)


class Deaf:
    """Goes on until it is let go, whoever interrupts it; answers "through"."""

    def __init__(self):
        self._begun = queue.SimpleQueue()
        self._may_end = False

    def __call__(self, *_args):
        never = threading.Lock()
        never.acquire()
        while True:
            with suppress(Interrupt):
                self._begun.put("begun")
                while not self._may_end:
                    never.acquire(timeout=0.001)
                return "through"

    def wait_begun(self):
        self._begun.get(timeout=LONGEST)

    def wait_interrupted(self):
        """Wait until an interruption has hit it, once it has begun."""
        self.wait_begun()

    def let_go(self):
        self._may_end = True

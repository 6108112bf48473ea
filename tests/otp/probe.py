"""An actor that does in each callback what the test says, and writes down the rest."""

import threading

from supervised import Log, raise_anew

from antq_actors.otp import NOREPLY, GenServer, call

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

"""Raises an exception, or enqueues a job, at places of what a thread does, one after the other.

The first two arguments say at which: 5 3 is each fifth place, from the third on, and 1 1 all.

A tracer does it: where a function begins and where a call of C code has returned, which is where
CPython raises what a signal or another thread has for this one ("calls"); before each line
("lines"); or before each instruction ("instructions"). After each place the application must
answer. In the end a summary says what was lost, doubled or stuck.
"""

import collections
import functools
import json
import linecache
import logging
import sys
import tempfile
import threading
import time

from antq_actors import AntQ, QueueConfig, Worker, otp
from antq_actors.otp.kernel.errors import Interrupt
from antq_actors.otp.messaging.names import find
from antq_actors.otp.threads import run_queue
from antq_actors.storage.jobs.job_store import JobStore

PATIENCE_SECONDS = 60.0
ENOUGH_MISSED = 50
"""Times that a place is not come to before it counts as the one after the last."""
OURS = ("antq_actors", "contextlib")
ERRORS = {error.__name__: error for error in (KeyboardInterrupt, SystemExit, TimeoutError)}
ERRORS["Interrupt"] = Interrupt

performed = collections.Counter()


class Note(Worker, max_attempts=5):
    def perform(self, job):
        performed[job.args["key"]] += 1

    def calculate_delay(self, job):
        return 0.01


class Slow(Worker, name="cut:Slow"):
    """Takes until it is waited for, however long that takes, or the wait has been cut short."""

    def perform(self, job):
        while not (self.waiters() or self.cut.wait(0.001)):
            pass
        time.sleep(0.01)


class Parent(Worker, queue="parents", max_attempts=1):
    def perform(self, job):
        cutter = self.cutter
        with cutter:
            Note.perform_async({"key": f"cut {cutter.place}"})


class Cutter:
    """Does *what*, the name of an error or "enqueue", at the place number ``place``, once."""

    every, begin = 1, 1
    """Which places are taken of those that a stride leaves: each *every*-th, from *begin* on."""

    def __init__(self, at, what, only=OURS, *, stride=1):
        self.at, self.what, self.only = at, what, only
        self.first, self.step = self.begin * stride, self.every * stride
        self.place = self.first - self.step
        self.places = 0
        self.files = set()
        """In which there are places, whether it cut there or passed them."""

    def __enter__(self):
        self.seen, self.where = 0, None
        if self.at == "calls":
            sys.setprofile(self._profile)
        else:
            sys.settrace(self._trace)

    def __exit__(self, *_):
        sys.setprofile(None)
        sys.settrace(None)
        self.places += self.where is not None

    def next(self):
        self.place += self.step
        return self.place

    def passed(self):
        """Return the numbers of the places at which it cut."""
        return range(self.first, self.place, self.step)

    def _profile(self, frame, event, _argument):
        if event in ("call", "c_return") and self._is_ours(frame):
            self._count(frame)

    def _trace(self, frame, event, _argument):
        if not self._is_ours(frame):
            return None
        frame.f_trace_opcodes = self.at == "instructions"
        if event == ("opcode" if self.at == "instructions" else "line"):
            self._count(frame)
        return self._trace

    def _is_ours(self, frame):
        return any(part in frame.f_code.co_filename for part in self.only)

    def _count(self, frame):
        self.seen += 1
        self.files.add(frame.f_code.co_filename)
        if self.seen != self.place:
            return
        self.where = f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"
        if self.what != "enqueue":
            raise ERRORS[self.what]
        sys.setprofile(None)
        sys.settrace(None)
        Note.perform_async({"key": f"handler {self.place}"})


def attempt(fn):
    """Return what *fn* raised, as text; None if it raised nothing."""
    try:
        fn()
    except BaseException as error:  # noqa: BLE001 - that is what this is about
        return f"{type(error).__name__}: {error}"
    return None


def in_a_thread(fn):
    """Return what *fn* returned in a thread of its own; "hangs" if it does not end."""
    results = []
    thread = threading.Thread(target=lambda: results.append(fn()), daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    return results[0] if results else "hangs"


def wait_until(is_so):
    end = time.monotonic() + PATIENCE_SECONDS
    # Asked once more at the end, it might be what is cut short.
    while not (found := is_so()) and time.monotonic() < end:
        time.sleep(0.002)
    return found


def a_path(store):
    return tempfile.mkdtemp() + "/jobs" if store == "durable" else None


def summary(app, cutter, problems, *, handled=()):
    stored = collections.Counter(job.args["key"] for job in app.list_workers(worker=Note))
    wanted = [f"{kind} {place}" for kind in ("probe", *handled) for place in cutter.passed()]
    return {
        "places": cutter.places,
        "files": sorted({file.rpartition("/antq_actors/")[2] for file in cutter.files}),
        "problems": problems,
        "lost": [key for key in wanted if key not in stored],
        "doubled": [key for key, times in stored.items() if times > 1],
        "findings": app.verify(),
    }


def report(found):
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


def enqueue(kind, place):
    """Enqueue a job that says what it is of; return what that raised."""
    return attempt(lambda: Note.perform_async({"key": f"{kind} {place}"}))


def cut_enqueues(cutter, store, thread):
    """One thread enqueues and is cut short; after each place another one enqueues."""
    app = AntQ(a_path(store), start_queues=False).start()
    problems, missed = [], 0

    def cut():
        with cutter:
            Note.perform_async({"key": f"cut {cutter.place}" + missed * " again"})

    while len(problems) < 3 and missed < ENOUGH_MISSED:
        place = cutter.place if missed else cutter.next()
        error = attempt(cut) if thread == "main" else in_a_thread(lambda: attempt(cut))
        if cutter.where is None:  # the last place, or another thread's turn was in the way
            missed += 1
            continue
        missed = 0
        is_meant = error is None or error.startswith(cutter.what)
        probe = in_a_thread(lambda: enqueue("probe", place))  # noqa: B023 - it is called here
        if probe is not None or not is_meant:
            problems.append(f"{cutter.where}: {error}, then {probe}")
    handled = ("handler", "cut") if cutter.what == "enqueue" else ()
    report(summary(app, cutter, problems, handled=handled))


def cut_served_enqueues(cutter, store, thread):
    """As `cut_enqueues`, but a queue with free slots is served by each enqueue.

    *thread* "rapid": its notices wait for more jobs, as those of jobs that come rapidly do.
    """
    app = AntQ(a_path(store), queues={"default": QueueConfig(3, check_interval=0.5)}).start()
    problems, missed = [], 0
    arrivals = app.queue("default").ref.cell.inline_actor.exits.arrivals

    def cut():
        if thread == "rapid":
            arrivals.are_rapid, arrivals.needed = True, 0
        with cutter:
            Note.perform_async({"key": f"cut {cutter.place}" + missed * " again"})

    while len(problems) < 3 and missed < ENOUGH_MISSED:
        place = cutter.place if missed else cutter.next()
        is_ready = wait_until(serves_at_once)
        error = attempt(cut) if thread == "main" else in_a_thread(lambda: attempt(cut))
        if cutter.where is None:  # the last place, or another thread's turn was in the way
            missed += 1
            continue
        missed = 0
        is_meant = error is None or error.startswith(cutter.what)
        probe = in_a_thread(lambda: enqueue("probe", place))  # noqa: B023 - it is called here
        is_performed = wait_until(lambda: performed[f"probe {place}"])  # noqa: B023 - as well
        if probe is not None or not (is_ready and is_meant and is_performed):
            said = f"{error}, then {probe}, ready: {is_ready}, performed: {is_performed}"
            problems.append(f"{cutter.where}: {said}")
    problems += still_to_do(app)
    handled = ("handler", "cut") if cutter.what == "enqueue" else ()
    report(summary(app, cutter, problems, handled=handled))


def serves_at_once():
    """Whether the queue has left a claim, and its actor and the storage actor sleep."""
    queue, storage = (otp.whereis(f"antq.{name}") for name in ("queue.default", "storage"))
    if queue is None or storage is None:
        return False
    state = queue._actor_weakref()._state
    is_left = state.standing is not None and state.in_flight is None and not state.running
    return is_left and queue.cell.mailbox.asleep and storage.cell.mailbox.asleep


def still_to_do(app):
    """What is left of all jobs after a while, and what was performed twice."""
    wait_until(lambda: not app.count_workers(status=["enqueued", "running", "retrying"]))
    left = app.list_workers(status=["enqueued", "running", "retrying"])
    problems = [f"left over: {job.id} of {job.queue_name}, {job.status}" for job in left]
    return problems + [
        f"{key} performed {times} times" for key, times in performed.items() if times > 1
    ]


def cut_waits(cutter, store):
    """The main thread waits until nothing is left to do, and is cut short; then others wait."""
    app = AntQ(a_path(store), queues={"default": 2}).start()
    Slow.waiters = app._runtime().store.idle.current
    problems = []
    while len(problems) < 3:
        cutter.next()
        Slow.cut = threading.Event()
        Slow.perform_async()
        error = attempt(functools.partial(cut_one, cutter, app.wait_idle))
        Slow.cut.set()
        if cutter.where is None:
            break
        began = time.monotonic()
        is_idle = in_a_thread(lambda: app.wait_idle(timeout=PATIENCE_SECONDS / 2))
        probe = enqueue("probe", cutter.place)
        is_late = time.monotonic() - began > PATIENCE_SECONDS / 4
        if is_late or not is_idle or probe is not None or not error.startswith(cutter.what):
            problems.append(f"{cutter.where}: {error}, then {is_idle} and {probe}, late: {is_late}")
    problems += [] if app.wait_idle(timeout=PATIENCE_SECONDS) else ["it is never idle"]
    problems += [f"{waiter} is still waited for" for waiter in Slow.waiters()]
    report(summary(app, cutter, problems))


def cut_jobs(cutter, store):
    """A job enqueues, and its thread is cut short."""
    Parent.cutter = cutter
    app = AntQ(a_path(store), queues={"default": 2, "parents": 1}).start()
    problems = []
    while len(problems) < 3:
        cutter.next()
        parent = Parent.perform_async().id
        ended = wait_for(app, [parent], ("completed", "failed"))
        if cutter.where is None:
            break
        probe = enqueue("probe", cutter.place)
        if probe is not None or not ended:
            problems.append(f"{cutter.where}: {app.get_worker(parent).status}, then {probe}")
    problems += still_to_do(app)
    report(summary(app, cutter, problems))


def cut_starts_or_stops(cutter, store, what):
    """The main thread starts, or stops, an application; then all goes on as if it had not been."""
    problems = []
    while len(problems) < 3:
        cutter.next()
        path = a_path(store)
        app = AntQ(path, queues={"default": 2})
        if what == "stop":
            app.start()
        attempt(functools.partial(cut_one, cutter, getattr(app, what)))
        if cutter.where is None:
            break
        began = time.monotonic()
        error = attempt(functools.partial(use, app)) or attempt(functools.partial(use, AntQ(path)))
        if error is not None or time.monotonic() - began > PATIENCE_SECONDS / 4:
            problems.append(f"{cutter.where}: {error}, {time.monotonic() - began:.1f} s")
    report({"places": cutter.places, "problems": problems})


def cut_one(cutter, fn):
    with cutter:
        fn()


def wait_for(app, ids, statuses):
    return wait_until(lambda: all(status(app, id_) in statuses for id_ in ids))


def use(app):
    with app:
        job = Note.perform_async({"key": "used"})
        assert wait_until(lambda: app.get_worker(job.id).status == "completed")


def ends_a_with_block(frame):
    """Return whether *frame* is at the line of a ``with`` again, to leave its block."""
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
    begins = min(at for at, _, number in frame.f_code.co_lines() if number == frame.f_lineno)
    return line.lstrip().startswith("with ") and frame.f_lasti > begins


class Everywhere(Cutter):
    """A cutter for all threads that begin from now on, which is armed by hand."""

    is_armed = False
    _counting = threading.Lock()

    def _count(self, frame):
        if ends_a_with_block(frame):
            return  # nothing there can crash, and no handler would release what it holds
        with self._counting:
            if not self.is_armed:
                return
            self.seen += 1
            if self.seen < self.place:
                return
            self.is_armed = False
            self.where = f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"
        raise ERRORS[self.what]


def cut_service_threads(what, store, stride):
    """The threads that claim, perform and settle jobs are cut short, each as a crash."""
    parts = ("storage", "queues", "executors", "otp/messaging/calls", "otp/kernel/mailbox")
    files = [f"antq_actors/{part}" for part in parts]
    cutter = Everywhere("lines", what, files, stride=stride)
    threading.settrace(cutter._trace)
    problems = []
    while len(problems) < 3:
        place = cutter.next()
        run_queue._run_queue = (
            run_queue.RunQueue()
        )  # a thread whose tracer has raised has none any more
        app = AntQ(a_path(store), queues={"default": 2}).start()
        cutter.seen, cutter.where, cutter.is_armed = 0, None, True
        keys = [f"{place} {number}" for number in range(3)]
        ids = [job.id for key in keys if (job := tried(app, key)) is not None]
        ended = wait_for(app, ids, ("completed",))
        cutter.is_armed = False
        if cutter.where is None:
            break
        cutter.places += 1
        if not ended:
            problems.append(f"{cutter.where}: {[status(app, id_) for id_ in ids]}")
        app.stop(timeout=2)
    report({"places": cutter.places, "problems": problems})


def cut_shared_commits(what, stride):
    """The storage actor is cut short at commits of many threads, of which one carries another."""
    files = ["antq_actors/storage", "antq_actors/otp/messaging/calls"]
    cutter = Everywhere("lines", what, files, stride=stride)
    threading.settrace(cutter._trace)
    problems = []
    while len(problems) < 3:
        place = cutter.next()
        run_queue._run_queue = run_queue.RunQueue()  # as above
        app = AntQ(a_path("durable"), start_queues=False).start()
        cutter.seen, cutter.where = 0, None
        outcomes = enqueue_together(app, cutter, place)
        cutter.is_armed = False
        if cutter.where is None:
            break
        cutter.places += 1
        stored = collections.Counter(job.args["key"] for job in app.list_workers())
        lost = [key for key, outcome in outcomes.items() if outcome is None and not stored[key]]
        doubled = [key for key, times in stored.items() if times > 1]
        stuck = [key for key, outcome in outcomes.items() if outcome == "hangs"]
        if lost or doubled or stuck or app.verify():
            problems.append(f"{cutter.where}: {lost=} {doubled=} {stuck=} {app.verify()}")
        app.stop(timeout=2)
    report({"places": cutter.places, "problems": problems})


def enqueue_together(app, cutter, place):
    """Enqueue two jobs while the transaction of another is under way; return what each raised."""
    outcomes = {}
    gates = [(threading.Event(), threading.Event()) for _ in range(2)]
    closed = list(gates)

    def insert(store, *args):
        if closed:
            reached, go_on = closed.pop(0)
            reached.set()
            go_on.wait(PATIENCE_SECONDS)
        return original(store, *args)

    def begin(name):
        key = f"{name} {place}"
        outcomes[key] = "hangs"

        def run():
            outcomes[key] = attempt(lambda: app.enqueue(Note, {"key": key}))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    attempt(lambda: app.enqueue(Note, {"key": "before"}))  # it looks for nodes, once a second
    original, JobStore.insert = JobStore.insert, insert
    storage = find(app._runtime().names.storage)
    wait_until(lambda: not storage.inline_actor._is_flush_due)  # that would come between them
    mailbox = storage.mailbox
    threads = [begin("inline")]
    gates[0][0].wait(PATIENCE_SECONDS)
    # The storage actor's own thread takes what waits when that turn is over.
    threads.append(begin("carried"))
    wait_until(lambda: len(mailbox) >= 1)
    gates[0][1].set()
    gates[1][0].wait(PATIENCE_SECONDS)
    JobStore.insert = original
    threads += [begin("carrying"), begin("together")]
    wait_until(lambda: len(mailbox) >= 2)
    cutter.is_armed = True
    gates[1][1].set()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    return outcomes


def tried(app, key):
    """Return a job; None if its enqueueing was what was cut short."""
    try:
        return app.enqueue(Note, {"key": key})
    except Exception:  # noqa: BLE001 - raised by the cutter, in the storage actor, for its asker
        return None


def status(app, id_):
    try:
        return str(app.get_worker(id_).status)
    except Exception as error:  # noqa: BLE001 - as above
        return repr(error)


def main(every, begin, what, *options):
    logging.disable(logging.CRITICAL)
    Cutter.every, Cutter.begin = int(every), int(begin)
    match what, options:
        case "enqueue", (at, error, store, thread):
            cut_enqueues(Cutter(at, error), store, thread)
        case "served", (at, error, store, thread):
            cut_served_enqueues(Cutter(at, error), store, thread)
        case "wait", (at, error, store):
            cut_waits(Cutter(at, error), store)
        case "job", (at, error, store):
            cut_jobs(Cutter(at, error), store)
        case (("start" | "stop"), (error, store, stride)):
            cut_starts_or_stops(Cutter("calls", error, stride=int(stride)), store, what)
        case "service", (error, store, stride):
            cut_service_threads(error, store, int(stride))
        case "shared", (error, stride):
            cut_shared_commits(error, int(stride))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The roles of processes: nodes, producers and observers, which are started, told and killed.

Each is forked from a server that has imported everything and started nothing, so that a new one
takes milliseconds. It dies as any other process does.
"""

import logging
import multiprocessing
import os
import random
import resource
import signal
import sys
import time
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path

import composed_jobs
import crash_workers
import failpoints
import flow_jobs
import journal
import limit_jobs
from checker import Final
from ctrl_c import CtrlC

from antq_actors import AlreadyExists, AntQ, Status
from antq_actors.app.config import QueueConfig
from antq_actors.storage.admin.verify import verify
from antq_actors.storage.jobs.reader import JobReader

HERE = Path(__file__).parent
QUEUES = {"default": QueueConfig(4), "mail": QueueConfig(2)}
LIMITED_QUEUE = "default"
"""Has jobs with limits, too; where there are none, jobs are claimed in another way."""
HOWEVER_OFTEN = 1_000_000
"""Interruptions: the harness is about loss, not about giving up on a job."""
ENDED = {Status.COMPLETED, Status.FAILED, Status.CANCELLED}
ACTIVE = set(Status) - ENDED
TIMEOUTS = (0.05, 0.2)
"""Seconds, the shortest and the longest, of jobs that enqueue others until they time out."""
LONGEST = 30.0
"""Seconds that anything may take."""

_fork_server = multiprocessing.get_context("forkserver")
_fork_server.set_forkserver_preload(["processes"])


class NotInTimeError(Exception):
    """Something did not happen within its time."""


class ProcessUnderTest:
    """A process with a *role*, a function of this file; it takes lines and can be killed."""

    def __init__(self, name, role, place, /, **options):
        self.name = name
        self.died: float | None = None
        self._errors = Path(place) / f"{name}.errors"
        self._control, theirs = _fork_server.Pipe()
        self._process = _fork_server.Process(
            target=_run_role, args=(role.__name__, theirs, str(place), name, options), daemon=True
        )
        # The fork server is started by the first, and imports as its parent does.
        os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([str(HERE), *sys.path]))
        self._process.start()
        theirs.close()

    @property
    def exitcode(self):
        """None while it lives."""
        return self._process.exitcode

    def tell(self, *words):
        """Send a line to it; a dead one does not read it."""
        try:
            self._control.send(words)
        except (BrokenPipeError, ConnectionResetError):
            return

    def hear(self, timeout=LONGEST):
        """Return what it says next."""
        if not self._control.poll(timeout):
            raise NotInTimeError(f"{self.name} said nothing for {timeout:g} s")
        try:
            return self._control.recv()
        except EOFError as error:
            self.ended()
            raise NotInTimeError(f"{self.name} ended: {self.errors()}") from error

    def kill(self):
        """Kill it now, wherever it is."""
        self.died = time.monotonic()
        self._process.kill()
        self.ended()

    def ended(self, timeout=LONGEST):
        """Wait for its end; return its exit code."""
        if not self.ends_within(timeout):
            raise NotInTimeError(f"{self.name} did not end within {timeout:g} s")
        return self._process.exitcode

    def ends_within(self, seconds):
        """Wait so long for its end, and return whether it came."""
        self._process.join(seconds)
        return self._process.exitcode is not None

    @property
    def was_killed(self):
        return self.exitcode == -signal.SIGKILL

    def errors(self):
        """Return the end of what it wrote to its standard error."""
        return self._errors.read_text()[-2000:] if self._errors.exists() else ""

    def forget(self):
        """Let go of what is left of it."""
        self._control.close()
        self._process.close()
        self._errors.unlink(missing_ok=True)


def _run_role(role, control, place, name, options):
    errors = os.open(Path(place) / f"{name}.errors", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(errors, 1)
    os.dup2(errors, 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started it all
    logging.basicConfig(level=options.pop("log", logging.ERROR))
    journal.begin(place, name)
    armed = options.pop("armed", None)
    if armed is not None:
        failpoints.arm(*armed)
    globals()[role](control, Path(place) / "store", **options)


def node(control, path, *, retention=None, crons=()):
    """Run the queues, and declare periodic entries."""
    journal.note("starting")
    options = {"retention": retention, "max_interruptions": HOWEVER_OFTEN, "crons": crons}
    app = AntQ(path, queues=QUEUES, **options)
    crash_workers.Enqueues.app = app
    app.start()
    journal.note("up")
    while not _told(control, LONGEST):
        pass
    _stop(app)


def singly(control, path, *, seed, backlog=60, by_hand=False):
    """Enqueue jobs of all kinds, one by one; if *by_hand*, also do something to an entry."""
    chance = random.Random(seed)
    app = AntQ(path, start_queues=False).start()
    if by_hand:
        flow_jobs.resume(app, flow_jobs.BY_HAND)
    while not _told(control, chance.uniform(0, 0.04)):
        if by_hand and chance.random() < 0.02:
            flow_jobs.by_hand(app, chance)
        if app.count_workers(status=ACTIVE) > backlog:
            continue
        kinds = ["plain", "plain", "fails", "snoozes", "scheduled", "unique"]
        kind = "enqueues" if chance.random() < 0.1 else chance.choice(kinds)
        queue = chance.choice(list(QUEUES))
        worker, options = crash_workers.CrashWorker, {"queue": queue}
        args = _args(kind, queue, chance)
        if kind == "scheduled":
            options["schedule_in"] = chance.uniform(0, 0.5)
        if kind == "unique":
            worker = crash_workers.Once
        elif kind != "enqueues" and queue == LIMITED_QUEUE and chance.random() < 0.6:
            worker = _limited(args, chance)
        if kind == "enqueues":
            worker, options["timeout"] = crash_workers.Enqueues, chance.uniform(*TIMEOUTS)
        try:
            journal.acknowledge(app.enqueue(worker, args, **options).id, calls=[args["call"]])
        except AlreadyExists:
            continue
    _stop(app)


def in_bulk(control, path, *, seed, backlog=60):
    """Enqueue jobs of all kinds, many together."""
    chance = random.Random(seed)
    app = AntQ(path, start_queues=False).start()
    while not _told(control, chance.uniform(0, 0.4)):
        if app.count_workers(status=ACTIVE) > backlog:
            continue
        unique = chance.random() < 0.2
        kinds = ["unique"] if unique else ["plain", "fails", "snoozes"]
        queue = chance.choice(list(QUEUES))
        batch = [_args(chance.choice(kinds), queue, chance) for _ in range(chance.randint(1, 20))]
        worker = crash_workers.Once if unique else crash_workers.CrashWorker
        if not unique and queue == LIMITED_QUEUE and chance.random() < 0.6:
            for args in batch:
                worker = _limited(args, chance, 3)
        # Of the unique ones some are left out.
        calls = None if unique else [args["call"] for args in batch]
        journal.acknowledge(*app.enqueue_many(worker, batch, queue=queue), calls=calls)
    _stop(app)


def through_ctrl_c(control, path, *, seed, backlog=60):
    """Enqueue singly and in bulk, cut short by Ctrl-C again and again; some also do so in the
    handler of a signal.
    """
    chance = random.Random(seed)
    app = AntQ(path, start_queues=False).start()

    def enqueue_some():
        if app.count_workers(status=ACTIVE) > backlog:
            return
        for _ in range(10):
            unique = f"ctrl-c {chance.randint(1, 5)}" if chance.random() < 0.3 else None
            crash_workers.enqueue_one(app, unique)
            crash_workers.enqueue_many(app, chance.randint(0, 3))

    in_handler = chance.random() < 0.5
    ctrl_c = CtrlC(chance, lambda: crash_workers.enqueue_one(app) if in_handler else None)
    while not _told(control, chance.uniform(0, 0.02)):
        ctrl_c.run(enqueue_some)
    ctrl_c.end()
    _stop(app)


def composing(control, path, *, seed, backlog=60):
    """Make batches, workflows and jobs in steps, and disturb some of them."""
    chance = random.Random(seed)
    app = AntQ(path, start_queues=False).start()
    composer = composed_jobs.Composer(app, chance)
    while not _told(control, chance.uniform(0, 0.2)):
        if app.count_workers(status=ACTIVE) <= backlog:
            composer.compose()
        composer.disturb()
    _stop(app)


def one_life(control, path, *, retention=None, crons=()):
    """Run the queues and enqueue, come by every failpoint, and stop while a job runs."""
    name = journal.process()
    journal.note("starting")
    options = {"retention": retention, "max_interruptions": HOWEVER_OFTEN, "crons": crons}
    app = AntQ(path, queues=QUEUES, **options).start()
    journal.note("up")
    for kind in ("plain", "fails", "snoozes"):
        journal.acknowledge(app.enqueue(crash_workers.CrashWorker, {"kind": kind}).id)
    journal.acknowledge(*app.enqueue_many(crash_workers.CrashWorker, [{"kind": "plain"}] * 3))
    alone = [{"kind": "plain", "limit": 1, "of": "a"}] * 2
    journal.acknowledge(*app.enqueue_many(flow_jobs.Alone, alone, queue="mail"))
    wanted = None if retention else ACTIVE
    problems = _late(lambda: app.count_workers(status=wanted) == 0, LONGEST, "jobs remain")
    for entry in crons:
        fires = partial(flow_jobs.has_fired, app, entry.name)
        problems += _late(fires, LONGEST, f"{entry.name!r} enqueues nothing")
    long_one = app.enqueue(crash_workers.CrashWorker, {"lingers_in": name}).id
    journal.acknowledge(long_one)
    problems += _late(
        lambda: any(row.job == long_one for row in journal.rows(path.parent)),
        LONGEST,
        "the last job does not begin",
    )
    _stop(app)
    control.send(problems)


def look(control, path, *, nodes, pruned=False, timeout=2 * LONGEST):
    """Wait for the end of all jobs and the rescue of all dead nodes; say what there is at last.

    What is composed of several jobs comes apart from the other jobs.
    """
    with AntQ(path, start_queues=False) as app:
        store = app._runtime().store
        problems = [
            *composed_jobs.finish(app, lambda: _all_ended(app, timeout)),
            *_late(
                lambda: len(store.read(JobReader.nodes)) == nodes,
                3.0,
                f"there are not just {nodes} nodes",
                lambda: store.read(JobReader.nodes),
            ),
        ]
        problems += store.read(lambda reader: verify(reader._txn, reader._tables))
        finals = [
            Final.of(job)
            for job in app.list_workers()
            if not job.worker.startswith(composed_jobs.PREFIX)
        ]
        control.send((problems, finals, *store.read(composed_jobs.as_they_are)))


def _all_ended(app, timeout):
    def active():
        return [(job.id, job.worker, str(job.status)) for job in app.list_jobs(status=ACTIVE)]

    return _late(
        lambda: app.count_workers(status=ACTIVE) == 0, timeout, "not all jobs ended", active
    )


def watch(control, path):
    """Let all entries fire; count what runs of each key, at each commit that is seen.

    Say when the entries may fire, and at last how many commits were seen, and what was wrong.
    """
    problems = []
    seen = set()
    with AntQ(path, start_queues=False) as app:
        flow_jobs.resume_all(app)
        control.send("watching")
        store = app._runtime().store
        while not _told(control, 0.003):
            commit, counts = store.read(flow_jobs.running_of_keys)
            seen.add(commit)
            problems += [
                f"commit {commit}: {running} jobs run of a key whose limit is {limit}"
                for (limit, _), running in counts.items()
                if running > limit
            ]
    control.send((len(seen), problems))


def limited_node(control, path):
    """Run one queue, with jobs that have limits, and keep all that was performed."""
    queues = {"default": QueueConfig(10)}
    app = AntQ(path, queues=queues, retention=None, max_interruptions=HOWEVER_OFTEN).start()
    control.send("up")
    while not _told(control, LONGEST):
        pass
    app.stop(timeout=1)


def watch_limits(control, path):
    """Count what runs of each key, at each commit that is seen; say the most at once, by limit."""
    most = dict.fromkeys(limit_jobs.LIMITED, 0)
    seen = set()
    with AntQ(path, start_queues=False) as app:
        store = app._runtime().store
        while not _told(control, 0.001):
            commit, counts = store.read(
                lambda reader: flow_jobs.running_of_keys(reader, limit_jobs.LIMITED)
            )
            seen.add(commit)
            for (limit, _), running in counts.items():
                most[limit] = max(most[limit], running)
    control.send((len(seen), most))


def pause_all(control, path):
    """Pause all periodic entries when they owe nothing; say what they are, and what was wrong."""
    problems = []
    with AntQ(path, start_queues=False) as app:
        for info in app.crons():
            problems += _late(
                partial(flow_jobs.pause, app, info.name),
                LONGEST,
                f"the entry {info.name!r} has not caught up",
                app.crons,
            )
        control.send((flow_jobs.as_they_are(app), problems))


def perform(control, path, *, concurrency, retention):
    """Run a queue of jobs that do nothing; say at last how many they were."""
    queues = {"default": QueueConfig(concurrency)}
    app = AntQ(path, queues=queues, retention=retention).start()
    while not _told(control, LONGEST):
        pass
    app.stop()
    control.send(
        (next(crash_workers.performed), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    )


def enqueue(control, path, *, together, backlog):
    """Enqueue jobs that do nothing, so many together; say at last how many they were."""
    enqueued = 0
    with AntQ(path, start_queues=False) as app:
        while not _told(control, 0):
            if app.count_workers(status=ACTIVE) > backlog:
                time.sleep(0.005)
                continue
            if together > 1:
                enqueued += len(app.enqueue_many(crash_workers.Nothing, [{}] * together))
                continue
            for _ in range(100):
                app.enqueue(crash_workers.Nothing)
                enqueued += 1
    control.send((enqueued, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))


def _args(kind, queue, chance):
    seconds = chance.choice([0, 0, 0.01, 0.03, 0.1, 0.3])
    args = {"kind": kind, "seconds": seconds, "call": journal.new_call()}
    if kind == "snoozes":
        args["for"] = chance.uniform(0, 0.3)
    if kind == "unique":
        args["unique"] = f"{queue} {chance.randint(1, 5)}"  # unique jobs are so in their queue
    return args


def _limited(args, chance, limit=None):
    """Return a worker with a limit, and let *args* name one of its keys."""
    args["limit"] = limit or chance.choice(list(flow_jobs.LIMITED))
    args["of"] = chance.choice("abc")
    return flow_jobs.LIMITED[args["limit"]]


def _told(control: Connection, seconds):
    """Wait so long for something to be told; do it, and return whether it is to stop."""
    if not wait([control], seconds):
        return False
    try:
        word, *more = control.recv()
    except EOFError:  # whoever started it all is gone
        os._exit(1)
    if word == "arm":
        failpoints.arm(*more)
    return word == "stop"


def _stop(app):
    journal.note("stopping")
    app.stop(timeout=0.1)
    journal.note("stopped")


def _late(condition, seconds, what, why=lambda: ""):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return [f"{what} within {seconds:g} s {why()}"]
        time.sleep(0.01)
    return []

"""The executors under test, each by a small adapter, and what a test sees of its jobs."""

import importlib.util
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import recording_workers
from support.apps import until

from antq_actors import AntQ, QueueConfig
from antq_actors.otp import DynamicSupervisor, Supervisor, whereis


@dataclass(frozen=True)
class Adapter:
    """What a test of all executors has to know of one."""

    worker: type = recording_workers.RecordingWorker
    nothing: type = recording_workers.Nothing
    function: object = recording_workers.recording_function
    function_with_job: object = recording_workers.function_with_job
    function_with_delay: object = recording_workers.function_with_delay
    actors: tuple = ()
    """Where its own actors are, by the ids below the supervisor of executors; 0: any child."""
    settings: dict = field(default_factory=dict)
    """More of the queue's settings."""
    logs_here: bool = True
    """Whether the log records of its jobs come to this process."""
    notes_its_end: bool = True
    """Whether a job gets to note its end when it is told to end."""
    tells_its_place: bool = True
    """Whether it is known where a job was that timed out."""


EXECUTORS = {
    "thread": Adapter(),
    "async": Adapter(
        recording_workers.AwaitedRecordingWorker,
        recording_workers.AwaitedNothing,
        recording_workers.awaited_recording_function,
        recording_workers.awaited_function_with_job,
        recording_workers.awaited_function_with_delay,
        actors=(("async",),),
    ),
    "process": Adapter(actors=(("process", "slots", 0), ("process", "pool"), ("process",))),
}
if importlib.util.find_spec("ray") is not None:
    EXECUTORS["ray"] = Adapter(
        actors=(("ray",),), logs_here=False, notes_its_end=False, tells_its_place=False
    )

ACTORS = [(kind, path) for kind, adapter in EXECUTORS.items() for path in adapter.actors]


class ExecutorHarness:
    """Jobs of one executor, and what they say of themselves."""

    def __init__(self, kind, place):
        self.kind = kind
        self.adapter = EXECUTORS[kind]
        self.place = place
        self.app = None
        self._seen = 0

    def start(self, path=None, *, concurrency=2, app=None, **settings):
        """Start the application: its queue's executor is the one under test."""
        queue = QueueConfig(
            concurrency=concurrency,
            check_interval=3600,
            executor=self.kind,
            **self.adapter.settings,
            **settings,
        )
        self.app = AntQ(path, queues={"default": queue}, **(app or {})).start()
        return self.app

    def enqueue(self, label, end="return", *, waits=False, delay=0.0, args=None, **options):
        """Enqueue a job. It ends as *end* says; one that *waits*, when it has its cue."""
        args = {
            "place": str(self.place),
            "label": label,
            "end": end,
            "waits": waits,
            "delay": delay,
            **(args or {}),
        }
        return self.app.enqueue(self.adapter.worker, args, **options)

    def notes(self, *what):
        """All notes so far of these kinds, as (what, label, pid)."""
        file = Path(self.place, "notes")
        if not file.exists():
            return []
        lines = [line.split("\t") for line in file.read_text().splitlines()]
        return [(kind, label, int(pid)) for kind, label, pid in lines if kind in what or not what]

    def begun(self, count=1):
        """Wait until *count* more jobs have begun; return their labels in that order."""
        last = self._seen + count
        until(lambda: len(self.notes("begun")) >= last, f"the beginning of {last} jobs")
        first, self._seen = self._seen, last
        return [label for _, label, _ in self.notes("begun")[first:last]]

    def times(self, label):
        """How often the job with this label has begun so far."""
        return sum(label == other for _, other, _ in self.notes("begun"))

    def most_at_once(self):
        now = most = 0
        for what, _, _ in self.notes("begun", "ended"):
            now += 1 if what == "begun" else -1
            most = max(most, now)
        return most

    def cue(self, *labels):
        for label in labels:
            (self.place / f"cue {label}").touch()

    def actor(self, *path):
        """The ref of an actor of the executor: the one of its kind, or below that."""
        ref = executor(self.app, path[0])
        for id_ in path[1:]:
            ref = child(ref, id_) if id_ != 0 else any_child(ref)
        return ref

    def worker_actors(self):
        return worker_actors(self.app)


def worker_actors(app):
    """The refs of the worker actors of the default queue."""
    workers = child(app.root, "queues", "default", "workers")
    children = [info.ref for info in DynamicSupervisor.which_children(workers)]
    return [ref for ref in children if ref.cell.name is None]  # executors have one


def executor(app, kind):
    """The ref of the actor that keeps an executor of the default queue going."""
    name = f"{app.root.cell.name}.workers.default.{kind}"
    return until(lambda: whereis(name), f"the start of {name}")


def child(sup, *path):
    """The ref of a child, by the ids on the way to it."""
    for id_ in path:
        sup = until(lambda sup=sup, id_=id_: _child(sup, id_), f"the start of {id_}")
    return sup


def _child(sup, id_):
    refs = [info.ref for info in Supervisor.which_children(sup) if info.id == id_]
    return refs[0] if refs and hasattr(refs[0], "cell") else None


def any_child(sup):
    return until(lambda: DynamicSupervisor.which_children(sup), "a child")[0].ref


_others = set()
"""Processes that were there before the test: what other tests have left, multiprocessing's say."""


def overlook_processes():
    """Let ``processes`` return none of those that are there now, nor what they will start."""
    _others.clear()
    _others.update(psutil.Process().children(recursive=True))


def processes():
    """The processes that this one has started, and what they started; none that is over."""
    alive = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE and not _is_overlooked(process):
                alive.append(process)
    return alive


def _is_overlooked(process):
    return not _others.isdisjoint((process, *process.parents()))

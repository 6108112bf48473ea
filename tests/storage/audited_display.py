"""Looks at stored arguments in every way there is and tells what happened in the meantime.

In a process of its own it has little memory and time: a reader that takes all memory or for ever is
then the end of that process, and not of the one that tests.
"""

import importlib
import io
import json
import pkgutil
import resource
import sys
import zoneinfo
from contextlib import suppress
from types import SimpleNamespace

import tzdata.zoneinfo
from rich.console import Console

from antq_actors.cli import render
from antq_actors.jobs.state import JobSpec, JobState, Status, StoredJob
from antq_actors.storage.format import display, encoding

MEMORY = 1 << 30
SECONDS = 20  # of a processor; the slowest takes two
FORBIDDEN = (
    "compile",
    "ctypes.",
    "exec",
    "import",
    "open",
    "os.",
    "pickle.find_class",
    "shutil.",
    "socket.",
    "subprocess.",
)
STATE = JobState(Status.ENQUEUED, "mail", 0, 1, 0, None)
watch = SimpleNamespace(events=None)


def listen():
    """Listen to what the interpreter does from now on. There is no way back: call it once."""
    import_zones()
    sys.addaudithook(hear)


def import_zones():
    """Import all that finds time zones: Python does it when the first in a folder is looked for."""
    for folder in pkgutil.walk_packages(tzdata.zoneinfo.__path__, "tzdata.zoneinfo."):
        importlib.import_module(folder.name)
    with suppress(zoneinfo.ZoneInfoNotFoundError):
        zoneinfo.ZoneInfo("Europe/Nowhere")


def hear(event, args):
    if watch.events is None or not event.startswith(FORBIDDEN):
        return
    # A zone of time is a file of the system or else of a package of data, which is looked for.
    if event == "open" and "zoneinfo" in str(args[0]):
        return
    if event == "os.listdir" or (event == "import" and args[0].startswith("tzdata")):
        return
    watch.events.append(f"{event} {args!r:.100}")


def look(encoded):
    """Return what *encoded* shows, and all that was run, opened or imported to show it."""
    stored = StoredJob(7, STATE, JobSpec("shop:Mail", encoded, 0), ())
    watch.events = []
    try:
        job = encoding.as_job(stored, display.display_args(encoded))
        texts = [repr(job.args), render.job_text(job), render.as_json(job)]
        happened = watch.events
    finally:
        watch.events = None
    Console(file=io.StringIO(), width=80).print(render.job_table([job]))
    for text in texts:
        text.encode()
    json.loads(texts[-1])
    return job.args, happened


def answer(encoded, pipe):
    """Look with little memory and time, as the work of a process; send what was seen, as text."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    listen()
    shown, happened = look(encoded)
    pipe.send((repr(shown)[:1000], happened))

"""Looks at stored arguments in every way there is and tells what happened in the meantime.

In a process of its own it has little memory: a reader that takes all memory or for ever is then
the end of that process, and not of the one that tests.
"""

import importlib.resources  # noqa: F401 - zoneinfo imports it to look for a zone
import io
import json
import resource
import sys
from types import SimpleNamespace

import tzdata.zoneinfo  # noqa: F401 - where it looks for one that the system does not have
from rich.console import Console

from antq_actors.cli import render
from antq_actors.jobs.state import JobSpec, JobState, Status, StoredJob
from antq_actors.storage.format import display, encoding

MEMORY = 1 << 30
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
    sys.addaudithook(hear)


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
    """Look with little memory, as the work of a process; send what was seen, as text."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    listen()
    shown, happened = look(encoded)
    pipe.send((repr(shown)[:1000], happened))

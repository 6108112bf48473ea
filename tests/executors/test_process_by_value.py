"""Workers of scripts and notebooks in processes: sent by value, and as they are now."""

import pytest

from antq_actors.integrations.ray import parcel
from antq_actors.jobs.function_worker import worker
from antq_actors.storage import main_objects

NOTEBOOK = """
import sys
from pathlib import Path
from support.apps import settled
from antq_actors import AntQ, QueueConfig, Worker, worker

app = AntQ(queues={"default": QueueConfig(1, executor=sys.argv[1])}).start()
place = Path(sys.argv[2])

def cell(code):
    exec(code, globals())

def said(worker, **args):
    job = settled(app, app.enqueue(worker, args))
    return (place / "said").read_text() if not job.errors else job.errors[0].error
"""
CELLS = """
cell('''
FACTOR = 2
TABLE = {"a": 1}
SEEN = []
class Shape:
    sides = 3
def helper():
    return FACTOR
@worker
def tell():
    SEEN.append(1)
    (place / "said").write_text(f"{helper()} {TABLE} {Shape.sides} {len(SEEN)}")
class Tell(Worker):
    def perform(self, job):
        (place / "said").write_text(f"{helper()} {TABLE} {Shape().sides}")
''')
print(said(tell))
print(said(tell))
print(said(Tell))
cell("FACTOR = 5")
print(said(tell)[:1], said(Tell)[:1])
cell("def helper(): return -FACTOR")
print(said(tell)[:2], said(Tell)[:2])
cell("TABLE['a'] = 7")
print("7" in said(tell), "7" in said(Tell))
cell("Shape.sides = 4")
print("} 4" in said(tell), "} 4" in said(Tell))
app.stop()
"""
EXPECTED = [
    "2 {'a': 1} 3 1",
    "2 {'a': 1} 3 2",  # what a job leaves in its process is there for the next
    "2 {'a': 1} 3",
    "5 5",
    "-5 -5",
    "True True",
    "True True",
]


def run(program, tmp_path, kind, text):
    script = tmp_path / "script.py"
    script.write_text(NOTEBOOK + text)
    code, out, err = program(script, kind, tmp_path).end()
    assert code == 0, err
    return out.splitlines()


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_a_worker_sees_what_another_cell_has_changed(program, tmp_path, kind):
    assert run(program, tmp_path, kind, CELLS) == EXPECTED


ARGUMENTS = """
cell('''
FACTOR = 2
class Shape:
    def area(self):
        return FACTOR
class Counted:
    def area(self):
        return app.count_workers(status="running")
@worker
def measure(shape):
    (place / "said").write_text(str(shape.area()))
''')
print(said(measure, shape=Shape()))
cell("FACTOR = 5")
print(said(measure, shape=Shape()))
print(said(measure, shape=Counted()))
print(said(measure, shape=Shape()))
app.stop()
"""


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_arguments_of_a_script_see_what_another_cell_has_changed(program, tmp_path, kind):
    assert run(program, tmp_path, kind, ARGUMENTS) == ["2", "5", "1", "5"]


def test_a_worker_that_does_not_unpickle_there_fails_its_jobs_with_the_exception(program, tmp_path):
    text = """
import os
class Odd:
    def __reduce__(self):
        return refuse, (os.getpid(),)
def refuse(parent):
    if os.getpid() == parent:
        return Odd()
    raise {error}
ODD = Odd()
@worker(max_attempts=1)
def odd():
    return ODD
@worker
def even():
    (place / "said").write_text("even")
print(said(odd))
print(settled(app, app.list_workers()[0]).errors[0].stack_trace.splitlines()[-1])
ODD = None
print(settled(app, app.enqueue(odd)).status)
print(said(even))
app.stop()
"""
    for error in ("KeyError('no such thing')", "SystemExit('enough')"):
        first, last, *others = run(program, tmp_path, "process", text.format(error=error))

        name = error.partition("(")[0]
        assert first.startswith("job 1 names the worker '__main__:odd'")
        assert f"cannot be unpickled there: {name}: " in first
        assert last.startswith(name)
        assert others == ["completed", "even"]


def test_a_worker_of_a_script_uses_the_application_it_refers_to(program, tmp_path):
    text = """
@worker
def count():
    (place / "said").write_text(str(app.count_workers(status="running")))
print(said(count))
app.stop()
"""
    assert run(program, tmp_path, "process", text) == ["1"]


def test_a_worker_for_a_cluster_is_packed_as_it_is_now():
    factor = 2

    @worker
    def local():
        return factor

    first = parcel.pack_worker(local)
    factor = 3

    assert main_objects.loads_by_value(first.pickled).function() == 2
    assert main_objects.loads_by_value(parcel.pack_worker(local).pickled).function() == 3

"""The plugin for pytest, in runs of pytest of their own."""

import os
import re
from importlib.metadata import entry_points

import pytest
from support.programs import run_python

PASSING = """
import threading
import pytest
from antq_actors import worker
from antq_actors.testing import assert_enqueued, drain, enqueued

done = []

@worker
def note(n):
    done.append(n)

@pytest.mark.parametrize("n", range(4))
def test_each_test_has_a_store_of_its_own(antq, n):
    note.perform_async(n=n)
    assert_enqueued(note, {"n": n}, count=1)
    assert antq.count_jobs() == 1

@pytest.mark.antq(mode="inline", queues={"mail": 1, "other": 1})
def test_the_marker_chooses(antq):
    note.perform_async(n=1)
    assert done[-1] == 1
    assert antq.list_jobs()[0].queue_name == "mail"

@pytest.mark.antq(queues={"mail": 2})
def test_queues_run(antq_running):
    job = note.perform_async(n=1)
    assert antq_running.wait_idle(timeout=20)
    assert antq_running.get_job(job.id).status == "completed"
    assert job.queue_name == "mail"

def test_the_clock_is_that_of_the_application(antq_clock, antq):
    antq_clock.freeze()
    job = note.options(schedule_in=60).perform_async(n=1)
    assert job.inserted_at == antq_clock.now()
    antq_clock.advance(60)
    assert drain(antq).completed == 1

def test_the_clock_is_also_that_of_running_queues(antq_running, antq_clock):
    antq_clock.freeze()
    note.options(schedule_in=60).perform_async(n=1)
    antq_clock.advance(60)
    assert antq_running.wait_idle(timeout=20)
    assert antq_running.count_jobs(status="completed") == 1

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.antq(mode="inline")
async def test_coroutines_use_it_as_well(antq, anyio_backend):
    await note.aperform_async(n=5)
    assert done[-1] == 5
    assert enqueued() == []
"""

FAILING = """
import threading
import pytest
from antq_actors import worker

begun = threading.Event()

@worker
def hangs():
    begun.set()
    while True:
        threading.Event().wait(0.01)

@pytest.mark.antq(mood="inline")
def test_an_unknown_argument(antq):
    pass

@pytest.mark.antq("inline")
def test_an_argument_by_position(antq):
    pass

@pytest.mark.antq(mode="outline")
def test_a_wrong_mode(antq):
    pass

def test_two_applications(antq, antq_running, antq_clock):
    pass

def test_a_clock_that_comes_too_late(antq, request):
    request.getfixturevalue("antq_clock")

def test_a_job_that_hangs(antq_running):
    hangs.perform_async()
    assert begun.wait(20)
"""


def run(tmp_path, source, *arguments):
    (tmp_path / "test_shop.py").write_text(source)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return run_python(
        *("-m", "pytest", "-p", "no:cacheprovider", "--strict-markers", *arguments),
        *("--rootdir", tmp_path, tmp_path),
        cwd=tmp_path,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        timeout=100,
    )


def test_the_fixtures_work_and_tests_of_several_programs_do_not_see_each_other(tmp_path):
    done = run(tmp_path, PASSING, "-n", "2")

    assert "9 passed" in done.stdout, done.stdout + done.stderr


def test_wrong_use_and_what_hangs_are_errors_that_say_so(tmp_path):
    done = run(tmp_path, FAILING, "-rfE")

    shown = re.sub(r"\s+", " ", done.stdout)
    assert "1 failed, 1 passed, 5 errors" in shown, done.stdout + done.stderr
    assert "has no argument 'mood'" in shown
    assert "takes its arguments by name" in shown
    assert "mode must be 'manual' or 'inline', got 'outline'" in shown
    assert "this one uses both" in shown
    assert "made without a clock, before antq_clock" in shown
    assert "test_shop:hangs (job 1)" in shown


def test_the_plugin_imports_nothing_until_it_is_used():
    code = (
        "import sys, antq_actors.testing.plugin as plugin;"
        "print(sorted({'lmdb', 'pykka', 'rich', 'asyncio'} & set(sys.modules)),"
        " all(f.__doc__ for f in (plugin.antq, plugin.antq_running, plugin.antq_clock)))"
    )

    assert run_python("-c", code, check=True).stdout.split() == ["[]", "True"]


def test_the_core_imports_neither_the_kit_nor_pytest():
    code = (
        "import sys, antq_actors;"
        "app = antq_actors.AntQ().start(); app.stop();"
        "print([name for name in sys.modules"
        " if name.startswith(('antq_actors.testing', 'antq_actors.app.clock', 'pytest'))])"
    )

    assert run_python("-c", code, check=True).stdout.split() == ["[]"]


def test_there_is_one_entry_point():
    found = [each for each in entry_points(group="pytest11") if "antq" in each.value]

    assert {each.value for each in found} == {"antq_actors.testing.plugin"}


def test_the_fixtures_are_offered_here_as_well(antq):
    with pytest.raises(RuntimeError, match="within"):
        raise RuntimeError("within")
    assert antq.count_jobs() == 0

"""Scripts that start their application above their workers, run again while jobs wait for them."""

import pytest
from support.apps import settled, until
from test_foreign_workers import stored_as

from antq_actors import AntQ, Status

SCRIPT = """
import sys
from support.apps import settled, until
from antq_actors import AntQ, Job, QueueConfig, Worker, worker

app = AntQ(sys.argv[1], queues={{"default": QueueConfig(1, check_interval=3600)}}).start()
job = app.list_workers()[0]

def wait_until_put_off():
    until(lambda: app.get_worker(job.id).status == "scheduled", "the job to be put off")

{body}

ended = settled(app, job, "completed", "failed", "retrying")
print(ended.status, ended.attempts, ended.interruptions, [entry.error for entry in ended.errors])
app.stop()
"""
WORKERS = {
    "thread": "class Late(Worker):\n    def perform(self, job): pass",
    "async": "class Late(Worker):\n    async def perform(self, job): pass",
    "process": "class Late(Worker, executor='process'):\n    def perform(self, job): pass",
    "function": "@worker\ndef Late(): pass",
    "function in a process": "@worker(executor='process')\ndef Late(): pass",
}
DONE = "completed 1 0 []"


@pytest.fixture
def run(program, tmp_path):
    """Run a script whose store has a job of this name; answer what it prints."""

    def run(body, name="__main__:Late", *started_by):
        file = tmp_path / "script.py"
        file.write_text(SCRIPT.format(body=body))
        with AntQ(tmp_path / "store", start_queues=False) as app:
            stored_as(app, name)
        code, out, err = program(*(started_by or [file]), tmp_path / "store").end()
        assert code == 0, err
        return out.strip()

    return run


@pytest.mark.parametrize("kind", WORKERS)
def test_a_job_waits_for_its_worker_below_the_start(run, kind):
    assert run(f"wait_until_put_off()\n{WORKERS[kind]}") == DONE


WAITED_FOR = {
    "a worker in a function of the script": (
        "__main__:main.<locals>.Late",
        """
def main():
    wait_until_put_off()
    class Late(Worker):
        def perform(self, job): pass
main()
""",
    ),
    "a worker with a name of its own": (
        "no_such_module:Old",
        """
wait_until_put_off()
class New(Worker, name="no_such_module:Old"):
    def perform(self, job): pass
""",
    ),
    "other jobs of its queue do not wait": (
        "__main__:Late",
        """
class There(Worker):
    def perform(self, job): pass
for _ in range(20):
    wait_until_put_off()
    assert settled(app, There.perform_async()).status == "completed"
class Late(Worker):
    def perform(self, job): pass
""",
    ),
    "it can be cancelled meanwhile": (
        "__main__:Late",
        """
wait_until_put_off()
app.cancel_worker(job)
job = app.enqueue(type("Other", (Worker,), {"perform": lambda self, job: None}))
class Late(Worker):
    def perform(self, job): pass
assert app.get_worker(1).status == "cancelled"
""",
    ),
}


@pytest.mark.parametrize(("name", "body"), WAITED_FOR.values(), ids=WAITED_FOR)
def test_a_job_waits_for_its_worker(run, name, body):
    assert run(body, name) == DONE


def test_a_job_whose_worker_does_not_come_fails_where_the_script_is_past_it(run):
    body = """
class Late:
    '''It is no worker any more.'''
"""
    assert run(body).startswith("failed 1 0 [\"job 1 names the worker '__main__:Late'")


def test_a_module_that_is_run_by_its_name_is_waited_for(run, tmp_path):
    body = f"wait_until_put_off()\n{WORKERS['thread']}"
    as_python_does = (
        f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r});"
        "runpy.run_module('script', run_name='__main__', alter_sys=True)"
    )

    assert run(body, "__main__:Late", "-c", as_python_does) == DONE


def test_a_script_that_waits_for_signals_defines_nothing_more(program, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from antq_actors import AntQ, Worker\n"
        "AntQ(sys.argv[1]).run()\n"
        "class Late(Worker): pass\n"
    )
    with AntQ(tmp_path / "store", start_queues=False) as app:
        job = stored_as(app, "__main__:Late")

        program(script, tmp_path / "store")

        assert "cannot be imported" in settled(app, job).errors[0].error


def test_at_a_prompt_a_job_waits_until_its_worker_is_defined(program, tmp_path):
    with AntQ(tmp_path / "store", start_queues=False) as app:
        job = stored_as(app, "__main__:Late")
        session = program("-i", "-q")

        def type_in(text):
            session.process.stdin.write(text + "\n")
            session.process.stdin.flush()

        type_in("from antq_actors import AntQ, Worker")
        type_in(f"app = AntQ({str(tmp_path / 'store')!r}).start()")
        until(lambda: app.get_worker(job.id).status is Status.SCHEDULED, "the job to be put off")
        type_in("class Late(Worker):\n    def perform(self, job): pass\n")

        ended = settled(app, job)
        assert (ended.status, ended.attempts, ended.errors) == (Status.COMPLETED, 1, ())

"""Workers that another process defined: run while that lives, refused clearly elsewhere."""

import textwrap

import pytest
from support.apps import settled
from support.programs import run_python

from antq_actors import AntQ, Status, Worker
from antq_actors.jobs import worker_registry

SCRIPT = """
    import sys
    from antq_actors import AntQ, Worker, worker

    class Mail(Worker, max_attempts=2):
        def perform(self, job):
            pass

    @worker
    def send(email):
        pass

    def inside():
        class Local(Worker):
            def perform(self, job):
                pass
        return Local

    class Cart:
        def __init__(self):
            self.n = 1
"""


def script(tmp_path, body):
    file = tmp_path / "program.py"
    file.write_text(textwrap.dedent(SCRIPT) + textwrap.dedent(body))
    done = run_python(file, tmp_path / "store", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def enqueued(tmp_path):
    """A store with the jobs of a script that has ended."""
    script(
        tmp_path,
        """
        with AntQ(sys.argv[1], start_queues=False) as app:
            print([Mail.perform_async().id, send.perform_async(email="x").id,
                   inside().perform_async().id])
        """,
    )
    return tmp_path / "store"


def test_workers_of_a_script_run_while_it_runs(tmp_path):
    said = script(
        tmp_path,
        """
        import time
        with AntQ(sys.argv[1]) as app:
            for job in (Mail.perform_async({"cart": Cart()}), send.perform_async(email="x"),
                        inside().perform_async()):
                deadline = time.monotonic() + 30
                while app.get_worker(job.id).status != "completed":
                    assert time.monotonic() < deadline, app.get_worker(job.id)
                    time.sleep(0.01)
                print(job.worker)
        """,
    )

    assert said.split() == ["__main__:Mail", "__main__:send", "__main__:inside.<locals>.Local"]


def test_in_another_process_it_is_a_failed_attempt_that_says_what_to_do(enqueued):
    with AntQ(enqueued) as app:
        mail, send, local = (
            settled(app, job, Status.RETRYING, Status.FAILED) for job in app.list_workers()
        )

        assert (mail.status, mail.attempts) == (Status.RETRYING, 1)
        assert (send.status, send.attempts) == (Status.FAILED, 1)
        for job in (mail, send, local):
            assert job.worker in job.errors[0].error
            assert "script" in job.errors[0].error
            assert "Move the worker to a module" in job.errors[0].error


def stored_as(app, name, **options):
    """Store a job under a name that no worker of this process answers to."""

    class Stranger(Worker, name=name, **options):
        def perform(self, job):
            raise AssertionError

    app.queue("default").pause()
    job = app.enqueue(Stranger)
    del worker_registry._defined[name]
    app.queue("default").resume()
    return job


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_module:Mail", "No module named 'no_such_module'"),
        ("textwrap:Mail", "has no 'Mail'"),
        ("textwrap", "module:QualName"),
        ("this.is:not.there", "this"),
    ],
)
def test_a_name_that_leads_nowhere_is_a_failed_attempt(app, name, said):
    job = settled(app, stored_as(app, name, max_attempts=2), Status.RETRYING)

    assert job.attempts == 1
    assert said in job.errors[0].error
    assert name in job.errors[0].error


@pytest.mark.parametrize("name", ["os:system", "subprocess:Popen", "antq_actors:Worker", "os:path"])
def test_what_is_no_worker_is_never_run_and_fails_at_once(app, name):
    job = settled(app, stored_as(app, name, max_attempts=5))

    assert job.status is Status.FAILED
    assert name in job.errors[0].error
    assert "Worker" in job.errors[0].error
    assert job.errors[0].stack_trace is None
    assert len(job.errors) == 1

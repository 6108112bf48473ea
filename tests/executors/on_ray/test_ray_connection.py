"""Ray itself: begun when it is needed, ended only where it was begun, and perhaps not there."""

import pytest
from ray_nodes import NODE

pytest.importorskip("ray")

SCRIPT = """
import time
import ray
from antq_actors import AntQ, Status, Worker, worker
from support.apps import settled

class Here(Worker, executor="ray"):
    def perform(self, job):
        time.sleep(job.args.get("seconds", 0))
        return helper(job)

def helper(job):
    assert job.args["n"] == 7

@worker(executor="ray")
def there(n):
    assert helper and n == 7

with AntQ(queues={"default": 4}) as app:
    jobs = [Here.perform_async({"n": 7}), there.perform_async(n=7), Here.perform_async({"n": 8})]
    print([settled(app, job).status.value for job in jobs])
    MORE
print(ray.is_initialized())
"""


def run(program, monkeypatch, address, more=""):
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    code, out, err = program("-c", SCRIPT.replace("MORE", more)).end(timeout=60)
    assert code == 0, err
    return [line for line in out.splitlines() if line]


def test_workers_of_a_script_travel_by_value_and_a_started_ray_is_shut_down(
    cluster, program, monkeypatch
):
    lines = run(program, monkeypatch, cluster.address)

    assert lines == ["['completed', 'completed', 'failed']", "False"]


def test_jobs_go_on_when_the_program_itself_ended_the_connection(cluster, program, monkeypatch):
    again = """
    lost = Here.perform_async({"n": 7, "seconds": 1})
    settled(app, lost, "running")
    ray.shutdown()
    ended = settled(app, lost)
    print(ended.status.value, ended.interruptions, ended.errors[0].error)
"""
    lines = run(program, monkeypatch, cluster.address, again)

    assert lines[1] == "completed 1 interrupted: the connection to Ray was ended by this program"


def test_jobs_wait_while_there_is_no_ray(cluster, program, monkeypatch):
    """Not even an attempt is counted: nothing of the job ran."""
    # An address where nobody answers.
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    program = program(
        "-c",
        """
import time, logging
from antq_actors import AntQ, Worker
from support.apps import until

class Here(Worker, executor="ray"):
    def perform(self, job): pass

class Heard(logging.Handler):
    said = []
    def emit(self, record): self.said.append(record.getMessage())

logging.getLogger("antq_actors").addHandler(Heard())
with AntQ(queues={"default": 4}) as app:
    job = Here.perform_async()
    until(lambda: any("there is no Ray to use" in line for line in Heard.said))
    until(lambda: app.get_worker(job.id).status == "enqueued")
    now = app.get_worker(job.id)
    print(now.attempts, now.interruptions, now.errors)
""",
    )
    assert program.end(timeout=60)[1].splitlines()[-1] == "0 0 ()"


def test_jobs_go_back_to_their_queue_when_the_whole_cluster_has_ended(
    cluster, program, monkeypatch, tmp_path
):
    """Ray lets no process go on for long without its cluster; but no job is failed for that."""
    other = type(cluster)(initialize_head=True, head_node_args={"num_cpus": 2, **NODE})
    monkeypatch.setenv("RAY_ADDRESS", other.address)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    program = program("-c", GOES_ON_WITHOUT, tmp_path)
    assert program.line() == "begun"

    other.head_node.kill_all_processes(check_alive=False, allow_graceful=True)

    assert program.line() == "enqueued 0 1"
    program.kill()


GOES_ON_WITHOUT = """
import sys, time
from pathlib import Path
from antq_actors import AntQ, Worker
from support.apps import until

class Here(Worker, executor="ray"):
    def perform(self, job):
        Path(job.args["notes"], "begun").touch()
        time.sleep(60)

def health():
    return app.queue("default").status().executors[0].detail

with AntQ(queues={"default": 2}) as app:
    job = Here.perform_async({"notes": sys.argv[1]})
    until(Path(sys.argv[1], "begun").exists)
    print("begun", flush=True)
    until(lambda: "has died" in health())
    until(lambda: app.get_worker(job.id).status == "enqueued")
    job = app.get_worker(job.id)
    print(job.status.value, job.attempts, job.interruptions, flush=True)
    sys.stdin.read()
"""

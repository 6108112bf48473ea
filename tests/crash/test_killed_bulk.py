"""A change of many jobs goes on when the process that does it is killed, and each changes once."""

import subprocess
import sys
from contextlib import closing
from textwrap import dedent

from support.apps import Plain, until
from support.programs import TESTS

from antq_actors import AntQ
from antq_actors.insights import Insights
from antq_actors.storage.admin.verify import verify
from antq_actors.storage.lmdb.open_stores import open_environment

JOBS = 5_000
PROGRAM = dedent(
    """
    import sys
    from antq_actors import AntQ
    from antq_actors.insights import change_jobs
    from antq_actors.storage.jobs import bulk_table

    bulk_table.PAGE_JOBS = 20
    path, begins = sys.argv[1], sys.argv[2] == "begin"
    with AntQ(path, queues={"mail": 1}, start_queues=not begins) as app:
        if begins:
            found = "status:cancelled queue:mail"
            print(change_jobs(app, "retry", found, expect=5_000, reason="try again"), flush=True)
        sys.stdin.read()
    """
)


def run(path, what):
    """Run a process that begins the change, or a node that goes on with it."""
    return subprocess.Popen(  # noqa: S603 - the tests' own code
        [sys.executable, "-c", PROGRAM, path, what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=TESTS,
    )


def kill_beyond(process, look, changed):
    """Kill a process with SIGKILL once so many jobs are changed; return how many are then."""
    until(lambda: look.bulk(1).changed > changed, f"more than {changed} changed jobs")
    process.kill()
    process.communicate()
    return look.bulk(1).changed


def test_each_job_is_changed_once_whoever_is_killed(tmp_path):
    path = tmp_path / "store"
    with AntQ(path, queues={"mail": 1}, start_queues=False) as app:
        app.queue("mail").pause()
        app.enqueue_many(Plain, ({"n": n} for n in range(JOBS)), queue="mail")
        app.cancel_jobs(queue="mail")
        look = Insights(app)

        first = run(path, "begin")
        assert first.stdout.readline() == b"1\n"
        after_one = kill_beyond(first, look, 100)
        after_two = kill_beyond(run(path, "go on"), look, after_one + 100)
        assert after_one < after_two < JOBS
        last = run(path, "go on")
        until(lambda: look.bulk(1).state == "done", "the end of the change")
        last.communicate()

        done = look.bulk(1)
        assert (done.changed, done.skipped, done.refused) == (JOBS, 0, 0)
        assert app.count_jobs(status="enqueued") == JOBS
        assert [(entry.verb, entry.count) for entry in app.audit()] == [("bulk retry", JOBS)]
        changes = {job.state.history for job in app._runtime().store.list()}
        assert changes == {2}  # the cancel and one retry
    with closing(open_environment(path, durable=True)) as env:
        assert env.read(lambda txn: verify(txn, env.tables)) == []

"""Limits as users have them: declared, kept to, looked at and changed at runtime."""

import asyncio
import pickle
import threading
import time
from datetime import timedelta

import pytest
from support.apps import Plain, settled, until
from support.controlled_jobs import ControlledJob, ControlledJobs
from support.programs import run_python

from antq_actors import (
    AntQ,
    BatchError,
    Concurrency,
    ConfigError,
    GateStatus,
    LimitInfo,
    LimitReached,
    NotStarted,
    QueueConfig,
    RateLimit,
    Status,
    UnknownLimit,
    Worker,
    worker,
)

LONG_AGO_SECONDS = 3600.0


class OnePerName(ControlledJob, concurrency=Concurrency(1, key="name")):
    pass


class TwoAtOnce(ControlledJob, concurrency=2):
    pass


class Refused(ControlledJob, concurrency=Concurrency(1, key="name", when_full="discard")):
    pass


class Newest(ControlledJob, concurrency=Concurrency(1, key="name", when_full="replace")):
    pass


class OneWaits(ControlledJob, concurrency=Concurrency(1, key="name", max_waiting=1)):
    pass


class InOrder(
    ControlledJob, concurrency=Concurrency(1, key="name", order="strict"), max_attempts=2
):
    pass


class OneAnHour(ControlledJob, rate_limit=RateLimit(1, LONG_AGO_SECONDS, key="name")):
    pass


class Both(
    ControlledJob,
    concurrency=Concurrency(3, key="name"),
    rate_limit=RateLimit(100, per=timedelta(minutes=1), key="name", burst=10),
):
    pass


class Unused(Worker, concurrency=Concurrency(4, name="unused")):
    def perform(self, job):
        pass


@pytest.fixture
def app(place):
    with AntQ(place, queues={"default": 10, "mail": 10}) as running:
        yield running


@pytest.fixture
def jobs(app):
    controlled = ControlledJobs(app)
    yield controlled
    controlled.release_all()


def enqueue(jobs, cls, name, **options):
    args = {"controller": jobs._name, "name": name, "wait": "interruptible"}
    return jobs.app.enqueue(cls, args, **options)


def status_of(app, job):
    return app.get_job(job.id).status


# ---- kept to --------------------------------------------------------------------------------


def test_a_key_runs_one_at_a_time_and_others_run_beside_it(app, jobs):
    first, second = (enqueue(jobs, OnePerName, "acme") for _ in range(2))
    other = enqueue(jobs, OnePerName, "globex")

    assert sorted(jobs.begun(2)) == ["acme", "globex"]
    assert status_of(app, second) is Status.ENQUEUED
    jobs.release("acme")
    settled(app, first)
    assert jobs.begun() == ["acme"]
    jobs.release("acme", "globex")
    assert [settled(app, job).status for job in (second, other)] == [Status.COMPLETED] * 2


def test_no_more_run_at_once_than_may_on_any_number_of_slots(app, jobs):
    ids = [enqueue(jobs, TwoAtOnce, str(number)).id for number in range(60)]
    jobs.begun(2)

    jobs.release_all()

    assert app.wait_idle(timeout=60)
    assert jobs.most_at_once == 2
    assert app.count_jobs(status="completed") == len(ids)


def test_jobs_start_no_faster_than_they_may(app):
    starts = []

    @worker(rate_limit=RateLimit(20, per=0.2, burst=3, name="twenty"))
    def note():
        pass

    app.enqueue_many(note, [{}] * 12)

    assert app.wait_idle(timeout=60)
    starts = sorted(job.started_at for job in app.list_jobs(worker=note))
    # In no span of 0.05 s, in which 5 may start, more than 5 + 3 - 1.
    for first, last in zip(starts, starts[7:], strict=False):
        assert last - first >= timedelta(seconds=0.05)


def test_a_job_is_refused_where_a_full_key_discards(app, jobs):
    running = enqueue(jobs, Refused, "acme")
    jobs.begun()

    with pytest.raises(LimitReached, match="acme") as refused:
        enqueue(jobs, Refused, "acme")

    assert refused.value.job.id == running.id
    assert pickle.loads(pickle.dumps(refused.value)).job.id == running.id  # noqa: S301
    assert app.count_jobs() == 1
    assert app.enqueue_many(Refused, [{"name": "acme"}]) == []


def test_a_job_takes_the_place_of_those_that_wait_where_a_full_key_replaces(app, jobs):
    running, waiting, newest = (enqueue(jobs, Newest, "acme") for _ in range(3))
    jobs.begun()

    replaced = app.get_job(waiting.id)
    assert replaced.status is Status.CANCELLED
    assert str(newest.id) in replaced.errors[0].error
    assert [status_of(app, job) for job in (running, newest)] == [Status.RUNNING, Status.ENQUEUED]


def fail(job):
    raise ValueError("not yet")


def test_a_strict_key_goes_on_when_a_job_has_ended_after_its_retries(app, jobs):
    jobs.delay = lambda job: 0.05
    first, second = (enqueue(jobs, InOrder, "acme") for _ in range(2))
    jobs.begun()
    jobs.release("acme", then=fail)

    jobs.begun()
    assert [status_of(app, job) for job in (first, second)] == [Status.RUNNING, Status.ENQUEUED]
    jobs.release("acme")
    jobs.begun()
    assert [status_of(app, job) for job in (first, second)] == [Status.COMPLETED, Status.RUNNING]


def test_no_more_wait_at_a_key_than_may(app, jobs):
    enqueue(jobs, OneWaits, "acme")
    jobs.begun()
    enqueue(jobs, OneWaits, "acme")

    with pytest.raises(LimitReached, match=r"acme.*1"):
        enqueue(jobs, OneWaits, "acme")
    enqueue(jobs, OneWaits, "globex")


def test_a_job_without_the_key_is_refused_and_nothing_is_stored(app):
    with pytest.raises(TypeError, match="'name'"):
        app.enqueue(OnePerName, {})
    with pytest.raises(BatchError, match="'name'") as refused:
        app.enqueue_many(OnePerName, [{"name": "acme"}, {}])

    assert isinstance(refused.value.__cause__, TypeError)
    assert app.count_jobs() == 1


# ---- of a queue -----------------------------------------------------------------------------


def test_a_queue_runs_no_more_at_once_than_it_may_in_all(place):
    config = QueueConfig(concurrency=10, global_concurrency=2)
    with AntQ(place, queues={"default": config}) as app:
        jobs = ControlledJobs(app)
        jobs.jobs("abcde")
        assert len(jobs.begun(2)) == 2
        assert app.count_jobs(status="running") == 2

        app.queue("default").set_global_concurrency(4)
        jobs.begun(2)
        assert app.count_jobs(status="running") == 4

        app.queue("default").set_global_concurrency(None)
        jobs.begun(1)
        jobs.release_all()


def test_the_status_of_a_queues_rate_has_the_jobs_of_the_queue(place):
    config = QueueConfig(concurrency=1, rate_limit=RateLimit(100, per=1, burst=10))
    with AntQ(place, queues={"default": config}) as app:
        jobs = ControlledJobs(app)
        running, *_ = jobs.jobs("abc")
        jobs.begun()

        (info,) = info_of(app, "default")
        assert (info.running, info.waiting) == (1, 2)
        assert app.limit("default").status() == GateStatus(1, 2, (running.id,), None)
        jobs.release_all()


def test_the_jobs_of_a_queue_pass_its_limits(place):
    shared = Concurrency(1, key="name", name="of the queue")
    with AntQ(place, queues={"default": 5, "mail": QueueConfig(limits=[shared])}) as app:
        jobs = ControlledJobs(app)
        jobs.job("acme", queue="mail")
        waiting = jobs.job("acme", queue="mail")
        jobs.job("acme", queue="default")
        jobs.begun(2)

        assert status_of(app, waiting) is Status.ENQUEUED
        assert app.limit("of the queue").status("acme").waiting == 1
        jobs.release_all()


NODE = """
import sys
from antq_actors import AntQ, Concurrency, QueueConfig

shared = Concurrency(1, key="name", name="of a node")
with AntQ(sys.argv[1], queues={"default": QueueConfig(limits=[shared])}) as app:
    app.queue("default").pause()
    print("started", flush=True)
    sys.stdin.readline()
"""


def test_the_limits_of_a_queue_hold_for_what_others_enqueue(tmp_path, program):
    with AntQ(tmp_path / "store").start(queues=False) as app:
        jobs = ControlledJobs(app)
        jobs.job("acme")
        assert "of a node" not in [info.name for info in app.limits()]

        assert program("-c", NODE, tmp_path / "store").line() == "started"

        # What an enqueuer knows of the queues of others is a second old at most.
        limit = app.limit("of a node")
        until(lambda: jobs.job("globex") and limit.keys())
        assert limit.keys() == ["globex"]
        with pytest.raises(TypeError, match="'name'"):
            app.enqueue(Plain)


def test_a_queues_limit_by_a_function_is_refused_where_it_is_not_configured(tmp_path):
    def by_name(args):
        return args["name"]

    limited = QueueConfig(limits=[Concurrency(1, key=by_name, name="by a function")])
    with AntQ(tmp_path / "store", queues={"default": limited}):
        pass

    with (
        AntQ(tmp_path / "store").start(queues=False) as app,
        pytest.raises(ConfigError, match=r"queue 'default'.*'by a function'.*QueueConfig"),
    ):
        app.enqueue(Plain)
    with AntQ(tmp_path / "store", queues={"default": limited}).start(queues=False) as app:
        app.enqueue(Unused, {"name": "acme"})
        assert app.limit("by a function").keys() == ["acme"]


def test_a_queue_that_gives_a_name_a_second_meaning_is_refused(place):
    with pytest.raises(ConfigError, match="'unused'"):
        AntQ(place, queues={"mail": QueueConfig(limits=[Concurrency(5, name="unused")])})
    with pytest.raises(ConfigError, match="'twice'"):
        AntQ(
            place,
            queues={
                "mail": QueueConfig(limits=[RateLimit(5, 1, name="twice")]),
                "other": QueueConfig(limits=[RateLimit(6, 1, name="twice")]),
            },
        )


def test_a_start_is_refused_if_a_worker_defined_since_gives_a_name_a_second_meaning(place):
    name = f"since then {place}"
    app = AntQ(place, queues={"mail": QueueConfig(limits=[Concurrency(5, name=name)])})

    class Since(Worker, limits=[Concurrency(6, name=name)]):
        def perform(self, job):
            pass

    with pytest.raises(ConfigError, match="'since then"):
        app.start()
    assert not app.runs_queues


# ---- looked at ------------------------------------------------------------------------------


def info_of(app, name):
    return [info for info in app.limits() if info.name == name]


def test_limits_are_known_once_a_node_has_started(app):
    assert info_of(app, "unused") == [
        LimitInfo("unused", "concurrency", 4, None, None, 0, 0, 0, None)
    ]
    assert [info.kind for info in info_of(app, Both.antq_name)] == ["concurrency", "rate"]
    concurrency, rate = info_of(app, Both.antq_name)
    assert (concurrency.limit, concurrency.per, concurrency.burst) == (3, None, None)
    assert (rate.limit, rate.per, rate.burst) == (100, 60.0, 10)


def test_a_limit_is_known_once_a_job_of_it_was_enqueued(tmp_path):
    @worker(concurrency=Concurrency(1, name="known by its job"))
    def limited():
        pass

    with AntQ(tmp_path / "store").start(queues=False) as app:
        with pytest.raises(UnknownLimit, match="'known by its job'"):
            app.limit("known by its job").status()
        app.enqueue(limited)

        assert app.limit("known by its job").status().waiting == 1


def test_the_status_of_a_key_shows_what_runs_and_waits(app, jobs):
    running = enqueue(jobs, OnePerName, "acme")
    jobs.begun()
    for _ in range(3):
        enqueue(jobs, OnePerName, "acme")
    limit = app.limit(OnePerName.antq_name)

    assert limit.status(key="acme") == GateStatus(1, 3, (running.id,), None)
    assert limit.status(key="nobody") == GateStatus(0, 0, (), None)
    assert limit.keys() == ["acme"]
    (info,) = info_of(app, OnePerName.antq_name)
    assert (info.keys, info.running, info.waiting) == (1, 1, 3)


def test_keys_are_listed_in_pages(app, jobs):
    names = [f"key {number}" for number in range(5)]
    for name in names:
        enqueue(jobs, OnePerName, name)
    limit = app.limit(OnePerName.antq_name)
    jobs.begun(5)

    assert limit.keys() == names
    assert limit.keys(limit=2) == names[:2]
    assert limit.keys(after=names[1], limit=2) == names[2:4]
    assert limit.keys(limit=0) == []


# ---- changed --------------------------------------------------------------------------------


def test_a_number_set_at_runtime_holds_from_the_next_claim_on(app, jobs):
    for _ in range(4):
        enqueue(jobs, OnePerName, "acme")
        enqueue(jobs, OnePerName, "globex")
    jobs.begun(2)
    limit = app.limit(OnePerName.antq_name)

    limit.set(limit=3, key="acme")

    assert jobs.begun(2) == ["acme", "acme"]
    assert limit.status("acme").running == 3
    assert limit.status("globex").running == 1
    limit.set(limit=2)
    assert jobs.begun(1) == ["globex"]
    assert info_of(app, OnePerName.antq_name)[0].limit == 2


def test_what_was_set_is_kept_over_restarts_until_it_is_reset(tmp_path):
    app = AntQ(tmp_path / "store")
    with app:
        app.limit(Both.antq_name).set(limit=7, per=timedelta(seconds=2), burst=5)
        app.limit(Both.antq_name).set(limit=9, kind="concurrency")

    with app:
        concurrency, rate = info_of(app, Both.antq_name)
        assert (concurrency.limit, rate.limit, rate.per, rate.burst) == (9, 7, 2.0, 5)
        app.limit(Both.antq_name).set(burst=6)
        assert info_of(app, Both.antq_name)[1] == LimitInfo(
            Both.antq_name, "rate", 7, 2.0, 6, 0, 0, 0, None
        )
        app.limit(Both.antq_name).reset()
        assert [info.limit for info in info_of(app, Both.antq_name)] == [3, 100]


def test_a_paused_key_starts_nothing_until_it_is_resumed(app, jobs):
    limit = app.limit(OnePerName.antq_name)
    limit.pause("acme")
    waiting = enqueue(jobs, OnePerName, "acme")
    enqueue(jobs, OnePerName, "globex")
    assert jobs.begun() == ["globex"]
    assert status_of(app, waiting) is Status.ENQUEUED

    limit.resume("acme")

    assert jobs.begun() == ["acme"]


def test_a_pause_of_seconds_ends_by_itself(app, jobs):
    limit = app.limit(OnePerName.antq_name)
    limit.pause("acme", timedelta(milliseconds=50))
    enqueue(jobs, OnePerName, "acme")

    assert jobs.begun() == ["acme"]


def test_a_rate_that_is_raised_opens_what_waits(app, jobs):
    for _ in range(2):
        enqueue(jobs, OneAnHour, "acme")
    jobs.begun()
    limit = app.limit(OneAnHour.antq_name)
    opens_in = limit.status("acme").opens_at.timestamp() - time.time()
    assert LONG_AGO_SECONDS - 600 < opens_in <= LONG_AGO_SECONDS

    limit.set(limit=1000, per=0.001)

    assert jobs.begun() == ["acme"]


def test_a_limit_that_nobody_knows_is_refused_by_each_verb(app):
    limit = app.limit("nobody's")

    for verb in (
        lambda: limit.set(limit=1),
        limit.reset,
        limit.pause,
        limit.resume,
        limit.status,
        limit.keys,
    ):
        with pytest.raises(UnknownLimit, match=r"\"?nobody's.*'unused'"):
            verb()


@pytest.mark.parametrize(
    ("verb", "error", "text"),
    [
        (lambda limit: limit.set(), ValueError, "limit"),
        (lambda limit: limit.set(limit=0), ValueError, r"pause\(key\)"),
        (lambda limit: limit.set(limit=1.5), TypeError, "limit"),
        (lambda limit: limit.set(limit=1), ValueError, "kind"),
        (lambda limit: limit.set(limit=1, kind="rates"), ValueError, "kind"),
        (lambda limit: limit.set(per=1, kind="concurrency"), ValueError, "per"),
        (lambda limit: limit.set(per=0), ValueError, "per"),
        (lambda limit: limit.set(burst=0), ValueError, "burst"),
        (lambda limit: limit.set(limit=1, burst=2, key=threading.Lock()), TypeError, "key"),
        (lambda limit: limit.pause(seconds=-1), ValueError, "seconds"),
        (lambda limit: limit.pause(seconds="1"), TypeError, "seconds"),
        (lambda limit: limit.keys(after=5), TypeError, "after"),
        (lambda limit: limit.keys(limit=-1), ValueError, "limit"),
    ],
)
def test_what_makes_no_sense_is_refused(app, verb, error, text):
    with pytest.raises(error, match=text):
        verb(app.limit(Both.antq_name))


def test_a_limit_without_key_has_nothing_to_change_at_a_key(app):
    limit = app.limit("unused")

    for verb in (lambda: limit.set(limit=5, key="acme"), lambda: limit.pause("acme")):
        with pytest.raises(ValueError, match=r"'unused' has no key.*'acme'"):
            verb()
    assert limit.status("acme") == GateStatus(0, 0, (), None)
    assert limit.keys() == []


@pytest.mark.parametrize(
    ("name", "error"),
    [(5, TypeError), (None, TypeError), ("", UnknownLimit), (chr(0xDCFF), UnknownLimit)],
)
def test_a_handle_of_what_is_no_name_can_be_had_and_does_nothing(app, name, error):
    limit = app.limit(name)

    with pytest.raises(error, match="name"):
        limit.status()


def test_a_handle_made_before_the_start_is_used_after_it_and_after_a_restart(tmp_path):
    app = AntQ(tmp_path / "store")
    limit = app.limit("unused")
    with pytest.raises(NotStarted):
        limit.status()

    for _ in range(2):
        with app:
            limit.set(limit=7)
            assert limit.status() == GateStatus(0, 0, (), None)
            assert info_of(app, "unused")[0].limit == 7
    with pytest.raises(NotStarted):
        asyncio.run(limit.akeys())


@pytest.mark.parametrize(("n", "error"), [(0, ValueError), (1.5, TypeError), (True, TypeError)])
def test_a_global_concurrency_is_a_number(app, n, error):
    with pytest.raises(error, match="global_concurrency"):
        app.queue("mail").set_global_concurrency(n)
    with pytest.raises(error, match="global_concurrency"):
        QueueConfig(global_concurrency=n)


def test_coroutines_have_the_same_verbs(app, jobs):
    limit = app.limit(OnePerName.antq_name)

    async def change():
        await limit.apause("acme")
        job = enqueue(jobs, OnePerName, "acme")
        status = await limit.astatus("acme")
        await limit.aset(limit=5)
        await limit.areset()
        await limit.aresume("acme")
        return job, status, await limit.akeys(), await app.alimits()

    job, status, keys, infos = asyncio.run(change())

    assert (status.waiting, keys) == (1, ["acme"])
    assert OnePerName.antq_name in [info.name for info in infos]
    jobs.release("acme")
    assert settled(app, job).status is Status.COMPLETED


# ---- other processes ------------------------------------------------------------------------

WORKERS = """
import os
from antq_actors import AntQ, Concurrency, QueueConfig, RateLimit, Worker, current_job

FOLDER = os.path.dirname(__file__)

class Locked(Worker, concurrency=Concurrency(1, key="n")):
    def perform(self, job):
        lock = f"{FOLDER}/{job.args['n']}"
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL))  # it fails if another one runs
        os.unlink(lock)

class Changes(Worker, executor="process"):
    def perform(self, job):
        from two_processes_workers import app
        limit = app.limit(Locked.antq_name)
        limit.set(limit=3, key=1)
        limit.pause(key=2)
        assert limit.status(key=1).running == 0
        assert limit.keys() is not None
        assert Locked.antq_name in [info.name for info in app.limits()]
        app.queue("default").set_global_concurrency(7)
        limit.resume(key=2)
        limit.reset(key=1)

app = AntQ(f"{FOLDER}/store", queues={"default": 4})
"""

RUN = """
import sys
from two_processes_workers import app
with app:
    print("started", flush=True)
    sys.stdin.readline()
"""


def test_two_processes_keep_to_one_limit(tmp_path, program):
    (tmp_path / "two_processes_workers.py").write_text(WORKERS)
    (tmp_path / "run.py").write_text(RUN)
    for node in [program(tmp_path / "run.py") for _ in range(2)]:
        assert node.line() == "started"
    enqueued = run_python(
        "-c",
        "from two_processes_workers import *\n"
        "with app.start(queues=False):\n"
        "    app.enqueue_many(Locked, [{'n': n % 3} for n in range(300)])\n"
        "    assert app.wait_idle(timeout=60)\n"
        "    assert app.count_jobs(status='completed') == 300\n",
        cwd=tmp_path,
    )
    assert enqueued.returncode == 0, enqueued.stderr


def test_a_job_process_looks_at_limits_and_changes_them(tmp_path):
    (tmp_path / "two_processes_workers.py").write_text(WORKERS)
    done = run_python(
        "-c",
        "from two_processes_workers import *\n"
        "if __name__ == '__main__':\n"
        "    with app:\n"
        "        job = app.enqueue(Changes)\n"
        "        assert app.wait_idle(timeout=60)\n"
        "        assert app.get_job(job.id).status == 'completed', app.get_job(job.id).errors\n",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr

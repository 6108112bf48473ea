"""Periodic entries as users declare, see and change them."""

import asyncio
import sys
import textwrap
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace
from support.apps import Plain, send, until

from antq_actors import (
    AlreadyExists,
    AntQ,
    Concurrency,
    ConfigError,
    Cron,
    CronError,
    CronInfo,
    Every,
    JobNotFound,
    NotStarted,
    StartError,
    Status,
    Unique,
    UnknownCron,
    UnknownQueue,
    Worker,
    worker,
)
from antq_actors.jobs import worker_registry

NEVER = "0 0 29 2 *"
"""Not while a test runs, unless it is the 29th of February at midnight."""


@pytest.fixture(autouse=True)
def only_workers_of_the_test():
    """Forget the workers that a test defines: each node declares the entries of all."""
    before = dict(worker_registry._defined)
    yield
    for name in worker_registry._defined.keys() - before.keys():
        del worker_registry._defined[name]


def infos(app):
    return {info.name: info for info in app.crons()}


# ---- declarations -----------------------------------------------------------------------------


def test_an_expression_on_a_class_line_is_an_entry_of_its_worker(run):
    class Nightly(Worker, cron=NEVER, name="crons:Nightly"):
        def perform(self, job): ...

    app = run()

    info = infos(app)["crons:Nightly"]
    assert (info.expression, info.tz, info.paused, info.error) == (NEVER, "UTC", False, None)
    assert info.declared_by == (app.node,)
    assert info.next_at > datetime.now(UTC)
    assert (info.last_at, info.last_job, info.missed, info.skipped) == (None, None, 0, 0)
    assert info == infos(app)["crons:Nightly"]


def test_a_function_worker_may_have_an_entry(run):
    @worker(cron=Every(3600, args={"region": "eu"}), name="crons:sync")
    def sync(region): ...

    app = run()

    assert app.cron("crons:sync").run_now().args == {"region": "eu"}


def test_an_entry_of_a_class_is_not_its_subclasses(run):
    class Base(Worker, cron=NEVER, name="crons:Base"):
        def perform(self, job): ...

    class Sub(Base, name="crons:Sub"): ...

    app = run()

    assert "crons:Sub" not in infos(app)


def test_a_node_declares_nothing_for_queues_that_it_does_not_run(run):
    class Mail(Worker, cron=NEVER, name="crons:Mail", queue="mail"):
        def perform(self, job): ...

    class Other(Worker, cron=NEVER, name="crons:Other"):
        def perform(self, job): ...

    app = run()

    assert "crons:Mail" not in infos(app)


def test_several_entries_of_a_worker_are_listed_by_the_application(run):
    app = run(
        crons=[
            Cron(NEVER, worker=Plain, name="eu", args={"region": "eu"}),
            Every(timedelta(hours=1), worker=Plain, name="us", args={"region": "us"}),
        ]
    )

    found = infos(app)

    assert [found["eu"].expression, found["us"].expression] == [NEVER, "every 3600 s"]
    assert all(isinstance(info, CronInfo) for info in found.values())


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (["0 3 * * *"], TypeError, "a Cron or an Every"),
        ("0 3 * * *", TypeError, "crons must be a list"),
        (Cron(NEVER, worker=Plain), TypeError, "crons must be a list"),
        (7, TypeError, "crons must be a list"),
        ([Cron(NEVER)], ConfigError, "worker"),
        ([Cron(NEVER, name="named")], ConfigError, "worker"),
        ([Cron(NEVER, worker=Plain), Every(60, worker=Plain)], ConfigError, "two .* the name"),
        ([Cron(NEVER, worker=Plain, queue="mail")], UnknownQueue, "mail"),
        ([Cron(NEVER, worker="not_yet:Imported", queue="mail")], UnknownQueue, "mail"),
        ([Cron(NEVER, worker="not_yet:Imported", queue=[])], None, ""),
        ([Cron(NEVER, worker=Plain, max_attempts=0)], ValueError, "max_attempts"),
        ([Cron(NEVER, worker=Plain, args={"lock": open})], None, ""),
        ([Cron(NEVER, worker=Plain, args={"lock": sys._getframe()})], TypeError, "lock"),
        ([Cron(NEVER, worker=send, args={"n": 1})], TypeError, "entry '.*:send': .*'n'"),
        ([Cron(NEVER, worker=send, args={"n": 1})], ConfigError, "entry '.*:send': .*'n'"),
        ([Cron(NEVER, worker=Plain, max_attempts=0)], ConfigError, "entry '.*:Plain': max_att"),
        ([Cron(NEVER, worker=int)], TypeError, "no worker"),
    ],
)
def test_what_is_listed_is_checked_where_it_is_given(given, error, said):
    if error is None:
        AntQ(crons=given)
        return
    with pytest.raises(error, match=said):
        AntQ(crons=given)


def test_an_option_that_no_job_has_is_refused_where_it_is_written():
    with pytest.raises(TypeError, match="colour"):
        Cron(NEVER, worker=Plain, colour=0)


@pytest.mark.parametrize(
    ("cron", "error", "said"),
    [
        ("61 * * * *", CronError, "minute"),
        (5, TypeError, "cron of worker"),
        (Cron(NEVER, worker=Plain), CronError, "worker"),
    ],
)
def test_a_wrong_entry_is_refused_when_its_worker_is_defined(cron, error, said):
    with pytest.raises(error, match=said):

        class Wrong(Worker, cron=cron):
            def perform(self, job): ...

    with pytest.raises(error, match=said):
        worker(cron=cron)(lambda: None)


@pytest.mark.parametrize(
    ("cron", "error", "said"),
    [
        (Cron(NEVER, max_attempts=0), ValueError, "max_attempts"),
        (Every(60, queue=7), TypeError, "queue"),
        (Cron(NEVER), TypeError, "region"),
        (Cron(NEVER, args={"regoin": "eu"}), TypeError, "regoin"),
    ],
)
def test_a_job_that_could_not_be_made_is_refused_when_its_worker_is_defined(cron, error, said):
    with pytest.raises(error, match=said):

        @worker(cron=cron)
        def sync(region): ...


def test_two_entries_of_one_name_do_not_start(tmp_path):
    class One(Worker, cron=Cron(NEVER, name="crons:same")):
        def perform(self, job): ...

    app = AntQ(tmp_path / "store", crons=[Every(60, worker=Plain, name="crons:same")])

    with pytest.raises(ConfigError, match="crons:same"):
        app.start()

    assert not (tmp_path / "store").exists()


def test_an_entry_of_code_does_not_take_the_name_of_a_runtime_one(tmp_path):
    with AntQ(tmp_path / "store", start_queues=False) as app:
        app.cron("crons:taken").set(Cron(NEVER, worker=Plain))
    taking = AntQ(tmp_path / "store", crons=[Cron(NEVER, worker=Plain, name="crons:taken")])

    with pytest.raises(StartError, match="crons:taken") as raised:
        taking.start()

    assert isinstance(raised.value.__cause__, CronError)


def test_an_application_without_queues_declares_nothing(run):
    app = run(start_queues=False, crons=[Cron(NEVER, worker=Plain, name="crons:none")])

    assert app.crons() == []


def test_entries_can_be_in_a_settings_file(tmp_path):
    settings = tmp_path / "antq.toml"
    settings.write_text(
        textwrap.dedent("""
        [antq.crons.nightly]
        expression = "0 3 * * *"
        worker = "support.apps:Plain"
        tz = "Europe/Berlin"
        missed = "skip"
        args = {region = "eu"}

        [antq.crons.often]
        every = 3600
        worker = "support.apps:Plain"
        """)
    )

    with AntQ.from_toml(settings) as app:
        found = infos(app)
        job = app.cron("nightly").run_now()

    assert [found["nightly"].tz, found["often"].expression] == ["Europe/Berlin", "every 3600 s"]
    assert job.args == {"region": "eu"}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('worker = "a:b"', "expression or every"),
        ('worker = "a:b"\nexpression = "0 3 * * *"\nevery = 5', "expression or every"),
        ('expression = "0 3 * * *"', "worker"),
        ('worker = "a:b"\nexpression = "0 25 * * *"', "hour"),
        ('worker = "a:b"\nevery = "often"', "period"),
        ('worker = "a:b"\nevery = 5\ntz = "Mars/Base"', "Mars/Base"),
        ("worker = 5\nevery = 5", "worker"),
        ('worker = "a:b"\nevery = 5\npriority = "high"', "priority"),
        ('worker = "a:b"\nevery = 5\nmax_attempts = 0', "max_attempts"),
        (
            'worker = "a:b"\nexpresion = "0 3 * * *"',
            r"unknown setting 'expresion' in \[antq.crons.nightly\]; did you mean 'expression'\?",
        ),
        (
            'worker = "a:b"\nevery = 5\nschedule_in = 5',
            "schedule_in is no option of a periodic job",
        ),
    ],
)
def test_a_wrong_entry_of_a_settings_file_is_named(tmp_path, lines, said):
    settings = tmp_path / "antq.toml"
    settings.write_text(f"[antq.crons.nightly]\n{lines}\n")

    with pytest.raises(ConfigError, match=said) as raised:
        AntQ.from_toml(settings)

    assert "nightly" in str(raised.value)


def test_a_worker_that_cannot_be_imported_does_not_start(tmp_path):
    app = AntQ(tmp_path / "store", crons=[Cron(NEVER, worker="nowhere:Nothing", name="crons:x")])

    with pytest.raises(ConfigError, match="nowhere:Nothing"):
        app.start()


# ---- handles -----------------------------------------------------------------------------------


@pytest.fixture
def handle(light):
    """A handle of an entry in an application that runs no queues."""
    handle = light.cron("crons:entry")
    handle.set(Cron("0 3 * * *", worker=Plain, tz="Europe/Berlin", args={"n": 1}))
    return handle


def test_an_entry_can_be_made_replaced_and_deleted_while_the_application_runs(light, handle):
    assert [info.expression for info in light.crons()] == ["0 3 * * *"]

    handle.set(Every(60, worker=Plain))
    assert [info.expression for info in light.crons()] == ["every 60 s"]
    assert light.crons()[0].declared_by == ()

    handle.delete()
    assert light.crons() == []


def test_an_unknown_entry_is_named_with_those_that_exist(light, handle):
    unknown = light.cron("crons:entr")

    for verb in (unknown.pause, unknown.resume, unknown.run_now, unknown.delete, unknown.info):
        with pytest.raises(UnknownCron, match="crons:entry"):
            verb()
    with pytest.raises(UnknownCron):
        unknown.next(1)
    with pytest.raises(UnknownCron):
        unknown.backfill(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))


def test_what_is_no_name_is_refused_by_the_verbs_of_a_handle(light):
    handle = light.cron(7)

    for verb in (handle.pause, handle.run_now, handle.delete, handle.info, handle.next):
        with pytest.raises(TypeError, match="must be a str"):
            verb()
    for name in ("", "with\0NUL", "long" * 1_000, "\udcff"):
        with pytest.raises(UnknownCron):
            light.cron(name).pause()


def test_a_handle_may_be_made_before_the_application_is_started(tmp_path):
    app = AntQ(tmp_path / "store", start_queues=False)
    handle, start = app.cron("crons:early"), datetime(2026, 1, 1, tzinfo=UTC)

    with pytest.raises(NotStarted):
        handle.pause()
    with app:
        handle.set(Cron("0 3 * * *", worker=Plain))
        handle.pause()
        assert handle.info().paused
        handle.resume()
        assert handle.run_now().cron == "crons:early"
        assert len(handle.backfill(start, start + timedelta(days=2))) == 2
        assert len(handle.next(2)) == 2
        handle.delete()
        assert app.crons() == []


def test_each_verb_of_a_handle_has_an_asynchronous_twin(light):
    start = datetime(2026, 1, 1, tzinfo=UTC)

    async def use():
        handle = light.cron("crons:twins")
        await handle.aset(Cron("0 3 * * *", worker=Plain))
        await handle.apause()
        paused = (await handle.ainfo()).paused
        await handle.aresume()
        job = await handle.arun_now()
        ids = await handle.abackfill(start, start + timedelta(days=2))
        instants = await handle.anext(2, start)
        (info,) = await light.acrons()
        await handle.adelete()
        return paused, job.cron, len(ids), len(instants), info.name

    assert asyncio.run(use()) == (True, "crons:twins", 2, 2, "crons:twins")
    assert light.crons() == []


def test_what_is_set_needs_a_worker_and_a_queue(light, run):
    with pytest.raises(CronError, match="worker"):
        light.cron("crons:x").set(Cron(NEVER))
    with pytest.raises(TypeError, match="a Cron or an Every"):
        light.cron("crons:x").set(NEVER)
    with pytest.raises(UnknownQueue, match="mail"):
        run().cron("crons:x").set(Cron(NEVER, worker=Plain, queue="mail"))
    assert light.crons() == []


def test_an_entry_of_code_is_neither_set_nor_deleted(run):
    app = run(crons=[Cron(NEVER, worker=Plain, name="crons:code")])
    with pytest.raises(CronError, match="crons:code"):
        app.cron("crons:code").set(Every(60, worker=Plain))
    with pytest.raises(CronError, match="crons:code"):
        app.cron("crons:code").delete()


def test_next_are_the_instants_to_come_in_the_zone_of_the_entry(light, handle):
    after = datetime(2026, 3, 28, 12, tzinfo=UTC)

    found = handle.next(3, after=after)

    # On the 29th the clocks go from 2 to 3.
    assert [str(at) for at in found] == [
        "2026-03-29 03:00:00+02:00",
        "2026-03-30 03:00:00+02:00",
        "2026-03-31 03:00:00+02:00",
    ]
    assert found[0].tzinfo == ZoneInfo("Europe/Berlin")
    assert handle.next(0) == []
    light.cron("crons:boot").set(Cron("@reboot", worker=Plain))
    assert light.cron("crons:boot").next(5) == []
    for wrong, error in ((-1, ValueError), ("x", TypeError)):
        with pytest.raises(error, match="n must"):
            handle.next(wrong)
    with pytest.raises(ValueError, match="no time zone"):
        handle.next(1, after=datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_run_by_hand_moves_nothing_and_works_while_it_is_paused(light, handle):
    before = light.crons()[0]
    handle.pause()

    job = handle.run_now()

    assert (job.status, job.cron, job.scheduled_for) == (Status.ENQUEUED, "crons:entry", None)
    assert light.get_job(job.id).cron == "crons:entry"
    handle.resume()
    assert light.crons()[0] == before


def test_a_run_by_hand_of_a_unique_job_is_refused_as_ever(light, handle):
    handle.set(Cron(NEVER, worker=Plain, args={"n": 1}, unique=Unique(args=["n"])))
    job = handle.run_now()

    with pytest.raises(AlreadyExists) as raised:
        handle.run_now()

    assert raised.value.job.id == job.id


def test_a_pause_and_its_end(light, handle):
    handle.pause()
    assert light.crons()[0].paused
    assert light.crons()[0].next_at is None

    handle.resume()
    assert not light.crons()[0].paused
    assert light.crons()[0].next_at > datetime.now(UTC)


def test_a_backfill_makes_a_job_for_each_instant_oldest_first(light, handle):
    before = light.crons()

    ids = handle.backfill(datetime(2026, 1, 1, 2, tzinfo=UTC), datetime(2026, 1, 4, 2, tzinfo=UTC))

    planned = [light.get_job(id_).scheduled_for for id_ in ids]
    assert planned == [datetime(2026, 1, day, 2, tzinfo=UTC) for day in (1, 2, 3)]
    assert light.crons() == before


def test_jobs_that_start_together_are_each_told_their_own_instant(run):
    told = []

    class Told(Worker, cron=NEVER, name="crons:Told"):
        def perform(self, job):
            told.append((job.id, job.scheduled_for))

    app = run()
    start = datetime(2028, 1, 1, tzinfo=UTC)

    ids = app.cron("crons:Told").backfill(start, datetime(2044, 1, 1, tzinfo=UTC))

    assert app.wait_idle(timeout=10)
    planned = [datetime(year, 2, 29, tzinfo=UTC) for year in range(2028, 2044, 4)]
    assert sorted(told) == list(zip(ids, planned, strict=True))


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        (datetime(2026, 1, 1), datetime(2026, 1, 2, tzinfo=UTC), "start.* no time zone"),  # noqa: DTZ001
        (datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), "before"),
        (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC), "10,000"),
    ],
)
def test_a_backfill_that_makes_no_sense_makes_no_job(light, handle, start, end, said):
    handle.set(Every(1, worker=Plain))

    with pytest.raises(ValueError, match=said):
        handle.backfill(start, end)

    assert light.count_jobs() == 0


def test_a_backfill_leaves_out_duplicates(light, handle):
    handle.set(Every(60, worker=Plain, args={"n": 1}, unique=Unique(args=["n"])))
    start = datetime(2026, 1, 1, tzinfo=UTC)

    assert len(handle.backfill(start, start + timedelta(minutes=5))) == 1


# ---- it fires -----------------------------------------------------------------------------------


def test_an_entry_enqueues_its_jobs_and_tells_of_them(run):
    app = run()
    app.cron("crons:second").set(Every(1, worker=Plain))

    first = until(app.list_jobs, "a job")[0]

    assert first.cron == "crons:second"
    assert first.scheduled_for.microsecond == 0
    assert infos(app)["crons:second"].last_job >= first.id
    app.cron("crons:second").delete()
    assert app.get_job(first.id).cron == "crons:second"


def test_the_jobs_of_an_entry_pass_the_limits_of_their_worker(run):
    class Limited(
        Worker,
        name="crons:Limited",
        cron=Every(1, args={"account": 7}, overlap="allow"),
        concurrency=Concurrency(1, key="account"),
    ):
        def perform(self, job): ...

    app = run()

    until(lambda: app.count_jobs(status="completed") >= 2, "its jobs")
    assert "crons:Limited" in [limit.name for limit in app.limits()]
    stored = app._running.store.list()
    assert [len(job.spec.flow.gates) for job in stored] == [1] * len(stored)
    assert app.verify() == []


def test_an_entry_that_another_process_has_made_fires_here(run, program, tmp_path):
    app = run(tmp_path / "store")
    other = textwrap.dedent("""
        import sys
        from antq_actors import AntQ, Every
        from support.apps import Plain
        with AntQ(sys.argv[1], start_queues=False) as app:
            app.cron("crons:elsewhere").set(Every(1, worker=Plain))
    """)
    assert program("-c", other, tmp_path / "store").end()[0] == 0

    assert until(app.list_jobs, "a job")[0].cron == "crons:elsewhere"


def test_a_program_that_turns_the_clock_turns_that_of_its_entries(run, monkeypatch):
    app = run()
    app.cron("crons:yearly").set(Cron("@yearly", worker=Plain))
    real = time.time_ns

    monkeypatch.setattr(time, "time_ns", lambda: real() + 366 * 86_400 * 10**9)

    assert until(app.list_jobs, "a job")[0].cron == "crons:yearly"


class Changing(Worker, executor="process"):
    """Works on the application from a job process."""

    def perform(self, job):
        app = AntQ(job.args["path"])
        handle = app.cron("crons:inner")
        handle.set(Cron(NEVER, worker=Plain))
        handle.pause()
        handle.resume()
        handle.run_now()
        start = datetime(2024, 1, 1, tzinfo=UTC)
        assert len(handle.backfill(start, start + timedelta(days=366))) == 1
        assert len(handle.next(2)) == 2
        assert app.crons() == [handle.info()]
        with pytest.raises(UnknownCron):
            app.cron("crons:nothing").delete()


def test_a_job_process_works_on_entries_through_its_parent(run, tmp_path):
    app = run(tmp_path / "store")

    job = app.enqueue(Changing, {"path": str(tmp_path / "store")})

    until(lambda: app.get_job(job.id).status is not Status.RUNNING, "its end")
    ended = until(lambda: app.get_job(job.id).ended_at and app.get_job(job.id), "its end")
    assert ended.status is Status.COMPLETED, ended.errors
    assert len(app.list_jobs(worker=Plain)) == 2
    with pytest.raises(JobNotFound):
        app.get_job(99)


def test_what_an_entry_said_is_still_shown_when_its_zone_is_gone(light, handle):
    def lose_the_zone(writer):
        row = writer.crons.get(handle.name)
        known = writer.crons.definition(row)
        entry = known.entry.replace(b"Europe/Berlin", b"Europe/Nowher")
        gone = writer.crons.sealed(replace(known, entry=entry))
        writer.crons.put(handle.name, replace(row, definition=gone), row)

    handle.set(Cron(NEVER, worker=Plain, tz="Europe/Berlin"))
    light._runtime().store.write(lose_the_zone)

    info = handle.info()
    assert (info.expression, info.tz, info.paused) == (NEVER, "Europe/Nowher", True)
    assert "Europe/Nowher" in info.error

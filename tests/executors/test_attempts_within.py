"""What is called around an attempt, whichever executor performs it."""

import logging

import pytest
from middlewares import (
    Awaited,
    Bound,
    Broken,
    BrokenInChildren,
    Notes,
    Sync,
    enqueue_all,
    in_process,
    the_app,
)
from support.apps import settled, until

from antq_actors import AntQ, ConfigError, QueueConfig, StartError, Status
from antq_actors.telemetry import JobFilter

LONG = 60


@pytest.fixture(params=["sync", "coroutine"])
def task(request, kind):
    """A worker that is performed by the executor."""
    if kind == "async" and request.param == "sync":
        pytest.skip("a function is never performed there")
    return Sync if request.param == "sync" else Awaited


def notes(harness, name="notes"):
    lines = (harness.place / "notes").read_text().splitlines()
    return [line.split(" ", 1)[1] for line in lines if line.split(" ", 1)[0] == name]


def started(harness, *middleware):
    return harness.start(app={"middleware": middleware})


def test_all_that_an_attempt_returns_and_raises_passes_through_as_it_is(harness, task):
    app = started(harness, Notes(harness.place, "outer"), Notes(harness.place, "inner"))

    for end in ("return", "fail", "raise"):
        settled(app, app.enqueue(task, {"end": end}, meta={"a": "b"}))

    begins = "begins True [('a', 'b')]"
    seen = [
        *(begins, "returned nobody"),
        *(begins, "returned Fail(reason='of the job')"),
        *(begins, "raised ValueError"),
    ]
    for name in ("outer", "inner"):
        assert [each for each in notes(harness, name) if each != "setup"] == seen
    failed = app.list_jobs(status="failed")
    assert [job.errors[0].error for job in failed] == ["of the job", "of the job"]
    assert failed[1].errors[0].error_type == "ValueError"


def test_each_process_that_performs_jobs_sets_up_its_middleware_once(harness, task):
    app = started(harness, Notes(harness.place))

    for _ in range(3):
        settled(app, app.enqueue(task))

    times = {"thread": 1, "async": 1}.get(harness.kind)
    found = notes(harness).count("setup")
    assert found == times if times else 2 <= found <= 3


def test_the_context_of_a_middleware_is_that_of_the_job(harness, task):
    app = started(harness, "middlewares:Tenants")

    assert app.enqueue(task, meta={"tenant": "acme"}).result(timeout=LONG) == "acme"
    assert app.enqueue(task).result(timeout=LONG) == "none"


def test_what_a_middleware_raises_is_the_failure_of_the_attempt_and_names_it(harness, task):
    app = started(harness, Notes(harness.place), "middlewares:Tenants")
    expected = {
        "missing": ("Tenants: no such tenant", "LookupError"),
        "late": ("Tenants: too late", "LookupError"),
        "exit": ("Tenants: SystemExit", "SystemExit"),
        "cancel": ("Tenants: CancelledError", "CancelledError"),
        "interrupt": ("Tenants: KeyboardInterrupt", "KeyboardInterrupt"),
    }

    jobs = {tenant: app.enqueue(task, meta={"tenant": tenant}) for tenant in expected}

    for tenant, job in jobs.items():
        ended = settled(app, job)
        [error] = ended.errors
        assert ended.status is Status.FAILED
        assert (error.error, error.error_type) == expected[tenant]
        assert "in enter" in error.stack_trace or "in leave" in error.stack_trace


def test_what_a_middleware_returns_counts_in_place_of_the_job(harness, task):
    app = started(harness, "middlewares:Changes")
    expected = {
        ("fail", "return"): "changed",
        ("nothing called", "raise"): "not performed",
        ("swallow", "raise"): "of the job",
        ("other", "raise"): "Changes: 'another'",
        ("again", "raise"): "of the job",
        ("twice", "return"): "Changes: Changes has called call() twice",
    }

    jobs = {
        (returns, end): app.enqueue(task, {"end": end}, meta={"returns": returns})
        for returns, end in expected
    }

    for case, job in jobs.items():
        ended = settled(app, job)
        if ended.status is Status.COMPLETED:
            assert ended.result(timeout=0) == expected[case]
        else:
            assert ended.errors[0].error.startswith(expected[case])
    assert app.count_jobs(status="completed") == 2


def test_the_jobs_of_a_middleware_are_known_to_the_filter_of_logs(harness, task, caplog):
    if not harness.adapter.logs_here:
        pytest.skip("its records do not come to this process")
    caplog.handler.addFilter(JobFilter())
    app = started(harness, Notes(harness.place))

    job = settled(app, app.enqueue(task))

    logging.getLogger("elsewhere").warning("outside")
    found = {record.getMessage(): record for record in caplog.records}
    made = found["in job"]
    assert (made.job_id, made.worker, made.queue, made.attempt) == (
        *(job.id, job.worker, "default"),
        1,
    )
    assert found["outside"].job_id is found["outside"].attempt is None


def test_an_attempt_that_a_middleware_fails_is_one_record_of_its_job(harness, task, caplog):
    if not harness.adapter.logs_here:
        pytest.skip("its records do not come to this process")
    app = started(harness, "middlewares:Tenants")

    job = settled(app, app.enqueue(task, meta={"tenant": "missing"}))

    [record] = [each for each in caplog.records if each.levelname in ("WARNING", "ERROR")]
    assert "Tenants: no such tenant" in record.getMessage()
    assert record.exc_info[0] is LookupError
    assert (record.job_id, record.queue, record.attempt) == (job.id, "default", 1)


@pytest.mark.parametrize("raises", [RuntimeError, SystemExit])
def test_a_setup_that_raises_stops_the_start(tmp_path, raises):
    app = AntQ(tmp_path / "store", middleware=[Broken(raises)])

    with pytest.raises(StartError, match=r"Broken.*no setup in") as caught:
        app.start()

    assert isinstance(caught.value.__cause__, raises)
    with app.start(queues=False):
        assert app.count_jobs() == 0


def test_a_setup_that_raises_in_a_child_fails_the_attempt(pool):
    app = pool.app = AntQ(middleware=[BrokenInChildren()]).start()

    jobs = [settled(app, app.enqueue(in_process)) for _ in range(2)]

    for job in jobs:
        assert job.errors[0].error.startswith("BrokenInChildren: no setup in")
        assert job.errors[0].error_type == "RuntimeError"


def test_a_middleware_that_cannot_be_pickled_is_refused_at_start_or_fails_attempts(pool):
    refused = AntQ(queues={"default": QueueConfig(executor="process")}, middleware=[Bound()])
    with pytest.raises(ConfigError, match=r"Bound.*pickle"):
        refused.start()
    refused.start(queues=False).stop()

    app = pool.app = AntQ(middleware=[Bound()]).start()
    assert app.enqueue(Sync).result(timeout=LONG) == "nobody"
    job = settled(app, app.enqueue(in_process))
    assert "Bound" in job.errors[0].error


def test_what_a_job_process_enqueues_passes_the_middleware_there(pool):
    app = pool.app = the_app.start()

    job = app.enqueue(enqueue_all)
    found = job.result(timeout=LONG)

    here = f"{job.id} in {found['pid']}"
    metas = [app.get_job(id_).meta for id_ in found["ids"]]
    around = [meta.get("around") for meta in metas]
    assert {meta["on"] for meta in metas} == {here}
    assert around[:4] == ["one", "one", "2", "2"]
    assert found["one"] == ({"end": "return", "n": (1, 2)}, metas[0])
    assert metas[0]["mine"] == "a"
    assert found["refused"] == ["refused", "refused"]
    follow_up = until(lambda: app.list_jobs(args={"is_follow_up": True}))[0]
    assert follow_up.meta == {"on": here}

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


@pytest.fixture
def tasks(kind):
    """The workers that are performed by the executor: a function never is on an event loop."""
    return [Awaited] if kind == "async" else [Sync, Awaited]


def notes(harness, name):
    lines = (harness.place / "notes").read_text().splitlines()
    return [line.split(" ", 1)[1] for line in lines if line.split(" ", 1)[0] == name]


def started(harness, *middleware):
    return harness.start(app={"middleware": middleware})


def test_all_that_an_attempt_returns_and_raises_passes_through_as_it_is(harness, tasks):
    app = started(harness, Notes(harness.place, "outer"), Notes(harness.place, "inner"))

    for task in tasks:
        for end in ("return", "fail", "raise"):
            settled(app, app.enqueue(task, {"end": end}, meta={"a": "b"}))

    begins = "begins True [('a', 'b')]"
    seen = [
        *(begins, "returned nobody"),
        *(begins, "returned Fail(reason='of the job')"),
        *(begins, "raised ValueError"),
    ]
    processes = {"thread": {1}, "async": {1}}.get(harness.kind, {2, 3})
    for name in ("outer", "inner"):
        found = notes(harness, name)
        assert [each for each in found if each != "setup"] == seen * len(tasks)
        assert found.count("setup") in processes
    failed = app.list_jobs(status="failed")
    assert {job.errors[0].error for job in failed} == {"of the job"}
    assert [job.errors[0].error_type for job in failed] == [None, "ValueError"] * len(tasks)


def test_what_a_middleware_raises_is_the_failure_of_the_attempt_and_names_it(
    harness, tasks, caplog
):
    caplog.handler.addFilter(JobFilter())
    app = started(harness, Notes(harness.place), "middlewares:Tenants")
    expected = {
        "missing": ("Tenants: no such tenant", "LookupError"),
        "late": ("Tenants: too late", "LookupError"),
        "exit": ("Tenants: SystemExit", "SystemExit"),
        "cancel": ("Tenants: CancelledError", "CancelledError"),
        "interrupt": ("Tenants: KeyboardInterrupt", "KeyboardInterrupt"),
    }

    jobs = [
        (tenant, app.enqueue(task, meta={"tenant": tenant}))
        for task in tasks
        for tenant in expected
    ]

    for tenant, job in jobs:
        ended = settled(app, job)
        [error] = ended.errors
        assert ended.status is Status.FAILED
        assert (error.error, error.error_type) == expected[tenant]
        assert "in enter" in error.stack_trace or "in leave" in error.stack_trace
    if harness.adapter.logs_here:
        failures = [each for each in caplog.records if each.levelname == "ERROR"]
        assert sorted(each.job_id for each in failures) == [job.id for _, job in jobs]
        texts = [each.getMessage() for each in sorted(failures, key=lambda each: each.job_id)]
        assert all(
            expected[tenant][0] in text for (tenant, _), text in zip(jobs, texts, strict=True)
        )


def test_what_a_middleware_sets_and_returns_counts_for_the_job(harness, tasks, caplog):
    caplog.handler.addFilter(JobFilter())
    app = started(harness, "middlewares:Tenants", "middlewares:Changes")
    expected = {
        ("no", "return"): "acme",
        ("fail", "return"): "changed",
        ("nothing called", "raise"): "not performed",
        ("swallow", "raise"): "of the job",
        ("other", "raise"): "Changes: 'another'",
        ("again", "raise"): "of the job",
        ("twice", "return"): "Changes: Changes has called call() twice",
    }

    jobs = [
        (case, app.enqueue(task, {"end": case[1]}, meta={"returns": case[0], "tenant": "acme"}))
        for task in tasks
        for case in expected
    ]

    for case, job in jobs:
        ended = settled(app, job)
        if ended.status is Status.COMPLETED:
            assert ended.result(timeout=0) == expected[case]
        else:
            assert ended.errors[0].error.startswith(expected[case])
    assert app.count_jobs(status="completed") == 3 * len(tasks)
    assert app.enqueue(tasks[0]).result(timeout=LONG) == "none"
    logging.getLogger("elsewhere").warning("outside")
    made = [each for each in caplog.records if each.getMessage() == "in job"]
    if harness.adapter.logs_here:
        performed = {job.id: job for case, job in jobs if case[0] != "nothing called"}
        assert set(performed) <= {each.job_id for each in made}
        for record in made:
            if record.job_id in performed:
                assert record.worker == performed[record.job_id].worker
            assert (record.queue, record.attempt) == ("default", 1)
    [outside] = [each for each in caplog.records if each.getMessage() == "outside"]
    assert outside.job_id is outside.worker is outside.queue is outside.attempt is None


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

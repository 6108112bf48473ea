"""What is called around the enqueuing of jobs, and what an application takes for middleware."""

import gc
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from support.apps import settled, until
from support.garbage import uncollected

from antq_actors import (
    AlreadyExists,
    AntQ,
    BatchError,
    ConfigError,
    Every,
    Job,
    JobDraft,
    Middleware,
    StorageError,
    Unique,
    Worker,
    Workflow,
    current_job,
    worker,
)
from antq_actors.app.enqueue import BATCH_JOBS


class Note(Worker, name="middleware:Note", priority=3):
    def perform(self, job):
        if job.args.get("follows"):
            job.follow_up(Note, {"is_follow_up": True})
        if job.args.get("adds"):
            job.batch.enqueue(Note, {"is_member": True})


class Once(Worker, name="middleware:Once", unique=Unique(args=["n"])):
    def perform(self, job): ...


@worker(name="middleware:enqueue_another")
def enqueue_another(job: Job) -> None:
    Note.perform_async({"from": job.id})


class Log(Middleware):
    """Writes down what it is called for."""

    def __init__(self, name="log"):
        self.name = name
        self.calls = []
        self.drafts = []
        self.threads = set()

    def on_enqueue(self, draft):
        self.calls.append(f"{self.name} on {draft.args.get('n')}")
        self.drafts.append(draft)
        self.threads.add(threading.get_ident())
        draft.meta[self.name] = str(draft.args.get("n"))

    def around_enqueue(self, draft, call):
        self.calls.append(f"{self.name} before {draft.args.get('n')}")
        draft.meta["last"] = self.name
        job = call()
        self.calls.append(f"{self.name} after {job.id}")
        return job

    def around_enqueue_many(self, drafts, call):
        self.calls.append(f"{self.name} before {len(drafts)}")
        for draft in drafts:
            draft.meta["last"] = self.name
        ids = call()
        self.calls.append(f"{self.name} after {ids}")
        return ids


class Refuses(Middleware):
    def on_enqueue(self, draft):
        if draft.args.get("n") == 13:
            raise PermissionError("not thirteen")

    def around_enqueue(self, draft, call):
        if draft.args.get("n") == 14:
            raise PermissionError("not fourteen")
        return call()

    def around_enqueue_many(self, drafts, call):
        if any(draft.args.get("n") == 14 for draft in drafts):
            raise PermissionError("not fourteen")
        return call()


class Silent(Middleware):
    def around_enqueue(self, draft, call):
        call()

    def around_enqueue_many(self, drafts, call):
        call()


class Twice(Middleware):
    def around_enqueue(self, draft, call):
        call()
        return call()


class WantsMore(Middleware):
    def __init__(self, more): ...


def enqueuing(*middleware):
    return AntQ(middleware=middleware).start(queues=False)


@pytest.fixture
def outer():
    return Log("outer")


@pytest.fixture
def logged(outer):
    """An application that runs no queues, with two middlewares."""
    with enqueuing(outer, inner := Log("inner")) as app:
        inner.calls = outer.calls
        yield app


def test_all_see_a_job_first_then_they_nest_around_its_storing(logged, outer):
    job = Note.perform_async({"n": 7}, meta={"mine": "yes"})

    assert outer.calls == [
        *("outer on 7", "inner on 7", "outer before 7", "inner before 7"),
        *("inner after 1", "outer after 1"),
    ]
    assert job.meta == {"mine": "yes", "outer": "7", "inner": "7", "last": "inner"}
    assert logged.get_job(job.id).meta == job.meta


def test_a_batch_is_stored_within_the_middleware_once(logged, outer):
    ids = logged.enqueue_many(Note, [{"n": 1}, {"n": 2}])

    assert outer.calls == [
        *("outer on 1", "inner on 1", "outer on 2", "inner on 2"),
        *("outer before 2", "inner before 2", "inner after [1, 2]", "outer after [1, 2]"),
    ]
    assert [logged.get_job(id_).meta["outer"] for id_ in ids] == ["1", "2"]
    assert logged.get_job(1).meta["last"] == "inner"


def test_each_job_of_a_group_in_a_workflow_is_seen_once_and_gets_its_meta(logged, outer):
    flow = Workflow("group")
    flow.add_many(Note, ({"n": n} for n in (1, 2)), meta={"mine": "yes"})

    jobs = logged.start_workflow(flow).jobs()

    seen = [call for call in outer.calls if "on" in call.split()]
    assert seen == ["outer on 1", "inner on 1", "outer on 2", "inner on 2"]
    metas = [{"mine": "yes", "outer": str(n), "inner": str(n), "last": "inner"} for n in (1, 2)]
    assert [job.meta for job in jobs] == metas


def test_a_draft_says_what_is_enqueued_and_only_its_meta_may_be_changed(logged, outer):
    given = {"a": "b"}
    job = Note.perform_async({"n": 1}, schedule_in=60, meta=given)

    draft = outer.drafts[0]
    assert isinstance(draft, JobDraft)
    names = ("worker", "queue_name", "args", "priority", "scheduled_at")
    assert [getattr(draft, name) for name in names] == [getattr(job, name) for name in names]
    for name in names:
        with pytest.raises(AttributeError):
            setattr(draft, name, None)
    assert given == {"a": "b"}
    now = Note.perform_async({"n": 2})
    assert outer.drafts[1].scheduled_at == now.scheduled_at


def test_what_refuses_a_job_reaches_the_caller_as_it_was_raised():
    with enqueuing(Refuses()) as app:
        for n in (13, 14):
            with pytest.raises(PermissionError, match=r"not (thir|four)teen"):
                Note.perform_async({"n": n})
        assert app.count_jobs() == 0

        with pytest.raises(BatchError) as caught:
            app.enqueue_many(Note, [{"n": 1}, {"n": 2}, {"n": 13}, {"n": 4}])
        assert isinstance(caught.value.__cause__, PermissionError)
        assert (caught.value.index, len(caught.value.ids)) == (2, 2)

        with pytest.raises(BatchError) as caught:
            app.enqueue_many(Note, [{"n": 1}, {"n": 14}])
        assert isinstance(caught.value.__cause__, PermissionError)
        assert (caught.value.index, caught.value.ids) == (0, [])
        assert app.count_jobs() == 2


def test_what_the_store_raises_passes_through_as_it_is(logged):
    first = Once.perform_async({"n": 1})

    with pytest.raises(AlreadyExists) as caught:
        Once.perform_async({"n": 1})

    assert caught.value.job.id == first.id
    assert logged.enqueue_many(Once, [{"n": 1}, {"n": 2}]) == [2]


def test_meta_that_a_middleware_sets_wrong_is_refused():
    class Wrong(Middleware):
        def on_enqueue(self, draft):
            draft.meta["a"] = draft.args["value"]

    with enqueuing(Wrong()) as app:
        with pytest.raises(TypeError, match="meta"):
            Note.perform_async({"value": 1})
        with pytest.raises(ValueError, match="meta"):
            Note.perform_async({"value": "x" * 5_000})
        assert app.count_jobs() == 0


@pytest.mark.parametrize("before", [0, 1, BATCH_JOBS + 1])
def test_wrong_meta_in_a_batch_is_that_of_its_item_and_those_before_are_stored(before):
    class Wrong(Middleware):
        def around_enqueue_many(self, drafts, call):
            for draft in drafts:
                draft.meta["a"] = draft.args["value"]
            return call()

    with enqueuing(Wrong()) as app:
        values = [*(["fine"] * before), 1, "fine"]
        with pytest.raises(BatchError, match="meta") as caught:
            app.enqueue_many(Note, ({"value": value} for value in values))

        assert (caught.value.index, len(caught.value.ids)) == (before, before)
        assert isinstance(caught.value.__cause__, TypeError)
        assert app.count_jobs() == before


def test_a_middleware_that_returns_no_job_or_stores_twice_is_told():
    with enqueuing(Silent()) as app:
        with pytest.raises(TypeError, match=r"Silent\.around_enqueue.*return call\(\)"):
            Note.perform_async()
        with pytest.raises(BatchError, match=r"around_enqueue_many.*return call\(\)") as caught:
            app.enqueue_many(Note, [{}])
        assert caught.value.ids == [2]
    with enqueuing(Twice()) as app:
        with pytest.raises(RuntimeError, match="twice"):
            Note.perform_async()
        assert app.count_jobs() == 1


@pytest.mark.parametrize(
    "hook", ["setup", "on_enqueue", "around_enqueue", "around_enqueue_many", "around_job"]
)
def test_a_hook_that_would_not_run_is_refused(hook):
    async def coroutine(self, *given): ...

    def generator(self, *given):
        yield

    for function, what in ((coroutine, "is a coroutine function"), (generator, "is a generator")):
        wrong = type("Wrong", (Middleware,), {hook: function})
        with pytest.raises(TypeError, match=rf"Wrong\.{hook} {what}"):
            AntQ(middleware=[wrong()])


def test_neither_build_nor_retry_nor_import_calls_it(logged, outer):
    job = Note.perform_async({"n": 1})
    outer.calls.clear()

    Note.build({"n": 2})
    logged.retry_job(logged.cancel_job(job))
    with enqueuing(other := Log()) as app:
        app.import_jobs(logged.export_jobs())

    assert outer.calls == other.calls == []


def test_a_job_that_enqueues_passes_the_middleware_of_its_application():
    log = Log()
    seen = []

    class Parents(Middleware):
        def on_enqueue(self, draft):
            seen.append(current_job() and current_job().id)

    with AntQ(middleware=[log, Parents()]) as app:
        job = app.enqueue(enqueue_another)
        settled(app, job)
        child = until(lambda: app.list_jobs(worker=Note))[0]

    assert seen == [None, job.id]
    assert child.meta["last"] == "log"
    assert len(log.threads) == 2


def test_the_coroutine_twin_passes_it_too(logged):
    import asyncio  # noqa: PLC0415

    job = asyncio.run(Note.aperform_async({"n": 1}))

    assert job.meta["last"] == "inner"


def test_members_of_a_batch_pass_it_where_they_are_added(logged, outer):
    with logged.batch("b", on_complete=Note.build({"n": "callback"})) as batch:
        job = batch.enqueue(Note, {"n": 1})
        ids = batch.enqueue_many(Note, [{"n": 2}, {"n": 3}])

    assert outer.calls == [
        *("outer on callback", "inner on callback"),
        *("outer on 1", "inner on 1", "outer before 1", "inner before 1"),
        *(f"inner after {job.id}", f"outer after {job.id}"),
        *("outer on 2", "inner on 2", "outer on 3", "inner on 3"),
        *("outer before 2", "inner before 2", f"inner after {ids}", f"outer after {ids}"),
    ]
    assert logged.get_job(job.id).meta["last"] == "inner"
    assert {each.meta["last"] for each in batch.jobs()} == {"inner"}


def test_what_a_member_adds_and_follow_ups_are_seen_and_not_stored_at_once():
    log = Log()
    with AntQ(middleware=[log]) as app:
        with app.batch("b") as batch:
            batch.enqueue(Note, {"n": 1, "adds": True, "follows": True})
        until(lambda: app.count_jobs(status="completed") == 3)
        jobs = app.list_jobs()

    assert [call for call in log.calls if "None" in call] == ["log on None"] * 2
    assert [job.meta.get("last") for job in jobs] == ["log", None, None]
    assert [job.meta["log"] for job in jobs] == ["1", "None", "None"]


def test_nodes_of_a_workflow_pass_it_where_they_are_stored(logged, outer):
    flow = Workflow("w")
    first = flow.add(Note, {"n": 1})
    flow.add_many(Note, [{"n": 2}, {"n": 3}], after=first)

    run = logged.start_workflow(flow)

    assert [call for call in outer.calls if "on" in call.split()] == [
        *("outer on 1", "inner on 1", "outer on 2", "inner on 2", "outer on 3", "inner on 3")
    ]
    before = [call for call in outer.calls if "before" in call]
    assert before == [f"{name} before {n}" for n in (1, 2, 3) for name in ("outer", "inner")]
    ids = [job.id for job in run.jobs()]
    after = [call for call in outer.calls if "after" in call]
    assert after == [f"{name} after {id_}" for id_ in reversed(ids) for name in ("inner", "outer")]
    assert [(job.meta["outer"], job.meta["last"]) for job in run.jobs()] == [
        (str(n), "inner") for n in (1, 2, 3)
    ]
    outer.calls.clear()
    run.add(Note, {"n": 4})
    assert [call for call in outer.calls if call.startswith("outer")] == [
        *("outer on 4", "outer before 4", f"outer after {run.jobs()[-1].id}")
    ]


def test_many_nodes_of_a_workflow_are_one_batch(logged, outer):
    flow = Workflow("w")
    flow.add_many(Note, ({"n": n} for n in range(6_000)))

    run = logged.start_workflow(flow)

    jobs = run.jobs()
    batches = [call for call in outer.calls if call.startswith("outer before")]
    assert len(jobs) == 6_000
    assert len(batches) == 6
    assert {(str(job.args["n"]), "inner") for job in jobs} == {
        (job.meta["outer"], job.meta["last"]) for job in jobs
    }


def test_a_periodic_entry_that_runs_by_hand_passes_it(logged, outer):
    entry = logged.cron("c")
    entry.set(Every(3_600, worker=Note, args={"n": 1}, meta={"mine": "yes"}))

    job = entry.run_now()
    assert outer.calls == [
        *("outer on 1", "inner on 1", "outer before 1", "inner before 1"),
        *("inner after 1", "outer after 1"),
    ]
    assert job.meta == {"mine": "yes", "outer": "1", "inner": "1", "last": "inner"}
    outer.calls.clear()

    start = datetime(2030, 1, 1, tzinfo=UTC)
    ids = entry.backfill(start, start + timedelta(hours=2))
    assert outer.calls[4:] == [
        *("outer before 2", "inner before 2", f"inner after {ids}", f"outer after {ids}")
    ]
    assert [logged.get_job(id_).meta["last"] for id_ in ids] == ["inner", "inner"]


def test_a_run_by_hand_that_is_refused_reaches_the_caller():
    with enqueuing(Refuses()) as app:
        for n in (13, 14):
            app.cron("c").set(Every(3_600, worker=Note, args={"n": n}))
            with pytest.raises(PermissionError):
                app.cron("c").run_now()
        assert app.count_jobs() == 0
        assert app.cron("c").info().skipped == 0


def test_a_node_that_is_refused_refuses_its_workflow():
    with enqueuing(Refuses()) as app:
        for n in (13, 14):
            flow = Workflow("w")
            flow.add(Note, {"n": 1})
            flow.add(Note, {"n": n})
            with pytest.raises(PermissionError, match=r"not (thir|four)teen"):
                app.start_workflow(flow)
        assert app.count_jobs() == 0


@pytest.mark.parametrize(
    "wrong",
    [
        *(None, 3, "antq_actors:Middleware", Log(), {Log()}, iter(())),
        *([3], [Log], [None], [b"a:b"], ["antq_actors:AntQ"], ["antq_actors:worker"]),
    ],
)
def test_what_is_no_middleware_is_a_type_error(wrong):
    with pytest.raises(TypeError, match="middleware"):
        AntQ(middleware=wrong)


@pytest.mark.parametrize(
    "wrong",
    ["antq_actors", "nowhere:Middleware", "antq_actors:Nothing", "test_middleware:WantsMore"],
)
def test_a_name_that_leads_nowhere_is_a_config_error_that_shows_it(wrong):
    with pytest.raises(ConfigError, match=wrong):
        AntQ(middleware=[wrong])


def test_a_settings_file_names_middleware(tmp_path):
    file = tmp_path / "antq.toml"
    file.write_text('[antq]\nmiddleware = ["antq_actors:Middleware"]\n')
    assert isinstance(AntQ.from_toml(file), AntQ)

    file.write_text('[antq]\nmiddleware = "antq_actors:Middleware"\n')
    with pytest.raises(ConfigError, match="middleware"):
        AntQ.from_toml(file)


def test_nothing_is_on_the_disk_when_it_is_refused(tmp_path):
    with pytest.raises(ConfigError):
        AntQ(tmp_path / "store", middleware=["nowhere:Middleware"])

    assert list(tmp_path.iterdir()) == []


def test_the_store_refuses_a_batch_as_without_middleware(logged, monkeypatch):
    def refuse(*_args, **_options):
        raise StorageError("no")

    monkeypatch.setattr(logged._running.store, "write", refuse)

    with pytest.raises(StorageError, match="no"):
        logged.enqueue_many(Note, [{}])


class Passes(Middleware):
    """Is around everything, and swallows what fails."""

    def around_enqueue(self, draft, call):
        return call()

    def around_job(self, job, call):
        try:
            return call()
        except ValueError:
            if job.args["swallow"]:
                return None
            raise


@worker(name="middleware:fail")
def fail(*, swallow: bool) -> None:
    raise ValueError("no")


@pytest.mark.parametrize("work", [Note, fail])
def test_jobs_within_middleware_leave_nothing_to_the_garbage_collector(work):
    with AntQ(middleware=[Passes(), Passes()]) as app:
        for round_ in (20, 150):
            ended = app.count_jobs(status=["completed", "failed"])
            gc.collect()
            with uncollected() as found:
                for number in range(round_):
                    app.enqueue(work, {"swallow": number % 2 == 0})
                until(
                    lambda most=ended + round_: (
                        app.count_jobs(status=["completed", "failed"]) == most
                    )
                )
                app.wait_idle(timeout=30)

    kinds = Counter(type(thing).__qualname__ for thing in found)
    assert [(kind, count) for kind, count in kinds.items() if count >= 50] == []


class Plain(Middleware):
    def around_job(self, job, call):
        return call()

    async def around_job_async(self, job, call):
        return await call()


class Breaks(Worker, name="middleware:Breaks", max_attempts=1):
    def perform(self, job):
        return 1 / 0


class BreaksInLoop(Worker, name="middleware:BreaksInLoop", max_attempts=1):
    async def perform(self, job):
        return 1 / 0


@pytest.mark.parametrize("worker", [Breaks, BreaksInLoop])
def test_a_trace_goes_from_the_middleware_to_the_job_without_frames_of_ours(worker):
    with AntQ(middleware=[Plain(), Plain()]) as app:
        job = settled(app, worker.perform_async())

    trace = job.errors[0].stack_trace
    frames = [line.strip() for line in trace.splitlines() if line.startswith("  File")]
    assert [frame.rsplit(" in ")[-1].removesuffix("_async") for frame in frames] == [
        *("around_job", "around_job", "perform")
    ]
    assert all(__file__ in frame for frame in frames)

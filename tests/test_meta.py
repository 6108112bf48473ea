"""What is kept beside the arguments of a job: text, by text."""

import json

import pytest
from support.apps import settled, until

from antq_actors import (
    AntQ,
    BatchError,
    Cron,
    Every,
    Job,
    JobNotFound,
    Status,
    Unique,
    Worker,
    Workflow,
    worker,
)
from antq_actors.storage.lmdb.open_stores import opened

META = {"tenant": "a", "": "", "päth": "x\0\n" * 3}
SEEN: dict[int, dict] = {}


class Note(Worker, name="meta:Note"):
    def perform(self, job):
        SEEN[job.id] = dict(job.meta)
        if job.args.get("fails"):
            raise ValueError("no")
        if job.args.get("follows"):
            job.follow_up(Note, meta={"by": "follow_up"})


class Once(Worker, name="meta:Once", unique=Unique(args=["n"])):
    def perform(self, job): ...


@worker(name="meta:note")
def note(meta: str | None = None, job: Job | None = None) -> None:
    SEEN[job.id] = {"argument": meta, **job.meta}


@worker(name="meta:in_process", executor="process", result=True)
def in_process(job: Job) -> dict:
    child = Note.perform_async(meta={"from": "process"})
    return {"mine": dict(job.meta), "child": dict(child.meta)}


def test_meta_comes_back_as_it_was_wherever_a_job_is(app):
    job = Note.perform_async({"n": 1}, meta=META)

    assert job.meta == META
    assert settled(app, job).meta == META
    assert SEEN[job.id] == META
    assert app.list_jobs()[0].meta == META
    assert job.args == {"n": 1}


@pytest.mark.parametrize("nothing", [None, {}])
def test_no_meta_is_an_empty_mapping(app, nothing):
    job = Note.perform_async(meta=nothing)

    assert (job.meta, settled(app, job).meta, SEEN[job.id]) == ({}, {}, {})
    assert Note.perform_async().meta == {}
    assert Note.build().meta == {}


def test_meta_is_an_option_of_a_job_wherever_it_is_made(app):
    ids = app.enqueue_many(Note, [{}, {}], meta=META)
    with app.batch("b") as batch:
        ids += [batch.enqueue(Note, meta=META).id, *batch.enqueue_many(Note, [{}], meta=META)]
    flow = Workflow("w")
    flow.add(Note, meta=META)
    run = app.start_workflow(flow)
    app.cron("c").set(Every(3600, worker=Note, meta=META))
    jobs = [app.get_job(id_) for id_ in ids] + run.jobs() + [app.cron("c").run_now()]

    assert [job.meta for job in jobs] == [META] * 6
    assert Note.build(meta=META).meta == META


def test_a_follow_up_has_the_meta_that_it_is_given(app):
    job = Note.perform_async({"follows": True}, meta=META)

    until(lambda: SEEN.get(job.id + 1) == {"by": "follow_up"})


def test_a_function_worker_takes_meta_as_an_option_and_as_an_argument(app):
    job = settled(app, note.options(meta={"a": "1"}).perform_async(meta="argument"))

    assert SEEN[job.id] == {"argument": "argument", "a": "1"}
    assert note.options(meta={"a": "1"}).build().meta == {"a": "1"}


def test_meta_is_there_in_a_job_process_and_in_what_that_enqueues(app):
    job = app.enqueue(in_process, meta=META)

    assert job.result(timeout=60) == {"mine": META, "child": {"from": "process"}}


def test_meta_outlives_retries_and_restarts(tmp_path):
    with AntQ(tmp_path / "store") as app:
        job = settled(app, Note.perform_async({"fails": True}, meta=META))
        assert settled(app, app.retry_job(job), Status.FAILED).meta == META
    with AntQ(tmp_path / "store").start(queues=False) as app:
        assert app.get_job(job.id).meta == META
        copied = app.backup(tmp_path / "copy")
        lines = [json.loads(line) for line in app.export_jobs()]
        assert lines[1]["meta"] == META
        with AntQ().start(queues=False) as other:
            other.import_jobs(json.dumps(line) for line in lines)
            assert other.get_job(job.id).meta == META
    with AntQ(copied).start(queues=False) as app:
        assert app.get_job(job.id).meta == META


def test_meta_does_not_make_a_unique_job_another_one(light):
    first = Once.perform_async({"n": 1}, meta={"a": "1"})

    assert light.enqueue_many(Once, [{"n": 1}], meta={"a": "2"}) == []
    assert light.get_job(first.id).meta == {"a": "1"}


@pytest.mark.parametrize("wrong", ["text", 3, [("a", "b")], {"a": 1}, {1: "a"}, {b"a": "b"}])
def test_what_maps_no_text_to_text_is_a_type_error(light, wrong):
    for make in (Note.perform_async, Note.build, light.enqueue_many):
        args = (Note, [{}]) if make == light.enqueue_many else ()
        with pytest.raises(TypeError, match="meta"):
            make(*args, meta=wrong)
    with pytest.raises(TypeError, match="meta"):
        note.options(meta=wrong)
    assert light.count_jobs() == 0


@pytest.mark.parametrize(
    "wrong", [{"a": "x" * 4_096}, {"ü" * 2_048: "a"}, {"a": "\udcff"}, {"\udcff": "a"}]
)
def test_what_is_too_long_or_no_utf8_is_a_value_error(light, wrong):
    with pytest.raises(ValueError, match="meta"):
        Note.perform_async(meta=wrong)
    with pytest.raises(ValueError, match="meta"):
        light.enqueue_many(Note, iter([{}]), meta=wrong)
    assert light.count_jobs() == 0


def test_four_kibibytes_are_not_too_long(light):
    meta = {"ü" * 1_000: "ü" * 1_048}

    assert light.get_job(Note.perform_async(meta=meta).id).meta == meta


def test_meta_is_no_option_of_a_worker():
    with pytest.raises(TypeError, match=r"meta.*when you enqueue"):

        class Wrong(Worker, meta={"a": "b"}):
            def perform(self, job): ...

    with pytest.raises(TypeError, match="meta"):
        worker(meta={"a": "b"})(lambda: None)


def test_what_becomes_of_a_jobs_meta_in_perform_does_not_reach_the_next_job(app):
    class Spoil(Worker, name="meta:Spoil", max_attempts=2, retry_delay=0):
        def perform(self, job):
            SEEN[job.id] = dict(job.meta)
            job.meta["spoilt"] = "yes"

    ids = app.enqueue_many(Spoil, [{}] * 3)

    until(lambda: app.count_jobs(status="completed") == 3)
    assert [SEEN[id_] for id_ in ids] == [{}] * 3


@pytest.mark.parametrize("signs", [False, True])
def test_a_job_whose_meta_was_changed_on_disk_is_refused(tmp_path, monkeypatch, signs):
    if signs:
        monkeypatch.setenv("ANTQ_SIGNING_KEYS", "k" * 32)
    with AntQ(tmp_path / "store").start(queues=False) as app:
        job = Note.perform_async(meta={"tenant": "aaaa"})
        env = opened(app.path)

        def change(txn):
            key, record = next(iter(txn.cursor(env.tables.jobs)))
            changed = bytes(record).replace(b"aaaa", b"bbbb")
            assert changed != bytes(record)
            txn.put(bytes(key), changed, db=env.tables.jobs)

        env.write(change)
        assert app.verify()
    with AntQ(tmp_path / "store") as app:
        until(lambda: app.get_job(job.id).status is Status.FAILED)

    assert job.id not in SEEN or SEEN[job.id] != {"tenant": "bbbb"}


def test_an_import_refuses_what_can_be_no_meta(light):
    Note.perform_async(meta={"a": "b"})
    head, line = light.export_jobs()
    line = json.loads(line)

    for wrong in ({"a": 1}, {"a": "x" * 5_000}, "text"):
        with AntQ().start(queues=False) as other:
            with pytest.raises(BatchError, match="meta"):
                other.import_jobs([head, json.dumps({**line, "meta": wrong})])
            with pytest.raises(JobNotFound):
                other.get_job(1)


def test_the_jobs_of_a_periodic_entry_have_its_meta():
    entry = Cron("* * * * *", worker=Note, meta={"a": "b"})
    with AntQ(crons=[entry]) as app:
        assert app.cron("meta:Note").run_now().meta == {"a": "b"}
    with pytest.raises(TypeError, match="meta"):
        AntQ(crons=[Cron("* * * * *", worker=Note, meta={"a": 1})])

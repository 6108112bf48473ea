"""What is encrypted of a job, and what is seen of it with the key, and without."""

import textwrap

import pytest
from msgspec.structs import replace
from support.apps import settled
from support.heard import Heard
from support.programs import run_python

from antq_actors import (
    AlreadyExists,
    AntQ,
    ConfigError,
    Cron,
    Status,
    StorageError,
    Unique,
    Worker,
    maintenance,
    telemetry,
)
from antq_actors.storage.format import encoding
from antq_actors.storage.format.encoding import Signer
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.open_stores import open_environment

OLD, NEW, OTHER = "o" * 32, "n" * 40, "x" * 40


class Plain(Worker, name="encrypted:Plain", max_attempts=3, retry_delay=3_600):
    def perform(self, job):
        if job.args.get("fails"):
            raise ValueError(f"cannot send to {job.args['to']}")


class Marked(Plain, name="encrypted:Marked", encrypted=True): ...


class Once(Worker, name="encrypted:Once", unique=Unique(args=["to"])):
    def perform(self, job): ...


class Keeps(Worker, name="encrypted:Keeps", result=True, max_attempts=2, retry_delay=0):
    def perform(self, job):
        job.progress(0.5, f"note of {job.args['to']}")
        found = job.step(f"name of {job.args['to']}", lambda: f"step of {job.args['to']}")
        before = job.checkpointed
        job.checkpoint(f"checkpoint of {job.args['to']}", every=0)
        if job.attempts == 1:
            raise ValueError("again")
        return [found, before]


class Follows(Worker, name="encrypted:Follows"):
    def perform(self, job):
        job.follow_up(Plain, {"to": "secret@follow"})


class Elsewhere(Keeps, name="encrypted:Elsewhere", executor="process"):
    def perform(self, job):
        Plain.perform_async({"to": "secret@enqueued"}, meta={"a": job.meta["a"]})
        job.follow_up(Plain, {"to": "secret@follow"})
        return super().perform(job)


@pytest.fixture
def key_file(tmp_path):
    """Make a file with these keys."""

    def make(*lines, name="key"):
        file = tmp_path / name
        file.write_text("\n".join(lines))
        file.chmod(0o600)
        return file

    return make


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs"


@pytest.fixture
def app(path, key_file):
    """Make an application on the path, with these keys; it runs no queues unless *runs*."""

    def make(*lines, runs=False, name="key", **options):
        file = key_file(*lines, name=name) if lines else None
        return AntQ(path, start_queues=runs, encryption_key_file=file, **options)

    return make


def on_disk(path, *texts):
    """Return those of these texts that are in the file of the store."""
    found = (path / "data.mdb").read_bytes()
    return [text for text in texts if text.encode() in found]


# ---- what is on the disk ----------------------------------------------------------------------


def test_with_a_key_arguments_and_meta_are_on_no_disk(app, path):
    with app(NEW) as antq:
        job = Plain.perform_async({"to": "secret@args"}, meta={"tenant": "secret-meta"})
        ids = antq.enqueue_many(Plain, [{"to": f"secret@{n}" * 200} for n in range(3)])
        found = antq.get_job(job.id)
        large = antq.get_job(ids[2])

        assert (job.args, job.meta) == ({"to": "secret@args"}, {"tenant": "secret-meta"})
        assert (found.args, found.meta) == (job.args, job.meta)
        assert large.args == {"to": "secret@2" * 200}
        assert [j.id for j in antq.list_jobs(args={"to": "secret@args"})] == [job.id]

    assert on_disk(path, "secret@", "secret-meta", "encrypted:Plain") == ["encrypted:Plain"]


def test_marked_encrypts_the_jobs_of_marked_workers_alone(app, path):
    with app(NEW, encrypt="marked"):
        Plain.perform_async({"to": "readable@args"})
        Marked.perform_async({"to": "secret@args"})

    assert on_disk(path, "readable@args", "secret@args") == ["readable@args"]


def test_errors_results_steps_checkpoints_and_progress_are_on_no_disk(app, path):
    with app(NEW, runs=True) as antq:
        failed = settled(antq, Plain.perform_async({"to": "secret@a", "fails": 1}), "retrying")
        kept = Keeps.perform_async({"to": "secret@b"})
        result = antq.result(kept, timeout=60)
        steps = settled(antq, kept)

        assert result == ["step of secret@b", "checkpoint of secret@b"]
        assert failed.errors[0].error == "cannot send to secret@a"
        assert "cannot send" in failed.errors[0].stack_trace
        assert steps.errors[0].error == "again"
        settled(antq, Follows.perform_async({}))

    texts = ("secret@a", "secret@b", "cannot send", "step of", "name of", "checkpoint of")
    assert on_disk(path, *texts, "note of", "secret@follow", "ValueError") == []


def test_what_a_job_process_does_is_encrypted_as_well(app, path):
    with app(NEW, runs=True) as antq:
        job = Elsewhere.perform_async({"to": "secret@b"}, meta={"a": "secret-meta"})

        assert antq.result(job, timeout=60) == ["step of secret@b", "checkpoint of secret@b"]
        enqueued = antq.list_jobs(worker=Plain)
        assert [each.args["to"] for each in enqueued] == [
            *("secret@enqueued", "secret@enqueued", "secret@follow")
        ]
        assert enqueued[0].meta == {"a": "secret-meta"}

    assert on_disk(path, "secret", "step of", "name of", "checkpoint of", "note of") == []


def test_equal_unique_jobs_are_found_under_every_key_and_from_before(app):
    with app(encrypt="marked"):
        Once.perform_async({"to": "before"})
    with app(OLD):
        Once.perform_async({"to": "old"})
    with app(NEW, OLD):
        Once.perform_async({"to": "new"})
        for to in ("before", "old", "new"):
            with pytest.raises(AlreadyExists) as info:
                Once.perform_async({"to": to})
            assert info.value.job.args == {"to": to}


def test_an_import_finds_the_equal_unique_job_under_another_key(app):
    with app(OLD) as there:
        job = Once.perform_async({"to": "old"})
        lines = list(there.export_jobs())
        there.cancel_job(job)
    with app(NEW, OLD) as here:
        Once.perform_async({"to": "old"})

        assert here.import_jobs(lines) == (0, 1)


def test_without_the_key_the_error_about_a_duplicate_shows_no_argument(app):
    with app(OLD) as first:
        refused = Once.perform_async({"to": "twice"})
        first.cancel_job(refused)
        Once.perform_async({"to": "twice"})
    with app() as other, pytest.raises(AlreadyExists, match="with <encrypted> is unique"):
        other.retry_job(refused)


def test_a_digest_on_the_disk_is_not_that_of_the_arguments(app, path):
    with app(NEW):
        Once.perform_async({"to": "a"})
    other = path.with_name("other")
    with AntQ(other, start_queues=False):
        Once.perform_async({"to": "a"})
    digests = []
    for each in (path, other):
        env = open_environment(each)
        digests.append(
            env.read(lambda txn, env=env: next(txn.cursor(env.tables.unique).iternext()))
        )
        env.close()

    assert digests[0] != digests[1]


# ---- without its key --------------------------------------------------------------------------


@pytest.mark.parametrize("lines", [(), (OTHER,)], ids=["no key", "another key"])
def test_a_job_is_refused_kept_and_run_once_its_key_is_there(app, path, lines):
    with app(NEW):
        job = Plain.perform_async({"to": "secret@args"})
        Plain.perform_async({"to": "secret@two"})
    heard = Heard()
    without = app(*lines, runs=True)
    with without.subscribe(heard), without:
        refused = settled(without, job)
        told = heard.wait_one(telemetry.JobRefused, id=job.id)

        assert refused.status is Status.FAILED
        assert refused.attempts == 0
        assert "key" in refused.errors[0].error
        assert "key" in told.reason
        assert heard.of(telemetry.JobStarted, telemetry.JobEnded) == []
    with app(NEW, runs=True, name="again") as antq:
        antq.retry_job(job)
        done = settled(antq, job)

    assert (done.status, done.attempts) == (Status.COMPLETED, 1)
    assert maintenance.verify(path) == []


def test_without_the_key_a_job_shows_that_it_is_encrypted(app):
    with app(NEW, runs=True) as antq:
        job = Plain.perform_async({"to": "secret@args", "fails": 1}, meta={"a": "secret-meta"})
        settled(antq, job, "retrying")
    with app() as antq:
        found = antq.get_job(job.id)

        assert (found.args, found.meta) == ({}, {})
        assert "args=<encrypted>" in repr(found)
        assert "meta=<encrypted>" in repr(found)
        assert [(e.error, e.stack_trace, e.error_type) for e in found.errors] == [
            ("<encrypted>", None, None)
        ]
        assert found.worker == "encrypted:Plain"
        assert antq.list_jobs(args={"to": "secret@args"}) == []
        assert antq.list_jobs(error="cannot send") == []
        assert antq.cancel_job(job).args == {}
        assert repr(antq.list_jobs()[0].args) == "<encrypted>"


def test_events_without_the_key_show_that_meta_is_encrypted(app, caplog):
    caplog.set_level("INFO", "antq_actors.events")
    heard, write = Heard(), telemetry.log_events()

    def listen(event):
        write(event)
        heard(event)

    with app(NEW):
        job = Plain.perform_async({"to": "secret@args"}, meta={"tenant": "secret-meta"})
    without = app(runs=True)
    with without.subscribe(listen, telemetry.JobRefused), without:
        refused = heard.wait_one(telemetry.JobRefused, id=job.id)

    assert refused.meta == {}
    assert '"meta": "<encrypted>"' in caplog.text
    assert "secret" not in caplog.text


def test_a_result_is_read_with_the_key_alone(app):
    with app(NEW, runs=True) as antq:
        job = settled(antq, Keeps.perform_async({"to": "secret@b"}))
    with app() as antq, pytest.raises(StorageError, match="no encryption key"):
        antq.result(job)


def swap(path, first, second):
    """Give a stored job the ciphertext of another one."""

    def work(txn):
        def spec_of(id_):
            record = encoding.decode_job(txn.get(keys.job_key(id_), db=env.tables.jobs))
            return record, encoding.decode_spec(encoding.contents(record.spec))

        (record, spec), (_, other) = spec_of(first), spec_of(second)
        signed = Signer().sign(encoding.encode_spec(replace(spec, args=other.args)))
        changed = encoding.encode_job(record.state, record.digest, signed)
        txn.put(keys.job_key(first), changed, db=env.tables.jobs)

    env = open_environment(path)
    env.write(work)
    env.close()


def test_a_ciphertext_of_another_worker_is_refused_and_counts_no_attempt(app, path):
    with app(NEW):
        job = Plain.perform_async({"to": "a"})
        other = Marked.perform_async({"to": "b"})
    swap(path, job.id, other.id)
    with app(NEW, runs=True) as antq:
        refused = settled(antq, job)

        assert settled(antq, other).status is Status.COMPLETED
    assert (refused.status, refused.attempts) == (Status.FAILED, 0)
    assert "another worker" in refused.errors[0].error


# ---- what is refused --------------------------------------------------------------------------


def test_a_marked_worker_without_a_key_is_an_error_at_each_enqueue(app):
    with app(encrypt="marked") as antq:
        for enqueue in (
            lambda: Marked.perform_async({"to": "a"}),
            lambda: antq.enqueue_many(Marked, [{"to": "a"}]),
        ):
            with pytest.raises(ConfigError, match=r"encrypted=True.*no encryption key"):
                enqueue()
        assert antq.count_jobs() == 0


def test_nothing_is_enqueued_without_a_key_where_all_jobs_are_encrypted(app):
    with app(NEW):
        Plain.perform_async({"to": "a"})
    with app() as without:
        for enqueue in (
            lambda: Plain.perform_async({"to": "b"}),
            lambda: without.enqueue_many(Plain, [{"to": "b"}]),
            lambda: without.cron("daily").set(Cron("0 3 * * *", worker=Plain)),
        ):
            with pytest.raises(ConfigError, match=r"are encrypted.*no encryption key.*nothing was"):
                enqueue()
        assert without.count_jobs() == 1
        assert without.crons() == []


@pytest.mark.parametrize("lines", [(), (NEW,)], ids=["no key", "a key"])
def test_that_jobs_are_not_encrypted_any_more_is_said_by_marked(app, lines):
    with app(NEW):
        Plain.perform_async({"to": "a"})
    with app(*lines, encrypt="marked"):
        Plain.perform_async({"to": "b"})
    with app() as antq:
        assert antq.get_job(Plain.perform_async({"to": "c"}).id).args == {"to": "c"}


@pytest.mark.parametrize("value", [1, "yes", None])
def test_encrypted_is_a_bool(value):
    with pytest.raises(TypeError, match="encrypted must be True or False"):

        class Wrong(Worker, name="encrypted:Wrong", encrypted=value):
            def perform(self, job): ...


def test_encrypt_is_one_of_two_words(app):
    with pytest.raises(ConfigError, match="encrypt must be 'all' or 'marked', got 'none'"):
        app(NEW, encrypt="none")
    with pytest.raises(TypeError, match="encrypt must be"):
        app(NEW, encrypt=True)


def test_keys_come_from_a_private_file_or_the_environment(app, key_file, tmp_path, monkeypatch):
    for lines, what in [(("short",), "has 5 characters"), (("# none",), "no encryption key")]:
        with pytest.raises(ConfigError, match=what) as info:
            app(*lines)
        assert str(tmp_path / "key") in str(info.value)
        assert "short" not in str(info.value)
    with pytest.raises(ConfigError, match="no such file"):
        AntQ(encryption_key_file=tmp_path / "none")
    key_file(NEW).chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        AntQ(encryption_key_file=tmp_path / "key")
    monkeypatch.setenv("ANTQ_ENCRYPTION_KEYS", f"{NEW}\n{OLD}")
    assert "2 keys" in repr(AntQ()._config.cipher)
    assert NEW not in repr(AntQ()._config)


def test_without_the_library_a_key_says_what_to_install_and_nothing_else_imports_it(key_file):
    program = """
        import sys
        from antq_actors import AntQ, ConfigError, Worker
        class Marked(Worker, encrypted=True):
            def perform(self, job): ...
        with AntQ():
            pass
        assert not [name for name in sys.modules if name.split(".")[0] == "cryptography"]
        sys.modules["cryptography"] = None
        try:
            AntQ(encryption_key_file=FILE)
        except ConfigError as error:
            print(error)
        """
    done = run_python("-c", textwrap.dedent(program).replace("FILE", repr(str(key_file(NEW)))))

    assert "antq-actors[encryption]" in done.stdout

"""The commands over a store whose jobs are encrypted, with the key and without."""

import json
from functools import partial

import pytest
from support.apps import settled

from antq_actors import AlreadyExists, AntQ, ConfigError, Cron, Unique, Worker, maintenance, worker
from antq_actors.cli import REFUSED
from antq_actors.jobs.steps import ListSteps
from antq_actors.storage.format.cipher import Cipher

OLD, NEW = "o" * 32, "n" * 40
SECRETS = ("secret@", "secret-meta", "cannot send")


class Sends(Worker, name="encrypted:Sends", max_attempts=3, retry_delay=3_600):
    def perform(self, job):
        raise ValueError(f"cannot send to {job.args['to']}")


class Once(Worker, name="encrypted:OnceOnly", unique=Unique(args=["to"])):
    def perform(self, job): ...


class Marked(Sends, name="encrypted:MarkedToo", encrypted=True): ...


@worker(name="encrypted:returns", result=True)
def returns(to):
    return f"{to} is done"


class Keeps(Worker, name="encrypted:KeepsStep", max_attempts=2, retry_delay=3_600):
    def perform(self, job):
        found = job.step("name@secret", lambda: "secret@step")
        job.checkpoint(f"secret@checkpoint {found}", every=0)
        raise ValueError(str(job.checkpointed))


def a_key_file(folder, *lines):
    """Make a file with these keys, and return its path."""
    file = folder / "-".join(line[0] for line in lines)
    file.write_text("\n".join(lines))
    file.chmod(0o600)
    return file


@pytest.fixture
def key_file(tmp_path):
    return partial(a_key_file, tmp_path)


@pytest.fixture(scope="module")
def made_store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    path = folder / "store"
    with AntQ(path, encryption_key_file=a_key_file(folder, OLD)) as app:
        store_all(app)
    return path


def store_all(app):
    """Store a job of each kind, and whatever may come of one."""
    failing = Sends.perform_async({"to": "secret@args"}, meta={"a": "secret-meta"})
    settled(app, failing, "retrying")
    settled(app, returns.perform_async(to="secret@result"))
    settled(app, Keeps.perform_async({}), "retrying")
    Once.perform_async({"to": "secret@once"}, schedule_in=3_600)
    with app.batch("b", on_complete=Once.build({"to": "secret@callback"})) as batch:
        batch.enqueue(Once, {"to": "secret@member"}, schedule_in=3_600)
    entry = Cron("0 3 * * *", worker=Sends, args={"to": "secret@cron"})
    app.cron("nightly").set(entry)


@pytest.fixture
def path(tmp_path, made_store):
    path = tmp_path / "store"
    maintenance.restore(made_store, path)
    return path


def on_disk(path, *texts):
    found = (path / "data.mdb").read_bytes()
    return [text for text in texts if text.encode() in found]


def check_all_is_there(path, *keys):
    """Check that an application with this file of keys finds all that was stored."""
    with AntQ(path, encryption_key_file=keys[0], start_queues=False) as app:
        failing, done, keeps, once, *_ = app.list_jobs()

        assert (failing.args, failing.meta) == ({"to": "secret@args"}, {"a": "secret-meta"})
        assert failing.errors[0].error == "cannot send to secret@args"
        assert app.result(done) == "secret@result is done"
        assert [step.name for step in app.antq_steps(ListSteps(keeps.id))] == ["name@secret"]
        with pytest.raises(AlreadyExists):
            Once.perform_async({"to": "secret@once"})
        assert once.args == {"to": "secret@once"}
        assert app.cron("nightly").run_now().args == {"to": "secret@cron"}


def test_without_the_key_show_and_list_say_that_a_job_is_encrypted(antq, path):
    text = antq("show", 1)[1]
    shown = json.loads(antq("show", 1, "--json")[1])
    listed = antq("list", "--json")[1]

    assert text.count("<encrypted>") == 3
    assert (shown["args"], shown["meta"]) == ("<encrypted>", "<encrypted>")
    assert "  result        <encrypted>\n" in antq("show", 2)[1]
    assert json.loads(antq("show", 2, "--json")[1])["result"] == "<encrypted>"
    assert shown["errors"][0]["error"] == "<encrypted>"
    assert json.loads(listed)[0]["args"] == "<encrypted>"
    assert "<encrypted>" in antq("list")[1]
    assert not [each for each in SECRETS if each in text + json.dumps(shown) + listed]


def test_an_entry_fires_without_the_key_and_its_job_runs_where_that_is(path, key_file):
    with AntQ(path, start_queues=False) as app:
        job = app.cron("nightly").run_now()

        assert repr(job.args) == "<encrypted>"
        with pytest.raises(ConfigError, match="no encryption key"):
            app.cron("other").set(Cron("0 3 * * *", worker=Marked))
    with AntQ(path, encryption_key_file=key_file(OLD)) as app:
        failed = settled(app, job, "retrying")

    assert failed.errors[0].error == "cannot send to secret@cron"


def test_with_the_key_in_the_environment_show_decrypts(antq, path, monkeypatch):
    monkeypatch.setenv("ANTQ_ENCRYPTION_KEYS", OLD)

    shown = json.loads(antq("show", 1, "--json")[1])

    assert (shown["args"], shown["meta"]) == ({"to": "secret@args"}, {"a": "secret-meta"})
    assert "cannot send" in shown["errors"][0]["error"]


def test_verify_backup_export_and_import_need_no_key(antq, path, tmp_path, key_file):
    assert antq("verify")[0] == 0
    assert antq("backup", tmp_path / "copy")[0] == 0
    assert antq("export", tmp_path / "jobs.jsonl")[0] == 0
    exported = (tmp_path / "jobs.jsonl").read_text()
    assert not [each for each in SECRETS if each in exported]

    code, out, _ = antq("import", tmp_path / "jobs.jsonl", path=tmp_path / "other")

    assert (code, out) == (0, f"{tmp_path / 'other'}: 5 jobs imported.\n")
    assert antq("verify", path=tmp_path / "other")[0] == 0
    for each in (tmp_path / "copy", tmp_path / "other"):
        assert on_disk(each, *SECRETS) == []
        check_all_is_there(each, key_file(OLD))


def test_an_import_into_a_store_with_keys_is_encrypted(antq, tmp_path, key_file, monkeypatch):
    source, path = tmp_path / "plain", tmp_path / "other"
    with AntQ(source) as app:
        store_all(app)
    assert antq("export", tmp_path / "jobs.jsonl", path=source)[0] == 0
    monkeypatch.setenv("ANTQ_ENCRYPTION_KEYS", OLD)

    assert antq("import", tmp_path / "jobs.jsonl", path=path)[0] == 0

    assert on_disk(source, "secret@", "cannot send", "secret@callback") != []
    assert on_disk(path, *SECRETS) == []
    monkeypatch.delenv("ANTQ_ENCRYPTION_KEYS")
    assert antq("verify", path=path)[0] == 0
    check_all_is_there(path, key_file(OLD))


def test_an_export_of_an_application_with_the_key_carries_the_ciphertext(path, key_file):
    with AntQ(path, encryption_key_file=key_file(OLD), start_queues=False) as app:
        lines = "".join(map(str, app.export_jobs()))

    assert not [each for each in SECRETS if each in lines]


def test_reseal_writes_all_anew_under_the_first_key(antq, path, key_file):
    both = key_file(NEW, OLD)

    code, out, _ = antq("reseal", "--encryption-key-file", both)

    assert (code, out) == (0, f"{path}: 5 jobs without signature, encrypted.\n")
    assert antq("verify")[0] == 0
    assert antq("compact")[0] == 0
    old_id = Cipher([OLD.encode()]).seal(b"", b"", b"")[:6]
    assert old_id not in (path / "data.mdb").read_bytes()
    check_all_is_there(path, key_file(NEW))


def test_reseal_encrypts_what_was_stored_before_there_was_a_key(antq, tmp_path, key_file):
    path = tmp_path / "plain"
    with AntQ(path, start_queues=False):
        Sends.perform_async({"to": "secret@args"})
        Once.perform_async({"to": "secret@once"})

    antq("reseal", "--encryption-key-file", key_file(NEW), path=path)
    antq("compact", path=path)

    assert on_disk(path, *SECRETS) == []
    with AntQ(path, start_queues=False), pytest.raises(ConfigError, match="no encryption key"):
        Sends.perform_async({"to": "secret@later"})
    with AntQ(path, encryption_key_file=key_file(NEW), start_queues=False) as app:
        assert app.get_job(1).args == {"to": "secret@args"}
        with pytest.raises(AlreadyExists):
            Once.perform_async({"to": "secret@once"})


def test_a_signed_store_is_resealed_with_its_signing_key_alone(antq, path, tmp_path, key_file):
    signing, other = tmp_path / "signing", tmp_path / "signing too"
    for file in (signing, other):
        file.write_text(file.name[-1] * 40)
        file.chmod(0o600)
    maintenance.reseal(path, [signing.read_bytes()])
    keys = key_file(NEW, OLD)

    for options in ([], ["--signing-key-file", other]):
        code, _, err = antq("reseal", "--encryption-key-file", keys, *options)
        assert code == REFUSED
        assert "signing key" in err
    options = ["--signing-key-file", signing]
    assert antq("reseal", "--encryption-key-file", keys, *options)[0] == 0
    assert antq("verify", *options)[0] == 0


def test_what_no_key_fits_stays_as_it_is(antq, path, key_file):
    with AntQ(path, encryption_key_file=key_file(NEW), start_queues=False):
        Sends.perform_async({"to": "secret@later"})

    assert antq("reseal", "--encryption-key-file", key_file(NEW))[0] == 0
    assert antq("verify")[0] == 0

    check_all_is_there(path, key_file(OLD))


def test_a_store_of_which_no_key_decrypts_a_job_is_not_resealed(antq, path, key_file):
    before = (path / "data.mdb").read_bytes()

    code, _, err = antq("reseal", "--encryption-key-file", key_file(NEW))

    assert code == REFUSED
    assert "none of the encryption keys decrypts any of the encrypted jobs" in err
    assert (path / "data.mdb").read_bytes() == before
    check_all_is_there(path, key_file(OLD))

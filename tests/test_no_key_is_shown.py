"""Signing keys are in no error, log line, repr or output, also where one was given by mistake."""

import logging
import traceback

import pytest
from support.apps import settled
from support.programs import run_python

from antq_actors import AntQ, Status, Worker, cli, errors, maintenance
from antq_actors.app import signing_keys
from antq_actors.otp import tree
from antq_actors.storage.format.encoding import Signer

KEYS = {
    "urlsafe": "dGhpcy1pcy1hLWtleS1hbmQtaXQtaXMtYS1zZWNyZXQ",
    "with slashes": "dGhp/y1pcy1hLWtl/S1hbmQtaXQtaXM/YS1zZWNyZXQ=",
    "with a slash in front": "/hpcy1pcy1hLWtleS1hbmQtaXQtaXMtYS1zZWNyZXQ=",
    "with dots": "a.key.of.words.that.looks.like.a.file.name.toml",
    "two of them": "dGhpcy1pcy1hLWtleS1hbmQtaXQtaXMtYS1zZWNyZXQ\nb3RoZXItb3RoZXItb3RoZXItb3RoZXIt",
    "very long": "k" * 5_000,
    "not ascii": "schlüssel-schlüssel-schlüssel-schlüssel",
}


@pytest.fixture(params=KEYS.values(), ids=KEYS)
def key(request):
    return request.param


@pytest.fixture(autouse=True)
def everywhere(caplog):
    caplog.set_level(logging.DEBUG)


@pytest.fixture
def key_file(tmp_path, key):
    """Make a file with *text*, or with the key."""

    def make(text=None, mode=0o600, name="antq.key"):
        file = tmp_path / name
        file.write_bytes(key.encode() if text is None else text)
        file.chmod(mode)
        return file

    return make


def parts(key):
    """Return what must not be seen of *key*: a third of any of its lines."""
    lines = [line for line in key.splitlines() if line]
    return [line[start : start + 12] for line in lines for start in (0, len(line) // 2)]


def check_hidden(key, shown):
    assert not [part for part in parts(key) if part in shown]


def everything_of(error):
    """All that an error and those behind it show, whoever prints them, with their variables."""
    shown = "".join(traceback.format_exception(error))
    while error is not None:
        shown += f"{error} {error!r} {error.args!r}"
        ours = [
            frame
            for frame, _ in traceback.walk_tb(error.__traceback__)
            if frame.f_code.co_filename == signing_keys.__file__
        ]
        shown += repr([{**frame.f_locals, "file": ""} for frame in ours])
        error = error.__cause__ or error.__context__
    return shown


# ---- given in the place of something else -----------------------------------------------------

MISTAKES = {
    "as the file": lambda key, _: AntQ(signing_key_file=key),
    "as the file's bytes": lambda key, _: AntQ(signing_key_file=key.encode()),
    "in a list": lambda key, _: AntQ(signing_key_file=[key]),
    "with NUL": lambda key, _: AntQ(signing_key_file=f"{key}\0"),
    "with a lone surrogate": lambda key, _: AntQ(signing_key_file=f"{key}\ud800"),
    "as a file of a directory": lambda key, path: AntQ(signing_key_file=path / key),
    "as the file of the settings": lambda key, path: AntQ.from_toml(
        _toml(path, f"signing_key_file = {_quoted(key)}")
    ),
    "in a list of the settings": lambda key, path: AntQ.from_toml(
        _toml(path, f"signing_key_file = [{_quoted(key)}]")
    ),
    "as the keys of the settings": lambda key, path: AntQ.from_toml(
        _toml(path, f"signing_keys = [{_quoted(key)}]")
    ),
    "to verify": lambda key, path: maintenance.verify(path / "store", signing_keys=key),
    "to verify, in a list": lambda key, path: maintenance.verify(
        path / "store", signing_keys=[key]
    ),
    "to reseal": lambda key, path: maintenance.reseal(path / "store", [key]),
    "to reseal, as bytes": lambda key, path: maintenance.reseal(path / "store", key.encode()),
    "to a signer": lambda key, _: Signer([key]),
}


def _quoted(key):
    return '"' + key.replace("\n", "\\n") + '"'


def _toml(path, line):
    file = path / "antq.toml"
    file.write_text(f"[antq]\n{line}\n", encoding="utf-8")
    return file


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_key_in_the_wrong_place_is_refused_without_being_shown(tmp_path, caplog, key, mistake):
    AntQ(tmp_path / "store").start().stop()

    with pytest.raises((errors.AntqError, TypeError)) as refused:
        mistake(key, tmp_path)

    check_hidden(key, everything_of(refused.value) + caplog.text)


def test_a_key_in_the_place_of_its_file_is_told_where_keys_go(key):
    with pytest.raises(errors.ConfigError, match=r"could be a key.*ANTQ_SIGNING_KEYS"):
        AntQ(signing_key_file=key)


def test_a_file_that_is_missing_is_named_where_that_is_no_key(tmp_path):
    with pytest.raises(errors.ConfigError, match=str(tmp_path / "antq.key")):
        AntQ(signing_key_file=tmp_path / "antq.key")


COMMANDS = {
    "verify": lambda key, path: ["verify", "--path", path, "--signing-key-file", key],
    "reseal": lambda key, path: ["reseal", "--path", path, "--signing-key-file", key],
    "import": lambda key, path: ["import", "--path", path, "--signing-key-file", key],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_no_command_shows_a_key_that_it_was_given(tmp_path, capfd, key, command):
    store = tmp_path / "store"
    AntQ(store).start().stop()

    code = cli.run(command(key, str(store)))

    out, err = capfd.readouterr()
    assert code == cli.REFUSED
    assert "could be a key" in err
    check_hidden(key, out + err)


# ---- keys that cannot be used -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "mode", "match"),
    [
        (b"", 0o644, "others can read"),
        (b"\xff\xfe", 0o600, "UTF-8"),
        (b"short\n", 0o600, "key 1 in .* has 5 characters"),
    ],
)
def test_a_file_of_keys_is_refused_without_showing_them(key, key_file, before, mode, match):
    file = key_file(before + key.encode(), mode)

    with pytest.raises(errors.ConfigError, match=match) as refused:
        AntQ(signing_key_file=file)

    check_hidden(key, everything_of(refused.value))


def test_keys_of_the_environment_are_refused_without_showing_them(monkeypatch, key):
    monkeypatch.setenv(signing_keys.VARIABLE, f"{key}\nshort")

    with pytest.raises(errors.ConfigError, match=r"key \d in ANTQ_SIGNING_KEYS") as refused:
        AntQ()

    check_hidden(key, everything_of(refused.value))


# ---- keys that are used -----------------------------------------------------------------------


class Greet(Worker):
    def perform(self, job):
        raise ValueError("crash")


def test_nothing_that_an_application_shows_has_its_keys(tmp_path, caplog, key, key_file):
    with AntQ(tmp_path / "store", signing_key_file=key_file()) as app:
        Greet.perform_async(max_attempts=1)
        shown = f"{app!r} {app._config!r} {vars(app)!r} {tree(app.root).to_text()} {app.nodes()!r}"
        jobs = app.list_workers()
    other = key_file(b"another key that is as long as one must be", name="other.key")
    with AntQ(tmp_path / "store", signing_key_file=other) as app:
        Greet.perform_async(max_attempts=1)
        shown += repr(app.list_workers()) + repr(app.verify())

    check_hidden(key, shown + repr(jobs) + caplog.text)


def test_a_program_that_crashes_with_keys_in_its_environment_shows_none(tmp_path, key):
    code = (
        "import time\n"
        "from antq_actors import AntQ, Worker\n"
        "class Greet(Worker):\n"
        "    def perform(self, job): raise ValueError(repr(job))\n"
        f"app = AntQ({str(tmp_path / 'store')!r}, queues={{'default': 1}}).start()\n"
        "Greet.perform_async(max_attempts=1)\n"
        "while not app.count_workers(status='failed'): time.sleep(0.01)\n"
        "print(app, app.list_workers())\n"
        "app.root.cell.ref.ask('nonsense')\n"
    )
    env = {signing_keys.VARIABLE: key}

    done = run_python("-c", code, env=env)

    assert "ValueError" in done.stdout, done.stderr
    assert "nonsense" in done.stderr
    check_hidden(key, done.stdout + done.stderr)


def test_keys_for_another_process_are_not_shown(monkeypatch, key):
    monkeypatch.setenv(signing_keys.VARIABLE, key)

    text = signing_keys.of_environment()

    check_hidden(key, f"{text} {text!r} {[text]}")
    monkeypatch.delenv(signing_keys.VARIABLE)
    assert signing_keys.of_environment() is None
    text.put_into_environment()
    assert signing_keys.load(None)[0].decode() == key.splitlines()[0]


def test_a_failed_job_of_another_key_is_told_without_either(tmp_path, caplog, key, key_file):
    path = tmp_path / "store"
    with AntQ(path, signing_key_file=key_file(), start_queues=False, queues={"default": 1}):
        job = Greet.perform_async(max_attempts=1)
    other = key_file(b"another key that is as long as one must be", name="other.key")

    with AntQ(path, signing_key_file=other) as app:
        failed = settled(app, job)

    assert failed.status is Status.FAILED
    assert "signature is wrong" in failed.errors[0].error
    check_hidden(key, repr(failed) + caplog.text)
    assert "another key" not in repr(failed) + caplog.text

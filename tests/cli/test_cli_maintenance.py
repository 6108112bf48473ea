"""The commands about a store as a whole, over a real one."""

import json
import signal
import subprocess
import sys
from contextlib import closing

import pytest
from support.older_stores import write_as

from antq_actors import AntQ, Worker
from antq_actors.cli import REFUSED, USAGE
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.open_stores import open_environment

KEY = "k" * 40


class Succeed(Worker, name="cli_maintenance:Succeed"):
    def perform(self, job): ...


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "store"
    with AntQ(path, start_queues=False) as app:
        app.enqueue_many(Succeed, ({"n": n} for n in range(5)))
        app.cancel_worker(3)
    return path


def damage(path):
    env = open_environment(path)
    env.write(lambda txn: txn.put(keys.job_key(2), b"\0x", db=env.tables.jobs))
    env.close()


def test_verify_says_that_all_is_well(antq, path):
    assert antq("verify") == (0, f"{path}: all is well.\n", "")


def test_verify_names_each_finding_and_what_to_do_with_exit_code_1(antq, path):
    damage(path)

    code, out, err = antq("verify")

    assert code == 1
    assert "job 2: the job is damaged on disk" in out
    assert "restore a backup" in err


def test_backup_and_restore(antq, path, tmp_path):
    code, out, err = antq("backup", tmp_path / "copy")
    assert (code, err) == (0, "")
    assert out.startswith(f"{tmp_path / 'copy'}: ")

    assert antq("restore", tmp_path / "copy", path=tmp_path / "new") == (
        0,
        f"{tmp_path / 'new'}: 5 jobs.\n",
        "",
    )
    assert antq("verify", path=tmp_path / "new")[0] == 0


def test_a_backup_of_a_running_application_and_a_refused_restore(antq, path, tmp_path):
    with AntQ(path):
        code, out, err = antq("backup", tmp_path / "copy")
        assert (code, err) == (0, "")

    code, out, err = antq("restore", tmp_path / "copy")
    assert (code, out) == (REFUSED, "")
    assert "move it away first" in err


def test_info_says_what_a_store_takes_and_what_for(antq, path):
    code, out, err = antq("info", "--json")

    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["bytes"] == (path / "data.mdb").stat().st_size
    pages = found["pages"]
    assert (2 + sum(pages["used"].values()) + pages["free"]) * pages["size"] <= found["bytes"]
    assert "MiB are reserved ahead" in antq("info")[1]


def test_compact_says_what_it_gained(antq, path):
    code, out, err = antq("compact")

    assert (code, err) == (0, "")
    assert "MiB before" in out


@pytest.mark.parametrize("command", ["compact", "migrate", "reseal"])
def test_what_needs_the_store_alone_is_refused_while_another_process_has_it(antq, path, command):
    code = "import sys; from antq_actors import AntQ\nwith AntQ(sys.argv[1], start_queues=False):"
    code += " print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(  # noqa: S603 - this test's own code
        [sys.executable, "-c", code, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "open\n"
        code, out, err = antq(command)
        other.stdin.close()

    assert (code, out) == (REFUSED, "")
    assert "another process has" in err
    assert "stop the applications that use it" in err
    assert antq(command)[0] == 0


def test_migrate_leaves_a_store_alone_that_is_up_to_date(antq, path):
    assert antq("migrate") == (0, f"{path}: up to date.\n", "")


@pytest.mark.parametrize("command", ["list", "count", "show 1", "verify", "info", "export"])
def test_commands_that_only_look_name_the_one_that_migrates_an_older_store(antq, path, command):
    with closing(open_environment(path)) as env:
        write_as(env, 3)

    code, out, err = antq(*command.split())

    assert (code, out) == (REFUSED, "")
    assert f"run `antq migrate --path {path}`" in err
    assert antq("migrate")[0] == 0
    assert antq(*command.split())[0] == 0


def test_reseal_and_verify_with_a_key(antq, path, tmp_path):
    key_file = tmp_path / "key"
    key_file.write_text(KEY)
    key_file.chmod(0o600)

    assert antq("verify", "--signing-key-file", key_file)[0] == 1
    assert antq("reseal", "--signing-key-file", key_file)[1] == f"{path}: 5 jobs signed.\n"
    assert antq("verify", "--signing-key-file", key_file)[0] == 0
    assert antq("reseal")[1] == f"{path}: 5 jobs without signature.\n"


def test_export_and_import(antq, path, tmp_path):
    code, out, _ = antq("export", "--status", "cancelled")
    head, line = map(json.loads, out.splitlines())
    assert (code, head, line["id"]) == (0, {"antq_export": 1}, 3)

    file = tmp_path / "jobs.jsonl"
    assert antq("export", file) == (0, f"{file}: 5 jobs.\n", "")
    assert file.stat().st_mode & 0o777 == 0o600
    new = tmp_path / "new"
    assert antq("import", file, path=new) == (0, f"{new}: 5 jobs imported.\n", "")
    assert antq("count", "--status", "enqueued", path=new)[1] == "4\n"


KILLED_AS_IT_STOPS = """
import os, signal, sys
from antq_actors import AntQ
from antq_actors.cli import run

AntQ.__exit__ = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
run(sys.argv[1:])
"""


def test_an_import_that_is_killed_as_it_stops_has_said_what_it_stored(antq, path, tmp_path):
    file, new = tmp_path / "jobs.jsonl", tmp_path / "new"
    antq("export", file)

    command = [sys.executable, "-c", KILLED_AS_IT_STOPS, "import", str(file), "--path", str(new)]
    killed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - our own

    assert killed.returncode == -signal.SIGKILL
    assert killed.stdout == f"{new}: 5 jobs imported.\n"
    assert antq("count", path=new)[1] == "5\n"


def test_an_export_of_a_queue_that_nothing_knows_hints_at_it(antq):
    code, out, err = antq("export", "--queue", "defualt")

    assert (code, len(out.splitlines())) == (0, 1)
    assert "did you mean 'default'" in err


def test_an_export_replaces_no_file(antq, tmp_path):
    file = tmp_path / "precious"
    file.write_text("mine")

    code, _, err = antq("export", file)

    assert code == REFUSED
    assert err == f"antq: {file} exists and is not overwritten; give another file\n"
    assert file.read_text() == "mine"


def test_an_import_of_a_file_that_is_not_there_is_refused(antq, tmp_path):
    code, _, err = antq("import", tmp_path / "none")

    assert (code, err) == (REFUSED, f"antq: there is no file {tmp_path / 'none'}\n")


def test_what_is_no_export_is_refused(antq, tmp_path):
    file = tmp_path / "file"
    file.write_text("hello\n")

    code, _, err = antq("import", file)

    assert code == REFUSED
    assert "no export of antq" in err


@pytest.mark.parametrize(
    "arguments",
    [["verify"], ["info"], ["backup", "copy"], ["compact"], ["migrate"], ["reseal"], ["export"]],
)
def test_a_store_that_is_not_there_is_wrong_usage_and_not_made(antq, tmp_path, arguments):
    code, _, err = antq(*arguments, path=tmp_path / "none")

    assert code == USAGE
    assert "there is no store at" in err
    assert not (tmp_path / "none").exists()


def test_what_is_said_of_an_export_counts_jobs_alone(antq, path, tmp_path):
    with AntQ(path, start_queues=False) as app, app.batch("six") as batch:
        batch.enqueue(Succeed, {"n": 6})
    file, new = tmp_path / "jobs.jsonl", tmp_path / "new"

    assert antq("export", file)[1] == f"{file}: 6 jobs.\n"
    assert antq("import", file, path=new)[1] == f"{new}: 6 jobs imported.\n"
    assert antq("verify", path=new)[0] == 0
    (listed,) = json.loads(antq("batches", "--json", path=new)[1])
    assert (listed["id"], listed["name"], listed["total"]) == (6, "six", 1)

"""``antq enqueue``: a job for a worker that is imported, checked before anything is stored."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from antq_actors import AntQ, Status, Worker
from antq_actors.cli import REFUSED, USAGE


class Stored(Worker, name="enqueue_command:Stored"):
    def perform(self, job): ...


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The folder of enqueueable.py's store, which is there and empty."""
    monkeypatch.setenv("ENQUEUEABLE_PLACE", str(tmp_path))
    monkeypatch.setenv("ANTQ_PATH", str(tmp_path / "store"))
    monkeypatch.setenv("TZ", "UTC-2")  # two hours ahead
    with AntQ(tmp_path / "store", start_queues=False):
        pass
    return tmp_path


@pytest.fixture
def enqueue(program, place):
    """Returns the exit code, standard output and standard error of ``antq enqueue``."""

    def enqueue(*arguments):
        return program("-m", "antq_actors", "enqueue", *arguments).end()

    return enqueue


def jobs(place):
    with AntQ(place / "store", start_queues=False) as app:
        return app.list_jobs()


def test_a_value_is_json_where_it_can_be_and_else_text(enqueue, place):
    enqueued = enqueue("enqueueable:greet", "--arg", "name=Ant", "--arg", "times=2")
    quoted = enqueue("enqueueable:greet", "--arg", 'name="7"')

    assert enqueued == (0, "Job 1 is enqueued in queue 'default'.\n", "")
    assert quoted == (0, "Job 2 is enqueued in queue 'default'.\n", "")
    assert [job.args for job in jobs(place)] == [{"name": "Ant", "times": 2}, {"name": "7"}]


def test_all_arguments_can_be_one_json_object(enqueue, place):
    code, out, _ = enqueue("enqueueable:Mail", "--args-json", '{"to": ["a", {"b": 1}]}', "--json")

    assert code == 0
    (job,) = jobs(place)
    assert json.loads(out)["id"] == job.id
    assert (job.worker, job.args) == ("enqueueable:Mail", {"to": ["a", {"b": 1}]})


def test_options_of_the_one_job_are_given_as_options(enqueue, place):
    code, *_ = enqueue(
        *("enqueueable:greet", "--arg", "name=Ant", "--queue", "mail", "--priority", "-7"),
        *("--max-attempts", "3", "--timeout", "2.5"),
    )

    assert code == 0
    (job,) = jobs(place)
    assert (job.queue_name, job.priority, job.max_attempts) == ("mail", -7, 3)
    assert job.opts["timeout"] == 2.5


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("2999-05-01T09:00", datetime(2999, 5, 1, 7, tzinfo=UTC)),
        ("2999-05-01T09:00+05:00", datetime(2999, 5, 1, 4, tzinfo=UTC)),
        ("2999-05-01T09:00Z", datetime(2999, 5, 1, 9, tzinfo=UTC)),
    ],
)
def test_a_time_without_offset_is_that_of_the_clock_here(enqueue, place, text, due):
    code, out, _ = enqueue("enqueueable:greet", "--arg", "name=Ant", "--at", text)

    shown = due + timedelta(hours=2)
    assert code == 0
    assert f"is scheduled for {shown:%Y-%m-%d %H:%M:%S}+02:00 in queue" in out
    assert jobs(place)[0].scheduled_at == due


def test_a_job_may_be_due_in_some_seconds(enqueue, place):
    code, *_ = enqueue("enqueueable:greet", "--arg", "name=Ant", "--in", "3600")

    assert code == 0
    (job,) = jobs(place)
    assert job.scheduled_at - job.inserted_at == timedelta(hours=1)


def test_without_the_key_of_an_encrypted_store_nothing_is_stored(enqueue, place, tmp_path):
    key, store = tmp_path / "key", tmp_path / "encrypted"
    key.write_text("k" * 32)
    key.chmod(0o600)
    with AntQ(store, encryption_key_file=key, start_queues=False) as app:
        app.enqueue(Stored)
    arguments = ["enqueueable:greet", "--arg", "name=secret", "--path", store]

    refused = enqueue(*arguments)
    stored = enqueue(*arguments, "--encryption-key-file", key)

    assert refused[0] == USAGE
    assert "no encryption key" in refused[2]
    assert stored == (0, "Job 2 is enqueued in queue 'default'.\n", "")
    assert b"secret" not in (store / "data.mdb").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["enqueueable:greet"], USAGE, "missing a required argument: 'name'"),
        (["enqueueable:greet", "--arg", "nam=x"], USAGE, "nam"),
        (["enqueueable:greet", "--arg", "name"], USAGE, "'name' is not KEY=VALUE"),
        (["enqueueable:greet", "--args-json", "[1]"], USAGE, "[1] (list) is not an object"),
        (["enqueueable:greet", "--args-json", "{"], USAGE, "this is not JSON"),
        (["enqueueable:greet", "--args-json", '{"name": NaN}'], USAGE, "NaN is not valid JSON"),
        (
            ["enqueueable:greet", "--arg", "name=x", "--arg", "name=y"],
            USAGE,
            "'name' is given twice",
        ),
        (["enqueueable:greet", "--args-json", "{}", "--arg", "a=1"], USAGE, "not both"),
        (["enqueueable:greet", "--arg", "name=x", "--in", "-1"], USAGE, "negative"),
        (["enqueueable:greet", "--at", "soon"], USAGE, "'soon' is not a time"),
        (["enqueueable:greet", "--at", "2999-01-01", "--in", "1"], USAGE, "not both"),
        (["enqueueable:greet", "--arg", "name=x", "--priority", "500"], USAGE, "priority"),
        (["enqueueable:gret"], USAGE, "has no 'gret'; its workers are greet, Mail"),
        (["enqueueable:number"], USAGE, "a subclass of Worker is needed"),
        (["nowhere:greet"], USAGE, "there is no module 'nowhere'"),
        (["greet"], USAGE, "is not MODULE:WORKER"),
        (["./enqueueable.py:greet"], USAGE, "names a file; write its module: enqueueable:greet"),
        (["enqueueable:greet", "--timeout", "soon"], USAGE, "number, got 'soon'"),
        (["enqueueable:Mail", "--queue", "mial"], REFUSED, "did you mean 'mail'?"),
        (["enqueueable:Mail", "--path", "nowhere"], USAGE, "there is no store at 'nowhere'"),
    ],
    ids=str,
)
def test_what_is_wrong_is_one_line_and_nothing_is_stored(enqueue, place, arguments, code, said):
    returned, out, err = enqueue(*arguments)

    assert (returned, out) == (code, "")
    assert said in err
    assert err.startswith("antq: ")
    assert err.count("\n") == 1
    assert jobs(place) == []


def test_a_duplicate_of_a_unique_job_is_refused(enqueue, place):
    enqueue("enqueueable:Mail", "--arg", "to=a")

    code, _, err = enqueue("enqueueable:Mail", "--arg", "to=a")

    assert (code, err.count("\n")) == (REFUSED, 1)
    assert len(jobs(place)) == 1


def test_a_module_that_starts_and_runs_its_application_performs_nothing(enqueue, place):
    (place / "starts").touch()

    code, out, err = enqueue("enqueueable:greet", "--arg", "name=Ant")

    assert (code, err) == (0, "")
    assert out == "Job 1 is enqueued in queue 'default'.\n"
    assert [job.status for job in jobs(place)] == [Status.ENQUEUED]
    assert not (place / "performed").exists()


def test_a_store_of_another_path_takes_any_queue(enqueue, place):
    with AntQ(place / "other", start_queues=False):
        pass

    code, out, _ = enqueue(
        "enqueueable:greet", "--arg", "name=Ant", "--queue", "new", "--path", str(place / "other")
    )

    assert (code, out) == (0, "Job 1 is enqueued in queue 'new'.\n")
    assert jobs(place) == []

"""``antq show`` has what a job returned, as plain data: nothing of it is loaded for that."""

import json
import os
import threading

import pytest
from support.apps import settled

from antq_actors import AntQ, JobNotFound, Result, worker


class Cart:
    """Would end the process that unpickles it."""

    def __reduce__(self):
        return os._exit, (1,)


VALUES = {
    "text": "page\x1b[31m",
    "nothing": None,
    "nested": {"pages": [1, 2], "by": ("a", 2.5)},
    "cart": [1, Cart()],
    "long": "x" * 5_000,
    "large": b"x" * 60_000,
    "lock": threading.Lock(),
}


@worker(result=Result(max_size=50_000))
def give(key: str) -> object:
    return VALUES[key]


@worker(result=Result(ttl=0.001))
def give_for_a_moment() -> str:
    return "over"


@worker
def keep_none() -> str:
    return "not kept"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def shown(antq, path):
    """Run a job that gives a value; return how it is shown: the row as text, and the JSON."""

    def show(performed, **args):
        with AntQ(path) as app:
            job = settled(app, app.enqueue(performed, args))
        lines = antq("show", job.id)[1].splitlines()
        found = json.loads(antq("show", job.id, "--json")[1])
        rows = [line.removeprefix("  result").strip() for line in lines if "  result" in line]
        return rows, found

    return show


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("text", r"'page\x1b[31m'", "page\x1b[31m"),
        ("nothing", "None", None),
        ("nested", "{'pages': [1, 2], 'by': ('a', 2.5)}", {"pages": [1, 2], "by": ["a", 2.5]}),
    ],
)
def test_a_result_is_shown_as_it_was_returned(shown, key, text, value):
    rows, found = shown(give, key=key)

    assert rows == [text]
    assert found["result"] == value


def test_an_object_in_a_result_is_named_and_not_loaded(shown):
    rows, found = shown(give, key="cart")

    assert rows == [f"[1, <opaque {__name__}.Cart>]"]
    assert found["result"] == [1, f"<opaque {__name__}.Cart>"]


def test_a_long_result_is_cut_as_text_alone(shown):
    rows, found = shown(give, key="long")

    assert len(rows[0]) < 2_100
    assert rows[0].endswith("… (5,002 characters; --json has all)")
    assert found["result"] == VALUES["long"]


@pytest.mark.parametrize(
    ("key", "why"), [("large", "at most 50000"), ("lock", "cannot be pickled")]
)
def test_why_a_result_was_not_kept_is_shown(shown, key, why):
    rows, found = shown(give, key=key)

    assert rows[0].startswith("not kept: what job 1 returned")
    assert why in rows[0]
    assert "result" not in found


@pytest.mark.parametrize("performed", [keep_none, give_for_a_moment])
def test_a_job_without_a_result_has_no_such_row(shown, performed):
    rows, found = shown(performed)

    assert rows == []
    assert "result" not in found


def test_a_result_is_shown_without_the_key_that_signs_it(antq, path, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("k" * 40)
    keys.chmod(0o600)
    with AntQ(path, signing_key_file=keys) as app:
        settled(app, app.enqueue(give, {"key": "nested"}))

    assert "  result        {'pages': [1, 2]" in antq("show", 1)[1]


def test_the_result_of_no_job_is_not_found(light):
    with pytest.raises(JobNotFound):
        light.antq_shown_result(4711)

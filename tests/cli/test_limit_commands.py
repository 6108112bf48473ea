"""``antq limits`` and ``antq limit``."""

import json

import pytest

from antq_actors import AntQ, Concurrency, RateLimit, Worker
from antq_actors.cli import REFUSED, USAGE


class Shipped(
    Worker,
    name="shipped",
    concurrency=Concurrency(2, key="order"),
    rate_limit=RateLimit(5, per=1.5, key="order", burst=2),
    limits=[Concurrency(9, name="of all")],
):
    def perform(self, job):
        pass


@pytest.fixture
def path(tmp_path):
    with AntQ(tmp_path / "store").start(queues=False) as app:
        for order in (7, "7", "acme", ("a", 1)):
            app.enqueue(Shipped, {"order": order})
    return tmp_path / "store"


def limit_of(path, kind, name="shipped"):
    with AntQ(path).start(queues=False) as app:
        return next(info for info in app.limits() if (info.name, info.kind) == (name, kind))


def waiting_at(path, key):
    with AntQ(path).start(queues=False) as app:
        return app.limit("shipped").status(key)


def test_limits_are_listed_with_what_waits(antq):
    code, shown, _ = antq("limits")

    assert code == 0
    rows = [line.split() for line in shown.splitlines()]
    assert rows[0][:3] == ["name", "kind", "limit"]
    assert [row[:3] for row in rows[1:]] == [
        ["of", "all", "concurrency"],
        ["shipped", "concurrency", "2"],
        ["shipped", "rate", "5"],
    ]


def test_limits_as_json_have_the_names_of_the_attributes(antq):
    code, shown, _ = antq("limits", "--json")

    assert code == 0
    (rate,) = (each for each in json.loads(shown) if each["kind"] == "rate")
    assert list(rate) == [
        *("name", "kind", "limit", "per", "burst", "keys", "running", "waiting", "opens_at")
    ]
    assert (rate["name"], rate["limit"], rate["per"], rate["burst"]) == ("shipped", 5, 1.5, 2)


def test_a_store_without_limits_says_so(antq, tmp_path):
    with AntQ(tmp_path / "empty").start(queues=False):
        pass

    assert antq("limits", path=tmp_path / "empty")[:2] == (0, "No limit is known to this store.\n")


def test_numbers_are_set_and_reset(antq, path):
    assert antq("limit", "shipped", "set", "--limit", 8, "--per", 2.5, "--burst", 3)[0] == 0
    assert antq("limit", "shipped", "set", "--limit", 4, "--kind", "concurrency")[0] == 0
    rate = limit_of(path, "rate")
    assert (rate.limit, rate.per, rate.burst) == (8, 2.5, 3)
    assert limit_of(path, "concurrency").limit == 4

    code, shown, _ = antq("limit", "shipped", "reset")

    assert (code, shown) == (0, "Limit 'shipped' has the numbers of the code.\n")
    assert limit_of(path, "rate").limit == 5


@pytest.mark.parametrize(
    ("text", "key"), [("7", 7), ('"7"', "7"), ("acme", "acme"), ('["a", 1]', ("a", 1))]
)
def test_a_key_is_json_or_else_text(antq, path, text, key):
    code, shown, _ = antq("limit", "shipped", "pause", "--key", text, "--seconds", 3600)

    assert (code, shown) == (0, f"Limit 'shipped' at key {text} is paused.\n")
    others = {7, "7", "acme", ("a", 1)} - {key}
    assert waiting_at(path, key).opens_at is not None
    assert all(waiting_at(path, other).opens_at is None for other in others)
    assert antq("limit", "shipped", "resume", "--key", text)[0] == 0
    assert waiting_at(path, key).opens_at is None


def test_an_unknown_limit_is_refused_with_those_that_there_are(antq):
    code, _, error = antq("limit", "shiped", "pause")

    assert code == REFUSED
    assert error.startswith("antq: ")
    assert "'shiped'" in error
    assert "'shipped'" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("limit", "shipped"),
        ("limit", "shipped", "stop"),
        ("limit", "shipped", "set"),
        ("limit", "shipped", "set", "--limit", 0),
        ("limit", "shipped", "set", "--limit", 3),
        ("limit", "shipped", "set", "--limit", "x"),
        ("limit", "shipped", "set", "--burst", 2, "--kind", "concurrency"),
        ("limit", "shipped", "set", "--limit", 3, "--kind", "rates"),
        ("limit", "shipped", "set", "--limit", 3, "--kind", "rate", "--seconds", 3),
        ("limit", "shipped", "pause", "--limit", 3),
        ("limit", "shipped", "pause", "--seconds", -3),
        ("limit", "shipped", "pause", "--key", "null"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(antq, arguments):
    code, _, error = antq(*arguments)

    assert code == USAGE
    assert error.startswith("antq: ")
    assert error.count("\n") == 1

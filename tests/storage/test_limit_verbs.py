"""Limits that are changed at runtime, and what can be read of them."""

import pytest
from support.stored_jobs import Store, a_new_job, limits_of

from antq_actors.errors import AntqError, UnknownLimit
from antq_actors.flow.limits import ConcurrencyRule, GateStatus, LimitInfo, LimitRule, RateRule
from antq_actors.jobs.outcome import Completed
from antq_actors.storage.jobs.job_store import JobReader

SECOND = 1_000_000
NOW = 1_700_000_000 * SECOND


@pytest.fixture
def store(env):
    store = Store(env).has_nodes(1, 2)
    declare(store)
    return store


def declare(store, n=1):
    rules = [
        LimitRule("account", keyed=True, concurrency=ConcurrencyRule(n)),
        LimitRule("proxy", keyed=False, rate=RateRule(10, SECOND)),
        LimitRule(
            "both",
            keyed=True,
            concurrency=ConcurrencyRule(5),
            rate=RateRule(10, 60 * SECOND, burst=4),
        ),
        LimitRule("hourly", keyed=False, rate=RateRule(3, 3_600 * SECOND, fixed=True)),
    ]
    store.declare_limits(rules, replace=True, now=NOW)


def insert(store, *limits, count=1, now=NOW, **options):
    return store.insert_many([a_new_job(now=now, gates=limits, **options)] * count)


def claim(store, now=NOW, limit=50):
    return store.work("mail", [], node=1, limit=limit, now=now).jobs


def key(name, value):
    (found,) = limits_of([(name, value)])[1]
    return found


def test_a_number_that_was_set_is_kept_until_it_is_reset(store):
    insert(store, ("account", 1), count=9)
    store.set_limit("account", None, limit=3, now=NOW)
    assert len(claim(store)) == 3
    declare(store, n=2)
    assert claim(store) == []
    store.set_limit("account", None, limit=4, now=NOW)
    assert len(claim(store)) == 1

    store.reset_limit("account", None, NOW)

    assert claim(store) == []
    assert [info.limit for info in store.limit_infos(NOW) if info.name == "account"] == [2]


def test_a_number_for_one_key_is_left_by_one_for_all(store):
    for n in (1, 2):
        insert(store, ("account", n), count=5)
    store.set_limit("account", key("account", 1), limit=3, now=NOW)
    store.set_limit("account", None, limit=2, now=NOW)
    store.reset_limit("account", None, NOW)

    assert len(claim(store)) == 4
    store.reset_limit("account", key("account", 1), NOW)
    assert store.gate_status("account", key("account", 1).gate, NOW).running == 3
    assert claim(store) == []


def test_a_number_may_be_set_for_a_key_that_was_never_seen(store):
    store.set_limit("account", key("account", "new"), limit=2, now=NOW)
    insert(store, ("account", "new"), count=5)

    assert store.gate_keys("account", None, None) == ["new"]
    assert len(claim(store)) == 2


def test_starts_that_were_counted_stay_counted_when_the_rate_changes(store):
    insert(store, "proxy", count=3)
    assert len(claim(store)) == 1

    store.set_limit("proxy", None, per=10 * SECOND, now=NOW)

    assert claim(store, NOW + SECOND - 1) == []
    assert len(claim(store, NOW + SECOND)) == 1
    store.set_limit("proxy", None, per=SECOND, now=NOW + SECOND)
    assert len(claim(store, NOW + SECOND + SECOND // 10)) == 1


@pytest.mark.parametrize("at", [None, "a"])
def test_nothing_of_a_paused_limit_starts_until_it_is_resumed(store, at):
    insert(store, ("account", "a"), count=2)
    insert(store)
    paused = at and key("account", at)
    store.pause_limit("account", paused, None, NOW)

    (plain,) = claim(store)
    assert plain.spec.flow is None
    declare(store, n=5)
    assert claim(store, NOW + SECOND) == []
    store.resume_limit("account", paused, NOW)

    assert len(claim(store)) == 2


def test_a_pause_may_end_by_itself(store):
    insert(store, ("account", "a"))
    store.pause_limit("account", None, NOW + 10, NOW)
    found = store.work("mail", [], node=1, limit=9, now=NOW)
    assert (found.jobs, found.next_due) == ([], NOW + 10)

    assert len(claim(store, NOW + 10)) == 1


def used_keys(store):
    return [
        name
        for name in ("account", "both")
        for name in store.env.read(
            lambda txn, name=name: JobReader(txn, store.env.tables).gate_keys(name, None, None)
        )
    ]


@pytest.mark.parametrize("verb", ["pause", "reset"])
def test_a_key_that_was_only_paused_is_known_no_longer_than_that(store, verb):
    insert(store, ("account", 2), queue="other")
    store.delete(1, now=NOW)
    paused = key("both", 1)
    if verb == "reset":
        store.set_limit("both", paused, limit=3, kind="concurrency", now=NOW)
    store.pause_limit("both", paused, NOW + 9 * SECOND, NOW)
    if verb == "reset":
        store.reset_limit("both", paused, NOW)
    assert used_keys(store) == ["1"]

    found = store.work("other", [], node=1, limit=1, now=NOW)
    assert found.next_due == NOW + 9 * SECOND
    store.work("other", [], node=1, limit=1, now=NOW + 9 * SECOND)

    assert used_keys(store) == []


def test_a_key_that_was_paused_before_there_were_jobs_is_forgotten_by_the_first_queue(store):
    store.pause_limit("both", key("both", 1), NOW + 9 * SECOND, NOW)
    assert used_keys(store) == ["1"]
    insert(store, ("account", 2))
    store.delete(1, now=NOW)

    claim(store, NOW + 9 * SECOND)

    assert used_keys(store) == []


def test_a_key_that_was_paused_and_never_had_jobs_is_forgotten_when_a_node_starts(store):
    store.pause_limit("both", key("both", 1), NOW + 9 * SECOND, NOW)

    store.declare_limits([], replace=True, now=NOW + 8 * SECOND)
    assert used_keys(store) == ["1"]
    store.declare_limits([], replace=True, now=NOW + 9 * SECOND)

    assert used_keys(store) == []


def test_a_rate_of_a_queue_may_be_paused(store):
    store.declare_queue(
        "mail", None, LimitRule("mail", keyed=False, rate=RateRule(9, SECOND, 9)), now=NOW
    )
    insert(store, count=2)
    store.pause_limit("mail", None, None, NOW)
    assert claim(store) == []
    store.resume_limit("mail", None, NOW)

    assert len(claim(store)) == 2


def test_a_limit_without_the_name_is_refused_with_those_that_there_are(store):
    with pytest.raises(UnknownLimit, match=r"'acount'.*'account', 'both', 'hourly', 'proxy'"):
        store.set_limit("acount", None, limit=1, now=NOW)
    for verb in (store.reset_limit, store.resume_limit):
        with pytest.raises(UnknownLimit):
            verb("acount", None, NOW)
    with pytest.raises(UnknownLimit):
        store.pause_limit("acount", None, None, NOW)
    with pytest.raises(UnknownLimit):
        store.gate_status("acount", None, NOW)
    with pytest.raises(UnknownLimit):
        store.gate_keys("acount", None, None)


@pytest.mark.parametrize(
    ("name", "numbers", "message"),
    [
        ("both", {}, "nothing to set"),
        ("both", {"limit": 3}, "kind="),
        ("both", {"burst": 3, "kind": "concurrency"}, "numbers of a rate"),
        ("account", {"burst": 3}, "has no rate"),
        ("proxy", {"limit": 3, "kind": "concurrency"}, "has no concurrency"),
        ("hourly", {"burst": 3}, "burst"),
    ],
)
def test_numbers_that_a_limit_cannot_have_are_refused(store, name, numbers, message):
    with pytest.raises(ValueError, match=message) as raised:
        store.set_limit(name, None, **numbers, now=NOW)

    assert isinstance(raised.value, AntqError)
    assert claim(store) == []


def test_what_is_read_of_limits(store):
    insert(store, ("both", "a"), count=7)
    insert(store, ("both", "b"))
    jobs = claim(store)

    infos = {(info.name, info.kind): info for info in store.limit_infos(NOW)}

    assert sorted(infos) == [
        ("account", "concurrency"),
        ("both", "concurrency"),
        ("both", "rate"),
        ("hourly", "rate"),
        ("proxy", "rate"),
    ]
    assert infos["both", "rate"] == LimitInfo("both", "rate", 10, 60.0, 4, 2, 5, 3, None)
    assert infos["both", "concurrency"] == LimitInfo(
        "both", "concurrency", 5, None, None, 2, 5, 3, None
    )
    assert infos["account", "concurrency"].keys == 0
    status = store.gate_status("both", key("both", "a").gate, NOW)
    assert (status.running, status.waiting) == (4, 3)
    assert set(status.holders) == {job.id for job in jobs if job.id != 8}
    assert status.opens_at.timestamp() == NOW / SECOND + 6
    assert store.gate_status("both", key("both", "never").gate, NOW) == GateStatus(0, 0, (), None)
    assert store.gate_keys("both", None, None) == ["a", "b"]
    assert store.gate_keys("both", "a", None) == ["b"]
    assert store.gate_keys("both", None, 1) == ["a"]


def test_a_limit_without_key_has_one_gate_while_it_is_in_use(store):
    insert(store, "proxy", count=2)
    (job,) = claim(store)
    (info,) = [info for info in store.limit_infos(NOW) if info.name == "proxy"]
    assert (info.keys, info.running, info.waiting) == (1, 1, 1)
    assert info.opens_at.timestamp() == pytest.approx(NOW / SECOND + 0.1)

    store.end(job, Completed(), now=NOW)
    (job,) = claim(store, NOW + SECOND)
    store.end(job, Completed(), now=NOW + SECOND)

    (info,) = [info for info in store.limit_infos(NOW + 9 * SECOND) if info.name == "proxy"]
    assert (info.keys, info.running, info.waiting, info.opens_at) == (0, 0, 0, None)

"""What becomes of a job that comes while its limit is full, and of one that another service turns
away."""

import pickle

import pytest
from msgspec.structs import replace
from support.stored_jobs import Store, a_new_job, limits_of

from antq_actors import RateLimited
from antq_actors.errors import LimitReached
from antq_actors.flow.limits import (
    DISCARD,
    REPLACE,
    ConcurrencyRule,
    LimitRule,
    RateRule,
)
from antq_actors.jobs.outcome import Completed, Failed, GivenBack
from antq_actors.jobs.state import Status

SECOND = 1_000_000
NOW = 1_700_000_000 * SECOND


def declare(store, name, concurrency=None, rate=None, *, keyed=True):
    rule = LimitRule(name, keyed=keyed, concurrency=concurrency, rate=rate)
    store.declare_limits([rule], replace=True, now=NOW)


@pytest.fixture
def store(env):
    store = Store(env).has_nodes(1, 2)
    declare(store, "discard", ConcurrencyRule(1, when_full=DISCARD))
    declare(store, "replace", ConcurrencyRule(1, when_full=REPLACE))
    declare(store, "bounded", ConcurrencyRule(2, max_waiting=1))
    declare(store, "newest", ConcurrencyRule(1, when_full=REPLACE, max_waiting=0))
    declare(store, "account", ConcurrencyRule(2))
    declare(store, "proxy", rate=RateRule(100, SECOND, 100), keyed=False)
    return store


def insert(store, *limits, **options):
    return store.insert(a_new_job(now=NOW, gates=limits, **options))


def claim(store, now=NOW, limit=50):
    return [job.id for job in store.claim(limit=limit, now=now)]


def status(store, id_):
    return store.get(id_).state.status


# ---- full ---------------------------------------------------------------------------------------


def test_a_job_is_discarded_while_its_limit_is_full(store):
    first = insert(store, ("discard", "a"))
    (job,) = store.claim(limit=9, now=NOW)

    with pytest.raises(LimitReached, match=r"'discard' at the key 'a' is full: 1 of 1") as raised:
        insert(store, ("discard", "a"))

    assert raised.value.job.id == first
    assert pickle.loads(pickle.dumps(raised.value)).job.id == first  # noqa: S301 - our own
    assert insert(store, ("discard", "b"))
    store.end(job, Completed(), now=NOW)
    assert insert(store, ("discard", "a"))


def test_of_many_jobs_those_are_left_out_for_which_a_limit_is_full(store):
    insert(store, ("discard", "a"))
    store.claim(limit=9, now=NOW)
    news = [
        a_new_job(now=NOW, gates=limits) for limits in ([("discard", "a")], [], [("discard", "b")])
    ]

    assert store.insert_many(news) == [None, 2, 3]


def test_no_more_wait_than_may(store):
    for _ in range(2):
        insert(store, ("bounded", "a"))
    assert claim(store) == [1, 2]
    insert(store, ("bounded", "a"))

    with pytest.raises(LimitReached, match=r"'bounded' at the key 'a' .* max_waiting is 1"):
        insert(store, ("bounded", "a"))


def test_a_job_that_waits_holds_a_place_while_none_runs(store):
    first = insert(store, ("bounded", "a"))
    for _ in range(2):
        insert(store, ("bounded", "a"))

    with pytest.raises(LimitReached, match="0 of 2 jobs run, 3 wait") as raised:
        insert(store, ("bounded", "a"))

    assert raised.value.job.id == first


def test_what_replaces_is_never_refused_however_many_may_wait(store):
    ids = [insert(store, ("newest", "a")) for _ in range(2)]
    assert claim(store) == ids[:1]

    newest = insert(store, ("newest", "a"))

    assert status(store, ids[1]) is Status.CANCELLED
    assert status(store, newest) is Status.ENQUEUED


def test_a_retry_by_hand_is_refused_where_a_new_job_would_be(store):
    first = insert(store, ("discard", "a"))
    (job,) = store.claim(limit=9, now=NOW)
    store.end(job, Completed(), now=NOW)
    insert(store, ("discard", "a"))
    assert claim(store) == [2]

    with pytest.raises(LimitReached):
        store.retry(first, now=NOW)

    assert status(store, first) is Status.COMPLETED


def test_what_is_given_back_or_comes_due_waits_although_its_limit_is_full(store):
    insert(store, ("discard", "a"))
    (job,) = store.claim(limit=9, now=NOW)
    scheduled = insert(store, ("discard", "a"), due=NOW + 5)
    assert claim(store, NOW + 5) == []
    assert status(store, scheduled) is Status.ENQUEUED

    store.end(job, GivenBack(), now=NOW + 6)

    assert claim(store, NOW + 6) == [job.id]


def test_a_newer_job_takes_the_place_of_those_that_wait(store):
    for _ in range(3):
        insert(store, ("replace", "a"))
    other = insert(store, ("replace", "b"))
    assert claim(store) == [1, other]

    newest = insert(store, ("replace", "a"))

    assert [status(store, id_) for id_ in (1, 2, 3, newest)] == [
        *(Status.RUNNING, Status.CANCELLED, Status.CANCELLED, Status.ENQUEUED)
    ]
    (error,) = store.get(2).errors
    assert f"replaced by job {newest}" in error.error
    assert "'replace'" in error.error


# ---- RateLimited --------------------------------------------------------------------------------


def turn_away(store, job, seconds=10, limit=None, now=NOW):
    store.end(job, GivenBack(seconds, RateLimited(seconds, limit)), now=now)


def test_a_key_that_was_turned_away_is_closed_until_then_and_its_job_is_the_first(store):
    for _ in range(3):
        insert(store, ("account", "a"))
    insert(store, ("account", "b"))
    job, *_ = store.claim(limit=1, now=NOW)

    turn_away(store, job)

    state = store.get(job.id).state
    assert (state.status, state.attempts, state.errors) == (Status.ENQUEUED, 0, 0)
    found = store.work("mail", [], node=1, limit=9, now=NOW)
    assert [each.id for each in found.jobs] == [4]
    assert found.next_due == NOW + 10 * SECOND
    assert claim(store, NOW + 10 * SECOND - 1) == []
    assert claim(store, NOW + 10 * SECOND) == [job.id, 2]


def test_what_was_turned_away_is_resumed_by_hand(store):
    insert(store, "proxy")
    (job,) = store.claim(limit=1, now=NOW)
    turn_away(store, job)
    assert claim(store) == []

    store.resume_limit("proxy", None, NOW)

    assert claim(store) == [job.id]


@pytest.mark.parametrize("seconds", [1, 30, None])
def test_a_pause_does_not_shorten_how_long_a_key_was_turned_away(store, seconds):
    (key,) = limits_of([("account", "a")])[1]
    insert(store, ("account", "a"))
    (job,) = store.claim(limit=1, now=NOW)
    turn_away(store, job)

    store.pause_limit("account", key, seconds and NOW + seconds * SECOND, NOW)

    ends_at = NOW + max(10, seconds or 60) * SECOND
    assert claim(store, ends_at - 1) == []
    if seconds is None:
        assert claim(store, ends_at) == []
        store.resume_limit("account", key, ends_at)
    assert claim(store, ends_at) == [job.id]


def test_a_job_that_says_it_once_more_does_not_shorten_it_either(store):
    insert(store, "proxy")
    insert(store, "proxy")
    first, second = store.claim(limit=2, now=NOW)
    turn_away(store, first, seconds=10)
    turn_away(store, second, seconds=1)

    assert claim(store, NOW + 10 * SECOND - 1) == []
    assert claim(store, NOW + 10 * SECOND) == [first.id, second.id]


def test_a_job_without_limits_that_was_turned_away_waits_alone(store):
    insert(store)
    insert(store)
    job, *_ = store.claim(limit=1, now=NOW)

    turn_away(store, job)

    assert status(store, job.id) is Status.SCHEDULED
    assert store.get(job.id).state.attempts == 0
    assert claim(store, NOW + 9 * SECOND) == [2]
    assert claim(store, NOW + 10 * SECOND) == [job.id]


def test_a_job_with_several_shared_limits_that_was_turned_away_waits_alone(store):
    insert(store, ("account", 1), "proxy")
    (job,) = store.claim(limit=1, now=NOW)

    turn_away(store, job)

    assert status(store, job.id) is Status.SCHEDULED


def test_of_several_limits_the_workers_own_is_closed_or_that_which_is_named(store):
    new = a_new_job(now=NOW, gates=[("account", 1), "proxy"])
    own, shared = new.spec.flow.gates
    flow = replace(new.spec.flow, gates=(replace(own, is_own=True), shared))
    store.insert(new._replace(spec=replace(new.spec, flow=flow)))
    insert(store, ("account", 1))
    insert(store, "proxy")
    (job,) = store.claim(limit=1, now=NOW)
    turn_away(store, job)
    assert claim(store) == [3]

    (job,) = store.claim(limit=1, now=NOW + 10 * SECOND)
    turn_away(store, job, limit="proxy", now=NOW + 10 * SECOND)

    insert(store, "proxy")
    assert claim(store, NOW + 11 * SECOND) == []
    assert claim(store, NOW + 20 * SECOND) == [job.id, 4, 2]


def test_the_rate_of_a_queue_may_be_what_is_named(store):
    rule = LimitRule("mail", keyed=False, rate=RateRule(100, SECOND, 100))
    store.declare_queue("mail", None, rule, now=NOW)
    insert(store)
    insert(store)
    (job,) = store.claim(limit=1, now=NOW)
    turn_away(store, job, limit="mail")

    found = store.work("mail", [], node=1, limit=9, now=NOW)
    assert (found.jobs, found.next_due) == ([], NOW + 10 * SECOND)
    assert claim(store, NOW + 10 * SECOND) == [1, 2]


def test_an_unknown_limit_is_a_failed_attempt_that_names_it(store):
    insert(store, ("account", 1))
    (job,) = store.claim(limit=1, now=NOW)

    turn_away(store, job, limit="prxy")

    found = store.get(job.id)
    assert found.state.status is Status.FAILED
    assert "'prxy'" in found.errors[0].error


def test_a_running_job_that_is_cancelled_is_so_although_it_was_turned_away(store):
    insert(store, ("account", 1))
    (job,) = store.claim(limit=1, now=NOW)
    store.cancel(job.id, now=NOW)

    turn_away(store, job)

    assert status(store, job.id) is Status.CANCELLED


@pytest.mark.parametrize("bad", ["soon", None, float("nan"), -1, True])
def test_a_bad_time_is_refused_where_it_is_made(bad):
    with pytest.raises((TypeError, ValueError), match="retry_after"):
        RateLimited(bad)


def test_the_name_of_a_limit_is_text():
    with pytest.raises(TypeError, match="limit"):
        RateLimited(1, 7)


def test_a_failure_of_a_job_with_limits_is_as_any_other(store):
    insert(store, ("account", 1), max_attempts=2)
    (job,) = store.claim(limit=1, now=NOW)
    store.end(job, Failed("no", None, 5.0), now=NOW)

    assert status(store, job.id) is Status.RETRYING
    assert claim(store, NOW + 5 * SECOND) == [job.id]

"""Jobs that wait for others are released and cut off in the transaction of what they wait for."""

import itertools
import re
from types import SimpleNamespace

import pytest
from support import raw_jobs
from support.stored_jobs import a_new_job

from antq_actors.errors import AlreadyExists, NotRetryable
from antq_actors.jobs.instant import SECOND
from antq_actors.jobs.outcome import (
    COMPLETED,
    Cancelled,
    Completed,
    Failed,
    FollowUp,
    Interrupted,
    Produced,
)
from antq_actors.jobs.state import ACTIVE, JobFlow
from antq_actors.storage.format.records import Filter, Settlement
from antq_actors.storage.jobs import dependents, job_store
from antq_actors.storage.jobs.graph import GraphNode
from antq_actors.storage.jobs.group_verbs import NewGroup
from antq_actors.storage.jobs.groups import PART, WORKFLOW, GroupTable
from antq_actors.storage.jobs.tasks import TaskTable
from antq_actors.workflows.counters import Event
from antq_actors.workflows.edges import Condition

SUCCESS, END, FAILURE = Condition.SUCCESS, Condition.END, Condition.FAILURE
FAILED = Failed("no")
CUT = "cut"


def a_workflow(store, *nodes, kind=WORKFLOW, parent=0, closed=True):
    """Store a workflow; a node is what it waits for: pairs of position or number, and condition."""
    group = job_store.write(
        store.env, lambda verbs: verbs.create_group(NewGroup(kind, "flow", 0), parent=parent)
    )
    ids = add(store, group, *nodes)
    if closed:
        close(store, group)
    return group, ids


def add(store, group, *nodes, now=1, **options):
    graph = [GraphNode(a_new_job(**options), tuple(after)) for after in nodes]
    return store.insert_graph(group, graph, now=now)


def at(*positions, on=SUCCESS):
    return [(~position, on) for position in positions]


def state(store, id_):
    return store.get(id_).state


def statuses(store, ids):
    """Return the status of each, or that it was cut off."""
    found = []
    for id_ in ids:
        each = state(store, id_)
        is_cut = each.composed is not None and each.composed.is_cut
        found.append(CUT if is_cut else str(each.status))
    return found


def error(store, id_):
    return store.get(id_).errors[0].error


def end(store, id_, outcome=COMPLETED, *, now=5):
    """Claim a job that is due, alone, and settle it."""
    others = []
    while True:
        (job,) = store.claim(now=now)
        if job.id == id_:
            break
        others.append(job)
    store.work("mail", [Settlement(id_, job.state.execution, outcome)], node=1, limit=0, now=now)
    for other in others:  # they wait again
        store.end(other, Interrupted("not this one", 1_000), now=now)


# ---- conditions -----------------------------------------------------------------------------


def test_a_job_runs_once_all_that_it_waits_for_have_completed(store):
    _, (first, second, last) = a_workflow(store, [], [], at(0, 1))
    assert statuses(store, [first, second, last]) == ["enqueued", "enqueued", "suspended"]
    assert state(store, last).scheduled_at is None

    end(store, first)
    assert statuses(store, [last]) == ["suspended"]
    end(store, second, now=7)

    assert statuses(store, [last]) == ["enqueued"]
    assert state(store, last).scheduled_at == 7


@pytest.mark.parametrize("outcome", [FAILED, Cancelled("no")])
def test_a_failure_cuts_off_all_that_wait_for_success(store, outcome):
    _, ids = a_workflow(store, [], at(0), at(1), [])

    end(store, ids[0], outcome)

    assert statuses(store, ids[1:]) == [CUT, CUT, "enqueued"]
    assert f"job {ids[0]} " in error(store, ids[1])
    assert re.search(rf"job {ids[1]} .*job {ids[0]};", error(store, ids[2]))


def test_one_failure_is_enough_and_the_others_are_not_waited_for(store):
    _, ids = a_workflow(store, [], [], at(0, 1))

    end(store, ids[0], FAILED)

    assert statuses(store, ids) == ["failed", "enqueued", CUT]
    end(store, ids[1])
    assert statuses(store, ids) == ["failed", "completed", CUT]


@pytest.mark.parametrize("outcome", [COMPLETED, FAILED, Cancelled("no")])
def test_an_end_of_any_kind_is_enough_where_it_is_asked_for(store, outcome):
    _, ids = a_workflow(store, [], at(0, on=END))

    end(store, ids[0], outcome)

    assert statuses(store, ids[1:]) == ["enqueued"]


def test_one_of_several_failures_releases_what_waits_for_a_failure(store):
    _, ids = a_workflow(store, [], [], at(0, 1, on=FAILURE))

    end(store, ids[0], FAILED)

    assert statuses(store, ids) == ["failed", "enqueued", "enqueued"]
    assert state(store, ids[2]).composed.pending == 0


def test_what_waits_for_a_failure_is_not_needed_if_all_complete(store):
    group, ids = a_workflow(store, [], [], at(0, 1, on=FAILURE), at(2))

    end(store, ids[0])
    assert statuses(store, ids[2:]) == ["suspended", "suspended"]
    end(store, ids[1])

    assert statuses(store, ids[2:]) == ["cancelled", CUT]
    assert "failure" in error(store, ids[2])
    ends = read_group(store, group).ends
    assert (ends.completed, ends.unneeded, ends.cancelled) == (2, 1, 1)


def test_each_edge_has_its_own_condition(store):
    _, ids = a_workflow(store, [], [], [(~0, FAILURE), (~1, SUCCESS)])

    end(store, ids[0], FAILED)
    assert statuses(store, ids[2:]) == ["suspended"]
    end(store, ids[1])

    assert statuses(store, ids[2:]) == ["enqueued"]


def test_only_the_last_attempt_counts(store):
    group, _ = a_workflow(store, closed=False)
    (first,) = add(store, group, [], max_attempts=2)
    (last,) = add(store, group, [(first, SUCCESS)])

    end(store, first, Failed("no", retry_in=0))
    assert statuses(store, [first, last]) == ["retrying", "suspended"]
    end(store, first)

    assert statuses(store, [last]) == ["enqueued"]


def test_interruptions_that_fail_a_job_count_as_its_failure(store):
    _, ids = a_workflow(store, [], at(0))

    end(store, ids[0], Interrupted("its node died", 1))

    assert statuses(store, ids) == ["failed", CUT]


def test_jobs_that_complete_together_release_what_waits_for_all(store):
    _, ids = a_workflow(store, *[[]] * 10, at(*range(10)))

    jobs = store.claim(limit=20)
    store.work("mail", [Settlement(job.id, 1, COMPLETED) for job in jobs], node=1, limit=0, now=5)

    assert statuses(store, ids[-1:]) == ["enqueued"]


def test_a_released_job_is_due_after_its_delay_and_not_before_its_instant(store):
    group, _ = a_workflow(store, closed=False)
    new = a_new_job()
    flows = [JobFlow(release_in=10), JobFlow(release_at=100), JobFlow(release_at=2)]
    nodes = [GraphNode(new)] + [
        GraphNode(new._replace(spec=_with(new.spec, flow=flow)), ((~0, SUCCESS),)) for flow in flows
    ]
    ids = store.insert_graph(group, nodes, now=1)

    end(store, ids[0], now=5)

    assert [state(store, id_).scheduled_at for id_ in ids[1:]] == [15, 100, 5]
    assert statuses(store, ids[1:]) == ["scheduled", "scheduled", "enqueued"]


def _with(struct, **changes):
    return type(struct)(
        **{name: getattr(struct, name) for name in struct.__struct_fields__} | changes
    )


def test_a_job_that_waits_stands_at_no_limit(store):
    group, _ = a_workflow(store, closed=False)
    ids = add(store, group, [], at(0), gates=["one"])
    other = store.insert(a_new_job(gates=["one"]))
    end(store, ids[0])

    assert [job.id for job in store.claim(limit=5, now=6)] == [other, ids[1]]


# ---- what is there already -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "expected"), [(COMPLETED, ["enqueued", "enqueued"]), (FAILED, [CUT, "enqueued"])]
)
def test_one_that_comes_after_the_end_of_what_it_waits_for_does_not_wait(store, outcome, expected):
    group, (first,) = a_workflow(store, [], closed=False)
    end(store, first, outcome)

    ids = add(store, group, [(first, SUCCESS)], [(first, END)])

    assert statuses(store, ids) == expected


def test_a_duplicate_refuses_a_graph_as_a_whole(store):
    group, _ = a_workflow(store, closed=False)
    unique = {"unique": ("n",), "statuses": ACTIVE}
    store.insert(a_new_job({"n": 1}, **unique))

    for numbers in ([2, 1], [3, 3]):
        graph = [GraphNode(a_new_job({"n": number}, **unique)) for number in numbers]
        with pytest.raises(AlreadyExists) as caught:
            store.insert_graph(group, graph, now=1)
        assert caught.value.job.args == {"n": numbers[1]}

    assert len(store.page(Filter())) == 1
    assert read_group(store, group).total == 0


# ---- cancelled, deleted, damaged -------------------------------------------------------------


def test_a_deleted_job_is_a_cancelled_one_for_those_that_wait(store):
    _, ids = a_workflow(store, [], at(0), at(0, on=FAILURE))

    store.delete(ids[0], now=5)

    assert statuses(store, ids[1:]) == [CUT, "enqueued"]
    assert f"job {ids[0]} was deleted" in error(store, ids[1])


def test_a_job_that_was_cut_off_can_be_retried_once_what_it_waited_for_is_gone(store):
    _, ids = a_workflow(store, [], at(0))
    store.delete(ids[0], now=5)

    store.retry(ids[1], now=6)

    assert statuses(store, ids[1:]) == ["enqueued"]


def test_one_that_waits_may_be_deleted_itself(store):
    _, ids = a_workflow(store, [], at(0), at(1))

    store.delete(ids[1], now=5)

    assert statuses(store, [ids[0], ids[2]]) == ["enqueued", CUT]


def test_one_that_was_cancelled_by_hand_does_not_come_back(store):
    _, ids = a_workflow(store, [], at(0))
    store.cancel(ids[1], now=2)

    end(store, ids[0], FAILED)
    store.retry(ids[0], now=6)
    end(store, ids[0])

    assert statuses(store, ids) == ["completed", "cancelled"]


def test_one_that_was_cancelled_by_hand_waits_again_when_it_is_retried(store):
    _, ids = a_workflow(store, [], at(0))
    store.cancel(ids[1], now=2)

    store.retry(ids[1], now=3)
    assert statuses(store, ids) == ["enqueued", "suspended"]
    end(store, ids[0])

    assert statuses(store, ids) == ["completed", "enqueued"]


def claim_and_complete(store):
    """Do it in one transaction, as no other verb is to meet the damage."""

    def verb(verbs):
        jobs = verbs.work("mail", [], node=1, limit=5, now=5).jobs
        done = [Settlement(job.id, job.state.execution, COMPLETED) for job in jobs]
        verbs.work("mail", done, node=1, limit=0, now=5)

    job_store.write(store.env, verb)


def damage(store, id_):
    store.env.write(lambda txn: raw_jobs.put_garbage_for_state(txn, store.env.tables, id_))


def test_a_damaged_job_has_failed_for_those_that_wait(store):
    _, ids = a_workflow(store, [], at(0), at(1), [])
    damage(store, ids[0])

    claim_and_complete(store)

    assert statuses(store, ids[1:]) == [CUT, CUT, "completed"]


def test_a_damaged_job_that_waits_has_failed(store):
    _, ids = a_workflow(store, [], at(0), at(1))
    damage(store, ids[1])

    claim_and_complete(store)

    assert statuses(store, [ids[0], ids[2]]) == ["completed", CUT]
    assert f"job {ids[1]} failed" in error(store, ids[2])


# ---- retry -----------------------------------------------------------------------------------


def test_a_retry_takes_back_what_the_failure_cut_off(store):
    _, ids = a_workflow(store, [], at(0), at(1), at(0, on=END))
    end(store, ids[0], FAILED)
    assert statuses(store, ids) == ["failed", CUT, CUT, "enqueued"]

    store.retry(ids[0], now=6)
    assert statuses(store, ids) == ["enqueued", "suspended", "suspended", "enqueued"]
    end(store, ids[0], now=7)
    end(store, ids[1], now=7)

    assert statuses(store, ids) == ["completed", "completed", "enqueued", "enqueued"]


def test_what_two_failures_cut_off_comes_back_after_the_second_retry(store):
    _, ids = a_workflow(store, [], [], at(0, 1), at(2))
    end(store, ids[0], FAILED)
    end(store, ids[1], FAILED)

    store.retry(ids[0], now=6)
    assert statuses(store, ids[2:]) == [CUT, CUT]
    end(store, ids[0], now=7)
    assert statuses(store, ids[2:]) == [CUT, CUT]
    store.retry(ids[1], now=8)

    assert statuses(store, ids[2:]) == ["suspended", "suspended"]


def test_a_retry_of_what_was_cut_off_names_what_to_retry(store):
    _, ids = a_workflow(store, [], at(0), at(1))
    end(store, ids[0], FAILED)

    for id_ in ids[1:]:
        with pytest.raises(NotRetryable, match=rf"retry job {ids[0]}\b"):
            store.retry(id_, now=6)


def test_a_completed_job_that_runs_again_cuts_off_nothing_that_was_released(store):
    _, ids = a_workflow(store, [], at(0))
    end(store, ids[0])
    store.retry(ids[0], now=6)

    end(store, ids[0], FAILED, now=7)

    assert statuses(store, ids) == ["failed", "enqueued"]


def test_one_that_another_keeps_out_stays_cut_off(store):
    group, _ = a_workflow(store, closed=False)
    (first,) = add(store, group, [])
    unique = {"unique": ("n",), "statuses": ACTIVE}
    new = GraphNode(a_new_job({"n": 1}, **unique), ((first, SUCCESS),))
    (second,) = store.insert_graph(group, [new], now=1)
    end(store, first, FAILED)
    store.insert(a_new_job({"n": 1}, **unique))

    store.retry(first, now=6)

    assert statuses(store, [second]) == ["cancelled"]


# ---- groups and expansions -------------------------------------------------------------------


def read_group(store, id_):
    return store.env.read(lambda txn: GroupTable(txn, store.env.tables).get(id_))


def a_part(store, parent, number, *, closed=True):
    part, ids = a_workflow(store, *[[]] * number, kind=PART, parent=0, closed=closed)
    return part, ids


def close(store, group):
    def verb(verbs):
        verbs.composition.groups.get(group).is_closed = True
        verbs.composition.touch(group, 5)

    job_store.write(store.env, verb)


def test_a_join_waits_for_all_members_of_a_group(store):
    group, _ = a_workflow(store, closed=False)
    part, ids = a_part(store, group, 3, closed=False)
    (join,) = add(store, group, [(part, SUCCESS)])

    for id_ in ids:
        end(store, id_)
    assert statuses(store, [join]) == ["suspended"]
    close(store, part)

    assert statuses(store, [join]) == ["enqueued"]


def test_the_first_failure_in_a_group_decides_for_those_that_need_its_success(store):
    group, _ = a_workflow(store, closed=False)
    part, ids = a_part(store, group, 3)
    after = add(store, group, [(part, SUCCESS)], [(part, FAILURE)], [(part, END)])

    end(store, ids[1], FAILED)
    assert statuses(store, after) == [CUT, "enqueued", "suspended"]
    assert f"job {ids[1]};" in error(store, after[0])
    end(store, ids[0])
    end(store, ids[2])
    assert statuses(store, after) == [CUT, "enqueued", "enqueued"]

    store.retry(ids[1], now=6)
    assert statuses(store, after) == ["suspended", "enqueued", "enqueued"]
    end(store, ids[1])
    assert statuses(store, after) == ["enqueued", "enqueued", "enqueued"]


def test_an_empty_group_has_ended_at_once(store):
    group, _ = a_workflow(store, closed=False)
    part, _ = a_part(store, group, 0)

    assert statuses(store, add(store, group, [(part, SUCCESS)], [(part, FAILURE)])) == [
        "enqueued",
        "cancelled",
    ]


@pytest.mark.parametrize(
    ("outcome", "expected"), [(COMPLETED, ["enqueued", "cancelled"]), (FAILED, [CUT, "enqueued"])]
)
def test_a_job_has_ended_for_others_with_what_it_expanded_into(store, outcome, expected):
    group, ids = a_workflow(store, [], at(0), at(0, on=FAILURE))
    part, ids_of_part = a_part(store, group, 1)
    _expand_with_completion(store, ids[0], part)
    inner, innermost = a_part(store, part, 1)

    assert statuses(store, ids) == ["completed", "suspended", "suspended"]
    end(store, ids_of_part[0], outcome)

    assert statuses(store, ids[1:]) == expected
    assert (inner, len(innermost)) == (inner, 1)


def _expand_with_completion(store, id_, part):
    (job,) = store.claim()

    def verb(verbs):
        verbs.settle(Settlement(id_, job.state.execution, COMPLETED), now=5)
        verbs.expand(id_, part, now=5)

    assert job.id == id_

    job_store.write(store.env, verb)


def test_nothing_is_left_of_an_expansion_whose_job_is_deleted_or_pruned(store):
    _, ids = a_workflow(store, [], [])
    for id_ in ids:
        part, members = a_part(store, 0, 1)
        _expand_with_completion(store, id_, part)
        end(store, members[0])
    assert rows(store) == 4

    store.delete(ids[0], now=6)
    while store.prune(finished_before=100 * SECOND, limit=5):
        pass

    assert rows(store) == 0


def test_a_job_that_expands_anew_has_ended_with_what_it_expanded_into_last(store):
    _, (first, last) = a_workflow(store, [], at(0))
    before, _ = a_part(store, 0, 1, closed=False)
    _expand_with_completion(store, first, before)
    store.retry(first, now=6)
    for job in store.claim(limit=5):  # also the member of the earlier part, which goes on
        if job.id != first:
            store.end(job, Interrupted("not this one", 1_000))
    part, _ = a_part(store, 0, 0, closed=False)
    execution = state(store, first).execution

    def verb(verbs):
        verbs.settle(Settlement(first, execution, COMPLETED), now=7)
        verbs.expand(first, part, now=7)

    job_store.write(store.env, verb)
    assert statuses(store, [last]) == ["suspended"]
    close(store, part)

    assert statuses(store, [last]) == ["enqueued"]


# ---- follow-ups ------------------------------------------------------------------------------


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize(("outcome", "expected"), [(COMPLETED, "enqueued"), (FAILED, CUT)])
def test_a_follow_up_waits_for_another_job(store, outcome, expected, *, is_late):
    first, other = store.insert(a_new_job()), store.insert(a_new_job())
    if not is_late:
        end(store, other, outcome)

    follow_up = FollowUp(a_new_job(worker="late"), after=other)
    end(store, first, Completed(Produced((follow_up,))))
    last = max(store.ids(Filter()))
    if is_late:
        assert statuses(store, [last]) == ["suspended"]
        end(store, other, outcome)

    assert statuses(store, [last]) == [expected]
    assert expected != CUT or f"job {other} " in error(store, last)


def test_a_follow_up_of_a_job_that_is_gone_is_cut_off(store):
    first = store.insert(a_new_job())

    end(store, first, Completed(Produced((FollowUp(a_new_job(worker="late"), after=99),))))

    last = max(store.ids(Filter()))
    assert statuses(store, [last]) == [CUT]
    assert "job 99 was deleted" in error(store, last)


def test_pruning_leaves_no_rows(store):
    first, other = store.insert(a_new_job()), store.insert(a_new_job())
    end(store, first, Completed(Produced((FollowUp(a_new_job(worker="late"), after=other),))))
    end(store, other, FAILED)

    store.prune(finished_before=100 * SECOND, limit=2)
    store.prune(finished_before=100 * SECOND, limit=2)

    assert store.page(Filter()) == []
    assert rows(store) == 0


def rows(store):
    def count(txn):
        tables = [store.env.tables.further(txn, name) for name in ("edges", "waits", "tasks")]
        return sum(txn.stat(table)["entries"] for table in tables)

    return store.env.read(count)


# ---- cascades --------------------------------------------------------------------------------


def tasks(store):
    return store.env.read(lambda txn: list(TaskTable(txn, store.env.tables).all()))


@pytest.fixture
def small_budget(monkeypatch):
    monkeypatch.setattr(dependents, "MOST_CHANGED", 3)


@pytest.mark.usefixtures("small_budget")
def test_a_large_cascade_goes_on_in_further_transactions(store):
    _, ids = a_workflow(store, [], *[at(0)] * 10, *[at(1)] * 3)

    end(store, ids[0], FAILED)
    assert statuses(store, ids).count(CUT) == 3
    assert tasks(store)

    while store.do_task(now=6):
        assert store.claim(limit=20, now=7) == []
    assert statuses(store, ids[1:]) == [CUT] * 13
    assert tasks(store) == []


def test_a_cascade_that_takes_long_goes_on_in_further_transactions(store, monkeypatch):
    _, ids = a_workflow(store, *[[]] * 10, at(*range(10)))
    jobs = store.claim(limit=20)
    moments = itertools.count(step=0.015)
    monkeypatch.setattr(dependents, "MOST_SECONDS", 0.02)
    monkeypatch.setattr(dependents, "time", SimpleNamespace(perf_counter=lambda: next(moments)))

    store.work("mail", [Settlement(job.id, 1, COMPLETED) for job in jobs], node=1, limit=0, now=5)
    assert statuses(store, ids[-1:]) == ["suspended"]
    assert tasks(store)

    while store.do_task(now=6):
        pass
    assert statuses(store, ids[-1:]) == ["enqueued"]
    assert tasks(store) == []


@pytest.mark.usefixtures("small_budget")
def test_a_retry_in_the_midst_of_a_cascade_takes_back_what_it_has_done(store):
    _, ids = a_workflow(store, [], *[at(0)] * 10, at(1))
    end(store, ids[0], FAILED)
    store.do_task(now=6)
    store.retry(ids[0], now=7)
    while store.do_task(now=8):
        pass
    assert statuses(store, ids[1:]) == ["suspended"] * 11

    end(store, ids[0], now=9)
    while store.do_task(now=10):
        pass
    assert statuses(store, ids[1:]) == ["enqueued"] * 10 + ["suspended"]


@pytest.mark.usefixtures("small_budget")
def test_pruning_in_the_midst_of_a_cascade_forgets_no_one(store):
    first = store.insert(a_new_job())
    group, _ = a_workflow(store, closed=False)
    ids = add(store, group, *[[(first, SUCCESS)]] * 10)
    end(store, first, now=5)

    store.prune(finished_before=6, limit=10)
    while store.do_task(now=8):
        pass

    assert statuses(store, ids) == ["enqueued"] * 10


def test_what_an_outcome_releases_is_claimed_in_the_same_transaction(store):
    _, ids = a_workflow(store, [], at(0))
    (job,) = store.claim()

    done = [Settlement(job.id, job.state.execution, COMPLETED)]
    claimed = store.work("mail", done, node=1, limit=1, now=5).jobs

    assert [each.id for each in claimed] == [ids[1]]


def test_the_callbacks_of_a_group_are_claimed_in_the_transaction_of_its_end(store):
    callback = (Event.SUCCESS, a_new_job(worker="report"))
    group = store.create_group(NewGroup(WORKFLOW, "flow", 0, (callback,)))
    add(store, group, [])
    close(store, group)
    (job,) = store.claim()

    done = [Settlement(job.id, job.state.execution, COMPLETED)]
    (claimed,) = store.work("mail", done, node=1, limit=1, now=5).jobs

    assert claimed.spec.worker == "report"

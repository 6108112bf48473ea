"""The checker of batches, workflows and steps finds each kind of violation, made by hand."""

import pytest
from composed_checker import Fact, Whole, check
from journal import Row


def member(number, status="completed", **more):
    return Fact(10 + number, "Part", status, "plain/b", number=number, **more)


def follow_up(of, id_=0):
    return Fact(id_ or 100 + of, "Follows", "completed", "plain/b", of=of)


def told(event, id_, name="plain/b"):
    return Fact(id_, "Told", "completed", name, event=event)


COMPLETE, SUCCESS, FAILURE = (
    told("on_complete", 201),
    told("on_success", 202),
    told("on_failure", 203),
)
ADDED = Fact(20, "Added", "completed", "plain/b", of=11)
BATCH = Whole(1, "batch", "plain/b", total=3, completed=3)
FAILED_BATCH = Whole(1, "batch", "plain/b", total=1, failed=1)
GOOD_BATCH = [
    member(0),
    member(1, adds=1),
    ADDED,
    *map(follow_up, (10, 11, 20)),
    COMPLETE,
    SUCCESS,
]
BAD_BATCH = [member(0, "failed", fate="fails"), COMPLETE, FAILURE]


def without(facts, *gone):
    return [fact for fact in facts if fact not in gone]


def node(number, status="completed", after=None, **more):
    more = {"size": 3, "after": after or {}, "name": "plain/w", **more}
    return Fact(10 + number, "Part", status, number=number, **more)


RUN = Whole(2, "workflow", "plain/w")
FAILED = node(0, "failed", fate="fails")
CUT = node(1, "cancelled", {0: "success"})
AFTER_END = node(2, after={0: "end"})
OF_RUN = told("on_failure", 204, "plain/w")
GRAPH = [FAILED, CUT, AFTER_END, follow_up(12), OF_RUN]
OUTSIDE = Fact(40, "Outside", "cancelled", "plain/w", number=1000, after={0: "success"})
STREAMED = node(0, "cancelled", kind="streamed", name="streamed/w")
EXPANDS = node(0, size=1, expands=2, inner="fails")
INTO = [Fact(n, "Expanded", "failed", "plain/w", fate="fails", of=10) for n in (30, 31)]


def row(what, detail, job=5):
    return Row(what, "north", 1, 1.0, job=job, detail=detail)


STEPS = [
    row("resumes", "0"),
    row("step", "0 a"),
    row("took", "0 a"),
    row("passed", "1"),
    row("step", "1 b"),
    row("resumes", "1"),
    row("took", "0 a"),
    row("step", "1 c"),
    row("took", "1 c"),
]


@pytest.mark.parametrize(
    ("rows", "facts", "wholes"),
    [
        pytest.param([], GOOD_BATCH, [BATCH], id="a batch that completes"),
        pytest.param([], BAD_BATCH, [FAILED_BATCH], id="a batch that fails"),
        pytest.param(
            [], [COMPLETE, SUCCESS], [Whole(1, "batch", "plain/b")], id="a batch without members"
        ),
        pytest.param(
            [row("deleting", "plain/b 12")],
            [member(0), follow_up(10), COMPLETE, FAILURE],
            [BATCH._replace(total=2, completed=1, cancelled=1)],
            id="a member that was deleted",
        ),
        pytest.param(
            [],
            [member(0, fate="mends"), follow_up(10), COMPLETE, SUCCESS, FAILURE],
            [BATCH._replace(total=1, completed=1)],
            id="a batch that failed before it completed",
        ),
        pytest.param(
            [row("deleting", "plain/b 12")],
            [fact._replace(kind="disturbed") for fact in (COMPLETE, SUCCESS, FAILURE)],
            [BATCH._replace(total=1, completed=1)],
            id="a member that was cancelled, retried and deleted",
        ),
        pytest.param([], GRAPH, [RUN], id="a workflow"),
        pytest.param([], [EXPANDS, *INTO, follow_up(10), OF_RUN], [RUN], id="an expansion"),
        pytest.param(
            [],
            [
                node(0, size=2, expands=2, inner="fails"),
                node(1, "cancelled", {0: "success"}, size=2),
                *INTO,
                follow_up(10),
                OF_RUN,
            ],
            [RUN],
            id="one that waits for an expansion",
        ),
        pytest.param(STEPS, [], [], id="steps"),
        pytest.param(
            [*STEPS, row("refreshing", None), row("resumes", "0"), row("step", "0 d")],
            [],
            [],
            id="a fresh retry",
        ),
        pytest.param(
            [row("added", "plain/w 1000")], [*GRAPH, OUTSIDE], [RUN], id="one from outside"
        ),
        pytest.param([], [STREAMED], [RUN._replace(name="streamed/w")], id="one half stored"),
        pytest.param([row("follows", "10", 110)], [member(0)], [], id="a pruned follow-up"),
        pytest.param([row("made", "w"), row("begin", "w")], [], [], id="a pruned workflow"),
    ],
)
def test_what_has_to_be_is_nothing_to_speak_of(rows, facts, wholes):
    assert list(check(rows, facts, wholes)) == []


@pytest.mark.parametrize(
    ("facts", "wholes", "finding"),
    [
        ([member(0, "suspended")], [], "job 10: it is suspended for ever"),
        (GOOD_BATCH, [BATCH._replace(is_open=True)], "batch 1: it has not ended"),
        (GRAPH, [RUN._replace(is_open=True)], "workflow 2: it has not ended"),
        (
            without(GOOD_BATCH, member(0)),
            [BATCH],
            "batch 1: it counts 3 members, and has 2 and 0 batches; 0 may have been deleted",
        ),
        (GOOD_BATCH, [BATCH._replace(completed=2)], "batch 1: it counts 2 completed, and 3"),
        (GOOD_BATCH, [BATCH._replace(failed=1)], "batch 1: it counts 1 failed, and 0 members are"),
        (GOOD_BATCH, [BATCH._replace(failed=1)], "batch 1: it has ended, but not all of its 3"),
        (without(GOOD_BATCH, COMPLETE), [BATCH], "batch 1: on_complete is stored 0 times"),
        (without(GOOD_BATCH, SUCCESS), [BATCH], "batch 1: on_success is stored 0 times"),
        ([*GOOD_BATCH, told("on_success", 209)], [BATCH], "batch 1: on_success is stored 2 times"),
        ([*GOOD_BATCH, FAILURE], [BATCH], "batch 1: on_failure is stored 1 times"),
        (without(BAD_BATCH, FAILURE), [FAILED_BATCH], "batch 1: on_failure is stored 0 times"),
        ([*BAD_BATCH, SUCCESS], [FAILED_BATCH], "batch 1: on_success is stored 1 times"),
        (without(GOOD_BATCH, ADDED), [BATCH], "job 11: it is completed, and asked for 1 of Added"),
        (
            [*GOOD_BATCH, follow_up(10, 130)],
            [BATCH],
            "job 10: it is completed, and asked for 1 of Follows, which are [110, 130]",
        ),
        ([*BAD_BATCH, follow_up(10)], [FAILED_BATCH], "job 10: it is failed, and asked for 0 of"),
        (
            [follow_up(99), follow_up(99, 98)],
            [],
            "job 99: it has 2 follow-ups: [98, 199]",
        ),
        (
            without(GRAPH, CUT),
            [RUN],
            "workflow 2: of its 3 nodes only these are stored: [0, 2]",
        ),
        (
            [FAILED, node(1, after={0: "success"}), AFTER_END, *map(follow_up, (11, 12)), OF_RUN],
            [RUN],
            "job 11 of workflow 2: it is completed, not cancelled",
        ),
        (
            [node(0, "failed"), CUT, AFTER_END, follow_up(12), OF_RUN],
            [RUN],
            "job 10 of workflow 2: it is failed, not completed",
        ),
        (
            [node(0, "failed", size=1, fate="mends", kind="mends"), OF_RUN],
            [RUN],
            "job 10 of workflow 2: it is failed, not completed",
        ),
        (
            [node(0, size=2), node(1, after={0: "failure"}, size=2), *map(follow_up, (10, 11))],
            [RUN],
            "job 11 of workflow 2: it is completed, not cancelled",
        ),
        (
            [*GRAPH, OUTSIDE._replace(status="completed"), follow_up(40)],
            [RUN],
            "job 40 of workflow 2: it is completed, not cancelled",
        ),
        (
            [Fact(50, "Awaits", "failed", "plain/s")],
            [],
            "job 50: it is failed, though each of its steps comes to its end",
        ),
        (without(GRAPH, OF_RUN), [RUN], "workflow 2: on_failure is stored 0 times"),
        (
            [*GRAPH, told("on_failure", 209, "plain/w")],
            [RUN],
            "workflow 2: on_failure is stored 2 times",
        ),
        (
            [EXPANDS, INTO[0], follow_up(10), OF_RUN],
            [RUN],
            "job 10: it is completed, and asked for 2 of Expanded, which are [30]",
        ),
    ],
)
def test_what_must_not_be_among_jobs_is_found(facts, wholes, finding):
    findings = list(check([], facts, wholes))

    assert any(each.startswith(finding) for each in findings), findings


@pytest.mark.parametrize(
    ("rows", "finding"),
    [
        ([*STEPS, row("step", "0 d")], "job 5: its step 0 runs again in north"),
        ([*STEPS, row("took", "0 d")], "job 5: its step 0 is d, and was a"),
        (
            [*STEPS, row("resumes", "0")],
            "job 5: it resumes at 0 in north, though it has passed 1",
        ),
        ([row("wrong", "the output of 1 is 2")], "job 5: the output of 1 is 2"),
        (
            [*STEPS, row("refreshing", None), row("took", "0 a")],
            "job 5: its step 0 is still a, after a fresh retry",
        ),
        (
            [*STEPS, row("refreshing", None), row("resumes", "2")],
            "job 5: it resumes at 2 in north, after a fresh retry",
        ),
        ([row("made", "w", 0)], "w: lost, it was acknowledged and is not stored"),
    ],
)
def test_what_must_not_be_in_the_journal_is_found(rows, finding):
    assert list(check(rows, [], [])) == [finding]


def test_a_streamed_workflow_is_whole_if_it_was_acknowledged():
    rows = [row("made", "streamed/w", 0)]

    findings = list(check(rows, [STREAMED], [RUN._replace(name="streamed/w")]))

    assert findings[-1] == "workflow 2: of its 3 nodes only these are stored: [0]"


def test_a_node_that_was_added_from_outside_is_not_lost():
    rows = [row("added", "plain/w 1000")]

    assert list(check(rows, GRAPH, [RUN])) == ["plain/w: node 1000 is lost, which was added to it"]
    assert list(check(rows, GRAPH, [])) == []  # pruned
    gone = [row("added", "disturbed/w 1000")]
    assert list(check(gone, [], [RUN._replace(name="disturbed/w")])) == []  # perhaps deleted

"""Workflows as they are started, run, looked at and changed."""

import pickle
import re
import threading
from collections import deque

import pytest
from msgspec.structs import replace
from support.apps import settled, until

from antq_actors import (
    ACTIVE,
    AlreadyExists,
    AntQ,
    Concurrency,
    CycleError,
    Fail,
    Job,
    JobFailed,
    LimitReached,
    Status,
    Unique,
    UnknownNode,
    UnknownQueue,
    Worker,
    Workflow,
    WorkflowError,
    WorkflowNotFound,
    chain,
    group,
    worker,
)
from antq_actors.jobs import instant
from antq_actors.jobs.state import JobFlow
from antq_actors.jobs.upstream import nodes_before
from antq_actors.queues.services.housekeeping import cancel_abandoned
from antq_actors.storage.jobs.group_verbs import NewGroup
from antq_actors.storage.jobs.groups import WORKFLOW
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.plan_items import NewMembers, NewPart, PartEnd

LONG = 60


@worker
def number(n: int) -> int:
    return n


@worker
def add_up(numbers: list[int]) -> int:
    return sum(numbers)


@worker
def fail() -> Fail:
    return Fail("no")


@worker
def note(text: str = "") -> str:
    return text


@worker
def total_upstream(job: Job) -> int:
    return sum(job.upstream.values())


@worker
def names_upstream(job: Job) -> list[str]:
    return list(job.upstream)


@worker
def expand_group(job: Job) -> int:
    flow = Workflow("inner")
    flow.add_many(note, ({} for _ in range(600)))
    job.expand(flow)
    return 3


@worker(unique=Unique(args=["n"]))
def once(n: int) -> None: ...


class Gated(Worker):
    """Performs nothing until it is let."""

    gate = threading.Event()

    def perform(self, job):
        assert self.gate.wait(LONG)
        return job.args.get("n")


def ended(run):
    """Wait until a workflow has ended."""
    until(lambda: not run.status().open, f"the end of {run}")
    return run


def statuses(run):
    return {job.args.get("text", job.worker.rpartition(":")[2]): job.status for job in run.jobs()}


def test_outputs_are_replaced_by_results_when_a_node_begins(app):
    flow = Workflow("sum")
    one, two = flow.add(number, {"n": 1}), flow.add(number, {"n": 2})
    three = flow.add(add_up, {"numbers": [one.output, two.output]})
    run = app.start_workflow(flow, output=three)

    assert run.result(timeout=LONG) == 3
    assert not ended(run).status().open
    assert run.status().nodes[Status.COMPLETED] == 3
    assert sum(run.status().nodes.values()) == 3


def test_a_group_is_waited_for_as_one_and_its_outputs_are_read_in_order(app):
    flow = Workflow("many")
    many = flow.add_many(number, ({"n": n} for n in range(700)))
    total = flow.add(add_up, {"numbers": many.outputs}, after=many)
    run = app.start_workflow(flow, output=total)

    assert run.result(timeout=LONG) == sum(range(700))


@pytest.mark.parametrize("make", [list, iter])
def test_members_of_a_group_keep_their_order_and_names_if_some_wait_for_others(app, make):
    flow = Workflow("mixed")
    six = flow.add(number, {"n": 6})
    arguments = [5, [six.output], 7, 8, six.output, 9]
    many = flow.add_many(number, make([{"n": n} for n in arguments]), name="many")
    last = flow.add(add_up, {"numbers": []}, after=many)
    run = app.start_workflow(flow, output=last)

    assert run.result(timeout=LONG) == 0
    _, *members, joined = run.jobs()
    assert [job.args["n"] for job in members if isinstance(job.args["n"], int)] == [5, 7, 8, 9]
    assert list(joined.upstream.items()) == [
        (f"many[{place}]", value) for place, value in enumerate([5, [6], 7, 8, 6, 9])
    ]
    assert {job.workflow for job in members} == {run}
    assert app.verify() == []


def test_upstream_has_the_results_of_the_nodes_directly_before_by_name(app):
    flow = Workflow("names")
    far = flow.add(number, {"n": 100}, name="far")
    near = flow.add(number, {"n": 1}, name="near", after=far)
    flow.add(total_upstream, after=[near], name="last")
    run = app.start_workflow(flow, output="last")

    assert run.result(timeout=LONG) == 1
    last = run.jobs()[-1]
    assert dict(last.upstream) == {"near": 1}
    assert last.workflow == run
    assert last.batch is None
    assert dict(app.enqueue(note).upstream) == {}
    assert app.enqueue(note).workflow is None


def test_a_chain_hands_on_results_and_its_own_is_that_of_the_last(app):
    run = app.start_workflow(chain(number.build(n=3), total_upstream.build()))

    assert run.result(timeout=LONG) == 3


def test_a_group_has_the_result_of_then_or_the_list_of_its_members(app):
    jobs = [number.build(n=n) for n in (3, 1, 2)]

    alone = app.start_workflow(group(*jobs))
    joined = app.start_workflow(
        group((number.build(n=n) for n in range(4)), then=total_upstream.build())
    )

    assert alone.result(timeout=LONG) == [3, 1, 2]
    assert joined.result(timeout=LONG) == 6
    assert app.start_workflow(group()).result(timeout=LONG) == []


def test_jobs_of_a_built_group_that_are_alike_are_planned_together(app):
    of_note = [note.build(text=str(n)) for n in range(300)]
    jobs = [*of_note, number.build(n=1), *of_note[:2], note.build(text="x"), once.build(n=1)]
    jobs.append(note.options(priority=3).build(text="first"))
    flow = group(jobs, then=names_upstream.build())

    part, *members, end, _ = app._runtime().workflows.plan(flow).plan

    assert (part, end) == (NewPart("group"), PartEnd(-1))
    assert [len(each.news) if isinstance(each, NewMembers) else 1 for each in members] == [
        *(250, 50, 1, 3, 1, 1)
    ]
    run = app.start_workflow(flow)
    names = run.result(timeout=LONG)
    assert names[:2] == ["note", "note-2"]
    assert names[299:] == [
        *("note-300", "number", "note-301", "note-302", "note-303", "once", "note-304")
    ]
    *members, joined = run.jobs()
    assert [job.args for job in members] == [job.args for job in jobs]
    assert list(joined.upstream.values())[298:] == ["298", "299", 1, "0", "1", "x", None, "first"]
    assert members[-1].priority == 3


def test_an_empty_workflow_has_ended_at_once(app):
    run = app.start_workflow(chain())

    assert not run.status().open
    assert run.jobs() == []
    with pytest.raises(WorkflowError, match="output"):
        run.result(timeout=LONG)


def test_what_waits_for_a_failed_node_is_cancelled_naming_it(app):
    flow = Workflow("fails")
    bad = flow.add(fail)
    flow.add(note, {"text": "success"}, after=bad)
    flow.add(note, {"text": "end"}, after=bad, on="end")
    flow.add(note, {"text": "failure"}, after=bad, on="failure")
    good = flow.add(number, {"n": 1})
    flow.add(note, {"text": "unneeded"}, after=good, on="failure")
    run = ended(app.start_workflow(flow, output=bad))

    assert statuses(run) == {
        "fail": Status.FAILED,
        "success": Status.CANCELLED,
        "end": Status.COMPLETED,
        "failure": Status.COMPLETED,
        "number": Status.COMPLETED,
        "unneeded": Status.CANCELLED,
    }
    first, cut = run.jobs()[:2]
    assert str(first.id) in cut.errors[0].error
    with pytest.raises(JobFailed):
        run.result(timeout=LONG)


def test_the_on_failure_job_is_stored_once_and_knows_its_workflow(app):
    flow = Workflow("fails", on_failure=note.build(text="failure"))
    flow.add(fail)
    flow.add(fail)
    run = ended(app.start_workflow(flow))

    [told] = app.list_jobs(worker=note)
    assert told.workflow == run
    assert told.id not in [job.id for job in run.jobs()]


@pytest.mark.parametrize("on", ["success", "end"])
def test_a_node_that_is_not_needed_is_no_failure_but_cancelled_for_those_behind_it(app, on):
    flow = Workflow("fine", on_failure=note.build(text="failure"))
    good = flow.add(number, {"n": 1})
    alarm = flow.add(fail, after=good, on="failure")
    flow.add(number, {"n": 2}, after=alarm, on=on)
    run = ended(app.start_workflow(flow))

    _, second, third = run.jobs()
    assert second.status == Status.CANCELLED
    if on == "end":
        assert third.status == Status.COMPLETED
        assert app.list_jobs(worker=note) == []
    else:
        assert str(second.id) in third.errors[0].error
        assert len(app.list_jobs(worker=note)) == 1


def test_the_on_failure_job_does_not_wait_for_the_rest_of_a_group(app):
    Gated.gate.clear()
    flow = Workflow("half", on_failure=note.build(text="failure"))
    flow.add(expand_into_group, {"failing": 1})
    run = app.start_workflow(flow)

    until(lambda: app.list_jobs(worker=note), "the on_failure job")
    is_open = run.status().open
    Gated.gate.set()
    ended(run)
    [told] = app.list_jobs(worker=note)
    assert is_open
    assert told.workflow == run
    assert app.verify() == []


@worker
def expand_into_group(failing: int, job: Job) -> None:
    flow = Workflow("inner")
    flow.add_many(fail, [{}] * failing)
    flow.add(Gated, {"n": 1})
    job.expand(flow)


def test_what_a_node_expands_into_keeps_its_on_failure_job(app):
    run = ended(app.start_workflow(chain(expand_into_failing.build())))

    [told] = app.list_jobs(worker=note)
    assert told.args == {"text": "inner"}
    assert told.workflow == run
    assert len(run.jobs()) == 2


@worker
def expand_into_failing(job: Job) -> None:
    flow = Workflow("inner", on_failure=note.build(text="inner"))
    flow.add(fail)
    job.expand(flow)


class Alone(Worker, concurrency=Concurrency(1, when_full="discard")):
    def perform(self, job):
        assert Gated.gate.wait(LONG)


def test_a_node_that_waits_for_others_is_not_refused_by_a_full_limit(app):
    Gated.gate.clear()
    settled(app, app.enqueue(Alone), Status.RUNNING)
    flow = Workflow("later")
    flow.add(Alone, after=flow.add(note))
    with pytest.raises(LimitReached):
        app.start_workflow(chain(Alone.build({})))

    run = app.start_workflow(flow)
    settled(app, run.jobs()[0])
    Gated.gate.set()

    assert {job.status for job in ended(run).jobs()} == {Status.COMPLETED}
    assert app.verify() == []


def test_retry_failed_takes_back_what_the_failure_cut_off(app):
    flow = Workflow("again")
    Flaky.fails = True
    flaky = flow.add(Flaky)
    flow.add(note, {"text": "later"}, after=flaky)
    run = ended(app.start_workflow(flow))
    Flaky.fails = False

    run.retry_failed()

    assert {job.status for job in ended(run).jobs()} == {Status.COMPLETED}
    run.retry_failed()


class Flaky(Worker):
    fails = False

    def perform(self, job):
        return Fail("no") if self.fails else None


def test_cancel_ends_all_that_has_not_ended(app):
    Gated.gate.clear()
    flow = Workflow("long")
    first = flow.add(Gated)
    flow.add_many(note, [{"text": "a"}, {"text": "b"}], after=first)
    run = app.start_workflow(flow)

    run.cancel()
    Gated.gate.set()

    assert {job.status for job in ended(run).jobs()} <= {Status.CANCELLED, Status.COMPLETED}
    assert app.list_jobs(worker=note, status=Status.COMPLETED) == []


WRONG = [
    (lambda flow: flow.add(note, after="nobody"), UnknownNode, "nobody"),
    (
        lambda flow: [flow.add(note, name="a", after="b"), flow.add(note, name="b", after="a")],
        CycleError,
        "'a'",
    ),
    (lambda flow: flow.add(note, queue="nowhere"), UnknownQueue, "nowhere"),
    (lambda flow: flow.add_many(number, ({"side": n} for n in range(2))), TypeError, "side"),
]


@pytest.mark.parametrize(("add", "error", "named"), WRONG)
def test_what_makes_no_sense_as_a_whole_is_refused_and_nothing_is_stored(app, add, error, named):
    flow = Workflow("wrong")
    flow.add(note)
    add(flow)

    with pytest.raises(error, match=named):
        app.start_workflow(flow)

    assert app.count_jobs() == 0
    assert app.workflows() == []


@pytest.mark.parametrize("what", [None, 7, "flow", Workflow])
def test_what_is_no_workflow_is_refused(app, what):
    with pytest.raises(TypeError, match="start_workflow"):
        app.start_workflow(what)


def test_an_output_is_of_the_workflow(app):
    flow, other = Workflow("a"), Workflow("b")
    with pytest.raises(WorkflowError, match="another workflow"):
        app.start_workflow(flow, output=other.add(note))
    with pytest.raises(TypeError, match="output"):
        app.start_workflow(flow, output=7)
    with pytest.raises(UnknownNode, match="nobody"):
        app.start_workflow(flow, output="nobody")


def test_one_workflow_of_a_name_and_key_is_open_at_a_time(app):
    Gated.gate.clear()
    flow = Workflow("import", key="today")
    flow.add(Gated)
    run = app.start_workflow(flow)

    with pytest.raises(AlreadyExists) as refused:
        app.start_workflow(flow)
    assert (refused.value.workflow, refused.value.job) == (run, None)
    assert refused.value.workflow.status().open
    other = app.start_workflow(Workflow("export", key="today"))
    assert other.key == run.key

    Gated.gate.set()
    ended(run)
    assert app.start_workflow(flow).id > run.id


def test_a_workflow_with_a_duplicate_is_refused_whole(paused):
    waiting = paused.enqueue(once, {"n": 1})
    flow = Workflow("twice", key="k")
    flow.add(note)
    flow.add(once, {"n": 1})
    with pytest.raises(AlreadyExists) as refused:
        paused.start_workflow(flow)
    assert (refused.value.job.id, refused.value.workflow) == (waiting.id, None)
    same = Workflow("same")
    same.add(once, {"n": 2})
    same.add(once, {"n": 2})
    with pytest.raises(AlreadyExists):
        paused.start_workflow(same)

    assert paused.workflows() == []
    assert paused.count_jobs() == 1
    assert paused.verify() == []


def test_workflows_are_listed_by_id_and_found_by_it(paused):
    empty = paused.start_workflow(Workflow("empty"))
    flow = Workflow("waits")
    flow.add(note)
    waiting = paused.start_workflow(flow)

    assert paused.workflows() == [empty, waiting]
    assert paused.workflows(open=True) == [waiting]
    assert paused.workflows(open=False) == [empty]
    found = paused.get_workflow(waiting.id)
    assert (found, found.name, found.status().open) == (waiting, "waits", True)
    [job] = paused.list_jobs()
    for wrong in (job.id, 10**30, -1, 0):
        with pytest.raises(WorkflowNotFound, match=str(wrong)):
            paused.get_workflow(wrong)
    with pytest.raises(TypeError):
        paused.get_workflow("1")


def test_the_status_of_a_workflow_is_shown_without_statuses_that_no_node_has(paused):
    flow = Workflow("shown")
    flow.add(note, after=flow.add(note))
    status = paused.start_workflow(flow).status()

    assert repr(status) == "WorkflowStatus(nodes={'enqueued': 1, 'suspended': 1}, open=True)"
    assert repr(paused.start_workflow(Workflow("empty")).status()) == (
        "WorkflowStatus(nodes={}, open=False)"
    )


def test_the_status_of_a_workflow_is_a_value_that_cannot_be_changed(paused):
    flow = Workflow("value")
    flow.add(note)
    run = paused.start_workflow(flow)
    status = run.status()

    with pytest.raises(TypeError):
        status.nodes[Status.FAILED] = 7

    assert (status, hash(status)) == (run.status(), hash(run.status()))
    assert status != paused.start_workflow(Workflow("empty")).status()
    copied = pickle.loads(pickle.dumps(status))  # noqa: S301
    assert (copied, repr(copied)) == (status, repr(status))
    assert set(copied.nodes) == set(Status)


def test_waiting_nodes_are_suspended_listed_and_counted(paused):
    flow = Workflow("waits")
    first = flow.add(note)
    flow.add(note, after=first, schedule_in=LONG)
    run = paused.start_workflow(flow)

    [waiting] = run.jobs(Status.SUSPENDED)
    assert waiting.scheduled_at is None
    assert run.jobs(["enqueued", "suspended"]) == run.jobs() == run.jobs(ACTIVE)
    assert paused.count_jobs(status=Status.SUSPENDED) == 1
    assert run.status().nodes[Status.SUSPENDED] == 1
    assert paused.verify() == []


def test_schedule_in_of_a_node_counts_from_its_release(app):
    flow = Workflow("later")
    first = flow.add(note)
    flow.add(note, {"text": "later"}, after=first, schedule_in=LONG)
    run = app.start_workflow(flow)

    later = until(lambda: run.jobs(Status.SCHEDULED))[0]
    released = app.get_job(run.jobs()[0].id).ended_at
    assert (later.scheduled_at - released).total_seconds() == LONG


@worker
def expand_into_scheduled(job: Job) -> None:
    flow = Workflow("later")
    flow.add(note, {"text": "first"}, schedule_in=600)
    job.expand(flow)
    assert Gated.gate.wait(LONG)


def test_schedule_in_of_a_node_of_an_expansion_counts_from_the_completion(app):
    Gated.gate.clear()
    run = app.start_workflow(chain(expand_into_scheduled.build()))
    settled(app, run.jobs()[0], Status.RUNNING)
    Gated.gate.set()
    owner = settled(app, run.jobs()[0])
    [scheduled] = run.jobs(Status.SCHEDULED)

    assert (scheduled.scheduled_at - owner.ended_at).total_seconds() >= 600


def test_nodes_are_added_while_a_workflow_is_open(app):
    Gated.gate.clear()
    flow = Workflow("open")
    first = flow.add(Gated, {"n": 5}, name="first")
    run = app.start_workflow(flow)

    one = run.add(add_up, {"numbers": [first.output]}, name="one")
    two = run.add(total_upstream, after=["first", one])
    many = run.add_many(number, [{"n": 1}, {"n": 2}], after=two)
    last = run.add(total_upstream, after=many)
    with pytest.raises(UnknownNode, match="nobody"):
        run.add(note, after="nobody")
    with pytest.raises(ValueError, match="first"):
        run.add(note, name="first")
    Gated.gate.set()

    assert (two.name, last.name) == ("total_upstream", "total_upstream-2")
    results = {job.id: job for job in ended(run).jobs()}
    assert [job.status for job in results.values()] == [Status.COMPLETED] * 6
    with pytest.raises(WorkflowError, match="ended"):
        run.add(note)
    with pytest.raises(WorkflowError, match="another workflow"):
        app.start_workflow(Workflow("other")).add(note, after=first)


def test_nodes_that_threads_add_at_once_have_names_of_their_own(paused):
    run = paused.start_workflow(chain(note.build()))
    names: list[str] = []
    threads = [
        threading.Thread(target=lambda: names.extend(run.add(note).name for _ in range(25)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)

    assert sorted(names) == sorted(f"note-{number}" for number in range(2, 102))


def test_a_node_waits_for_one_whose_name_it_would_have_had(paused):
    flow = Workflow("open")
    flow.add(number, {"n": 1})
    run = paused.start_workflow(flow)

    alone = run.add(number, {"n": 2}, after="number")
    many = run.add_many(number, [{"n": 3}], after="number")

    assert (alone.name, many.name) == ("number-2", "number-3")
    assert {job.args["n"]: job.status for job in run.jobs()} == {
        1: Status.ENQUEUED,
        2: Status.SUSPENDED,
        3: Status.SUSPENDED,
    }


def test_a_node_added_after_one_that_has_ended_begins_at_once(app):
    Gated.gate.clear()
    flow = Workflow("open")
    first = flow.add(number, {"n": 4}, name="first")
    flow.add(Gated)
    run = app.start_workflow(flow)
    settled(app, run.jobs()[0])

    run.add(total_upstream, after=first, name="added")

    added = run.jobs()[-1]
    assert settled(app, added).status is Status.COMPLETED
    Gated.gate.set()
    ended(run)


@worker
def expand_into(numbers: list[int], job: Job) -> None:
    flow = Workflow("inner")
    many = flow.add_many(number, [{"n": n} for n in numbers], priority=2)
    flow.add(add_up, {"numbers": many.outputs}, after=many)
    job.expand(flow)


@worker(executor="process")
def expand_in_process(numbers: list[int], job: Job) -> None:
    flow = Workflow("inner")
    many = flow.add_many(number, [{"n": n} for n in numbers], priority=2)
    flow.add(add_up, {"numbers": many.outputs}, after=many)
    job.expand(flow)


@worker
def count_completed(job: Job) -> int:
    return sum(each.status is Status.COMPLETED for each in job.workflow.jobs())


@pytest.mark.parametrize("outer", [expand_into, expand_in_process])
def test_dependents_of_a_node_wait_for_all_that_it_expanded_into(app, outer):
    flow = Workflow("outer")
    node = flow.add(outer, {"numbers": [1, 2, 3]})
    last = flow.add(count_completed, after=node)
    run = app.start_workflow(flow, output=last)

    assert run.result(timeout=LONG) == 5
    assert len(run.jobs()) == 6
    assert [job.priority for job in app.list_jobs(worker=number)] == [2, 2, 2]
    assert app.workflows() == [run]
    assert app.verify() == []


@pytest.mark.parametrize("make", [lambda jobs: jobs, iter], ids=["list", "iterator"])
def test_a_group_of_an_iterator_is_read_by_one_start_alone(app, make):
    flow = Workflow("twice", key="one")
    flow.add_many(number, make([{"n": 1}, {"n": 2}]))
    app.queue("default").pause()
    run = app.start_workflow(flow)

    with pytest.raises(AlreadyExists) as refused:
        app.start_workflow(flow)
    assert refused.value.workflow == run

    app.queue("default").resume()
    assert len(ended(run).jobs()) == 2
    if make is iter:
        with pytest.raises(WorkflowError, match=r"iterator.*list"):
            app.start_workflow(flow)
        assert app.workflows() == [run]
    else:
        assert len(ended(app.start_workflow(flow)).jobs()) == 2


def test_a_group_of_built_jobs_of_an_iterator_is_read_once_too(app):
    flow = group(number.build(n=n) for n in range(2))
    assert ended(app.start_workflow(flow)).result(timeout=LONG) == [0, 1]

    with pytest.raises(WorkflowError, match="iterator"):
        app.start_workflow(flow)


@worker
def expand_into_once(job: Job) -> None:
    flow = Workflow("inner")
    flow.add(once, {"n": 1})
    job.expand(flow)


@pytest.mark.parametrize("is_node", [False, True])
def test_an_expansion_that_is_left_out_when_it_is_stored_is_logged(app, caplog, is_node):
    app.enqueue(once, {"n": 1}, schedule_in=3600)
    if is_node:
        flow = Workflow("outer")
        flow.add(expand_into_once)
        run = app.start_workflow(flow)
        ended(run)
        id_ = run.jobs()[0].id
    else:
        id_ = settled(app, app.enqueue(expand_into_once)).id

    text = f"what job {id_} has expanded into is left out: .* is unique"
    assert until(lambda: re.search(text, caplog.text))
    assert app.verify() == []


@worker
def expand_deeper(levels: int, job: Job) -> None:
    flow = Workflow(f"level {levels}")
    inner = flow.add_many(expand_deeper, [{"levels": levels - 1}]) if levels else None
    flow.add(number, {"n": levels}, after=inner)
    job.expand(flow)


@worker
def unfinished(job: Job) -> int:
    others = [each for each in job.workflow.jobs() if each.id != job.id]
    return sum(each.status is not Status.COMPLETED for each in others)


@pytest.mark.parametrize("in_group", [False, True])
def test_dependents_wait_for_expansions_of_what_was_expanded_into(app, in_group):
    flow = Workflow("outer")
    args = {"levels": 3}
    node = flow.add_many(expand_deeper, [args]) if in_group else flow.add(expand_deeper, args)
    last = flow.add(unfinished, after=node)
    run = app.start_workflow(flow, output=last)

    assert run.result(timeout=LONG) == 0
    assert len(run.jobs()) == 2 + 4 + 3
    assert run.status().open is False
    assert app.verify() == []


@worker
def expand_twice(job: Job) -> None:
    job.expand(chain(wait_for_gate.build()))
    job.expand(chain(note.build(text="second")))


@worker
def wait_for_gate() -> None:
    assert Gated.gate.wait(LONG)


def test_dependents_wait_for_all_that_a_node_expanded_into_by_several_calls(app):
    Gated.gate.clear()
    flow = Workflow("outer")
    node = flow.add(expand_twice)
    last = flow.add(unfinished, after=node)
    run = app.start_workflow(flow, output=last)
    second = until(lambda: app.list_jobs(worker=note), "the second expansion")[0]
    settled(app, second)
    waiting = [job.worker for job in run.jobs(Status.SUSPENDED)]
    Gated.gate.set()

    assert [name.rpartition(":")[2] for name in waiting] == ["unfinished"]
    assert run.result(timeout=LONG) == 0
    assert len(run.jobs()) == 4
    assert app.verify() == []


@worker(result=True)
def expand_though_cancelled(job: Job) -> None:
    assert Gated.gate.wait(LONG)
    job.expand(group([note.build(text=text) for text in "ab"]))


def test_what_a_node_of_a_cancelled_workflow_expands_into_is_cancelled(app):
    Gated.gate.clear()
    run = app.start_workflow(chain(expand_though_cancelled.build()))
    [node] = run.jobs()
    settled(app, node, Status.RUNNING)
    run.cancel()
    Gated.gate.set()

    jobs = ended(run).jobs()
    assert {job.status for job in jobs[1:]} <= {Status.CANCELLED}
    assert app.verify() == []


def test_a_retry_by_hand_reopens_a_cancelled_workflow(paused):
    flow = Workflow("again")
    node = flow.add(expand_into, {"numbers": [1, 2]})
    flow.add(note, after=node)
    run = paused.start_workflow(flow)
    run.cancel()
    with pytest.raises(WorkflowError, match="cancelled"):
        run.add(note)

    for job in run.jobs():
        paused.retry_job(job)
    run.add(note)
    paused.queue("default").resume()

    assert {job.status for job in ended(run).jobs()} == {Status.COMPLETED}
    assert run.status().nodes[Status.COMPLETED] == 3 + 3
    with pytest.raises(WorkflowError, match="has ended"):
        run.add(note)
    assert paused.verify() == []


def test_expanding_in_a_job_of_no_workflow_starts_one(app):
    job = settled(app, app.enqueue(expand_into, {"numbers": [1, 2]}))

    [run] = app.workflows()
    assert run.name == "inner"
    assert job.workflow is None
    assert len(ended(run).jobs()) == 3


@worker
def follows(job: Job) -> None:
    job.follow_up(note, {"text": "follow-up"})


def test_a_follow_up_of_a_node_is_a_node_of_its_workflow(app):
    flow = Workflow("follows")
    flow.add(follows)
    run = ended(app.start_workflow(flow))

    assert statuses(run) == {"follows": Status.COMPLETED, "follow-up": Status.COMPLETED}


@worker
def use(value: object) -> str:
    return repr(value)


@worker(max_attempts=1)
def unpicklable() -> object:
    return threading.Lock()


def test_an_output_that_was_not_kept_fails_its_dependent_which_says_why(app):
    flow = Workflow("lost")
    lock = flow.add(unpicklable)
    flow.add(use, {"value": lock.output}, max_attempts=1)
    run = ended(app.start_workflow(flow))

    first, second = run.jobs()
    assert (first.status, second.status) == (Status.COMPLETED, Status.FAILED)
    assert f"job {first.id}" in second.errors[0].error
    assert "pickle" in second.errors[0].error


def test_a_node_whose_output_was_not_kept_fails_whatever_attempts_are_left(app):
    flow = Workflow("lost")
    lock = flow.add(unpicklable)
    flow.add(use, {"value": lock.output}, max_attempts=9)
    _, second = ended(app.start_workflow(flow)).jobs()

    assert (second.status, second.attempts) == (Status.FAILED, 1)
    assert second.errors[0].error_type == "ResultNotKept"


def test_an_output_of_a_node_that_did_not_complete_is_none(app):
    flow = Workflow("none")
    bad = flow.add(fail)
    last = flow.add(use, {"value": bad.output}, on="end")

    assert app.start_workflow(flow, output=last).result(timeout=LONG) == "None"


@worker(executor="process")
def use_in_process(value: int, job: Job) -> list[object]:
    return [value, dict(job.upstream), job.workflow.name]


@worker
async def use_in_coroutine(value: int, job: Job) -> list[object]:
    return [value, dict(job.upstream), job.workflow.name]


@pytest.mark.parametrize("where", [use_in_process, use_in_coroutine])
def test_outputs_and_upstream_work_in_every_executor(app, where):
    flow = Workflow("where")
    one = flow.add(number, {"n": 1}, name="one")
    last = flow.add(where, {"value": one.output})

    result = app.start_workflow(flow, output=last).result(timeout=LONG)
    assert result == [1, {"one": 1}, "where"]


@pytest.mark.parametrize("is_behind", [False, True])
def test_members_of_a_group_are_scheduled_from_their_release(app, is_behind):
    flow = Workflow("late")
    first = flow.add(note)
    after = first if is_behind else None
    flow.add_many(number, ({"n": n} for n in range(600)), after=after, schedule_in=3600)
    run = app.start_workflow(flow)

    until(lambda: len(run.jobs(Status.SCHEDULED)) == 600, "all of them to be scheduled")
    [upstream] = app.list_jobs(worker=note)
    since = upstream.ended_at if is_behind else upstream.inserted_at
    late = [(job.scheduled_at - since).total_seconds() for job in run.jobs(Status.SCHEDULED)]
    assert min(late) >= 3600
    assert app.verify() == []


def test_a_group_with_a_unique_job_twice_is_refused_whole(app):
    flow = Workflow("twice")
    flow.add_many(once, ({"n": n % 2} for n in range(3)))

    with pytest.raises(AlreadyExists):
        app.start_workflow(flow)

    assert app.count_jobs() == 0


def test_a_group_that_an_expansion_has_is_stored_with_the_completion(app):
    run = app.start_workflow(chain(expand_group.build(), total_upstream.build()))

    assert not ended(run).status().open
    assert sum(run.status().nodes.values()) == 602
    assert app.verify() == []


def test_large_workflows_are_stored_in_pieces(app):
    flow = Workflow("large")
    first = flow.add(number, {"n": 1})
    many = flow.add_many(number, ({"n": 1} for _ in range(5_500)), after=first)
    last = flow.add(add_up, {"numbers": many.outputs}, after=many)
    run = app.start_workflow(flow, output=last)

    assert run.result(timeout=LONG) == 5_500
    assert run.incomplete == 0


def test_what_is_refused_on_the_way_cancels_a_large_workflow_and_is_raised(app):
    flow = Workflow("large")
    flow.add_many(number, ({"n": 1} if n < 5_200 else {"m": 1} for n in range(5_500)))

    with pytest.raises(TypeError, match="m"):
        app.start_workflow(flow)

    [run] = app.workflows()
    assert not ended(run).status().open


def test_workflows_outlive_a_restart(tmp_path):
    flow = Workflow("kept")
    one = flow.add(number, {"n": 1})
    last = flow.add(add_up, {"numbers": [one.output]})
    with AntQ(tmp_path / "jobs").start(queues=False) as app:
        run = app.start_workflow(flow, output=last)

    with AntQ(tmp_path / "jobs") as app:
        assert app.get_workflow(run.id).result(timeout=LONG) == 1


@worker(executor="process")
def add_to_its_workflow(job: Job) -> None:
    job.workflow.add(note, {"text": "added"}, name="added", after="first")


@worker(executor="process")
def look_at_its_workflow(job: Job) -> list[object]:
    run = job.workflow
    return [run.name, run.status().open, [each.status.value for each in run.jobs()]]


def test_the_workflow_of_a_job_in_another_process_is_looked_at_and_added_to(app):
    flow = Workflow("far")
    first = flow.add(add_to_its_workflow, name="first")
    last = flow.add(look_at_its_workflow, after=first)
    run = app.start_workflow(flow, output=last)

    name, is_open, seen = run.result(timeout=LONG)
    assert (name, is_open, seen[:2]) == ("far", True, ["completed", "running"])
    assert [job.args.get("text") for job in ended(run).jobs()] == [None, None, "added"]


def test_a_workflow_goes_with_all_that_is_of_it_when_it_is_pruned(app):
    flow = Workflow("old", key="k")
    many = flow.add_many(number, [{"n": 1}, {"n": 2}])
    run = ended(app.start_workflow(flow, output=many))

    prune = JobStore.prune
    runtime = app._running
    until(lambda: not runtime.store.write(prune, finished_before=instant.now(), limit=100))

    assert app.count_jobs() == 0
    assert app.workflows() == []
    with pytest.raises(WorkflowNotFound):
        run.status()
    assert app.verify() == []


def test_nothing_more_is_stored_of_a_large_workflow_that_was_cancelled_meanwhile(app):
    app.queue("default").pause()

    def items():
        for n in range(6_000):
            if n == 5_900:
                app.workflows()[0].cancel()
            yield {"n": n}

    flow = Workflow("large")
    flow.add_many(number, items())
    with pytest.raises(WorkflowError, match="cancelled"):
        app.start_workflow(flow)

    [run] = app.workflows()
    assert not ended(run).status().open
    assert {job.status for job in run.jobs()} == {Status.CANCELLED}
    with pytest.raises(WorkflowError, match="cancelled"):
        run.add(note)


def test_a_workflow_of_which_the_rest_never_came_is_listed_as_incomplete(paused):
    store = paused._running.store
    group_of_it = NewGroup(WORKFLOW, "half", instant.now())
    id_, _ = store.write(
        JobStore.start_workflow, group_of_it, [], node=7, is_whole=False, now=instant.now()
    )

    [run] = paused.workflows(open=True)
    assert (run.id, run.incomplete, run.status().open) == (id_, 7, True)
    run.cancel()
    assert (run.incomplete, run.status().open) == (0, False)


def test_what_is_refused_on_the_way_cancels_a_group_that_is_added(app):
    def items():
        for n in range(2_500):
            yield {"n": n}
        raise RuntimeError("no more")

    Gated.gate.clear()
    run = app.start_workflow(chain(Gated.build({"n": 1})))
    with pytest.raises(RuntimeError, match="no more"):
        run.add_many(Gated, items(), name="half")
    Gated.gate.set()

    nodes = ended(run).status().nodes
    assert sum(nodes.values()) > 2_000
    assert nodes[Status.CANCELLED] > 1_000
    assert app.verify() == []


def test_a_group_of_which_the_rest_never_came_is_cancelled(paused):
    store = paused._running.store
    run = paused.start_workflow(chain(number.build(n=1)))
    store.write(JobStore.extend_workflow, run.id, [NewPart("half")], node=7, now=instant.now())
    behind = run.add(note, after="half")
    paused.cancel_job(run.jobs()[0])
    was_open = run.status().open

    cancel_abandoned(store, 7, instant.now())

    assert was_open
    assert behind.name == "note"
    assert run.status().nodes[Status.SUSPENDED] == 0
    assert paused.verify() == []


@pytest.mark.parametrize("what", [None, 7, Workflow])
def test_what_is_expanded_into_is_a_workflow(app, what):
    job = settled(app, app.enqueue(expand_wrongly, {"what": repr(what)}))

    assert job.status is Status.COMPLETED
    with pytest.raises(RuntimeError, match="expand"):
        job.expand(Workflow("late"))


@worker
def expand_wrongly(what: str, job: Job) -> None:
    with pytest.raises(TypeError, match="expand"):
        job.expand(what)


def expand_twice_the_same(job):
    flow = Workflow("inner")
    for _ in range(2):
        flow.add(once, {"n": 1})
    with pytest.raises(AlreadyExists, match="twice"):
        job.expand(flow)
    return "refused"


@worker(result=True)
def expands_twice_the_same(job: Job):
    return expand_twice_the_same(job)


@worker(result=True, executor="process")
def expands_twice_the_same_in_process(job: Job):
    return expand_twice_the_same(job)


@pytest.mark.parametrize(
    "expands",
    [expands_twice_the_same, expands_twice_the_same_in_process],
    ids=["thread", "process"],
)
def test_an_expansion_with_a_unique_job_twice_is_refused_at_its_call(app, expands):
    job = app.enqueue(expands)

    assert job.result(timeout=30) == "refused"
    assert app.workflows() == []


def test_an_output_whose_job_was_deleted_fails_its_dependent_which_says_why(app):
    flow = Workflow("deleted")
    one = flow.add(number, {"n": 1}, name="one")
    many = flow.add_many(number, [{"n": 2}, {"n": 3}], name="many")
    options = {"schedule_in": LONG, "max_attempts": 1}
    flow.add(use, {"value": one.output}, **options)
    flow.add(use, {"value": one.output}, after={one: "end"}, **options)
    flow.add(add_up, {"numbers": many.outputs}, **options)
    flow.add(total_upstream, after=one, **options)
    run = app.start_workflow(flow)
    until(lambda: run.status().nodes[Status.SCHEDULED] == 4, "the release of what waits")
    first, _, third, *waiting = run.jobs()
    app.delete_job(first.id)
    app.delete_job(third.id)

    for job in waiting:
        app.run_now(job)
    _, needs, needs_none, needs_many, looks = ended(run).jobs()

    assert (needs.status, needs_none.status) == (Status.FAILED, Status.COMPLETED)
    for job in (needs, looks):
        assert f"'one' is gone, as job {first.id} was deleted" in job.errors[0].error
    assert "1 of the outputs of 'many' are gone" in needs_many.errors[0].error


@worker
def sort(values: object) -> list[object]:
    return sorted(values)


@pytest.mark.parametrize("kind", [set, frozenset, deque, lambda nodes: dict.fromkeys(nodes, 0)])
def test_outputs_in_a_container_are_replaced(app, kind):
    flow = Workflow("containers")
    nodes = [flow.add(number, {"n": n}) for n in (2, 1)]
    last = flow.add(sort, {"values": kind([node.output for node in nodes] + [7])})

    assert app.start_workflow(flow, output=last).result(timeout=LONG) == [1, 2, 7]


@worker
def numbers() -> list[int]:
    return [1]


def test_a_result_that_no_set_can_have_fails_its_dependent_which_says_so(app):
    flow = Workflow("unhashable")
    flow.add(sort, {"values": {flow.add(numbers).output}}, max_attempts=1)

    assert "stands for a list" in ended(app.start_workflow(flow)).jobs()[1].errors[0].error


def test_a_node_of_an_earlier_store_does_not_say_what_it_needs():
    flow = JobFlow(upstream=(("one", 1, False), ("many", 2, True)))

    assert [node.is_needed for node in nodes_before(flow).nodes] == [False, False]
    needing = replace(flow, needs=(True, False))
    assert [node.is_needed for node in nodes_before(needing).nodes] == [True, False]

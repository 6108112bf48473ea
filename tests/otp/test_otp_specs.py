"""What a spec and a supervisor's options may say, and what holds when they say nothing."""

import inspect
import math
from dataclasses import replace
from datetime import timedelta

import pytest
from supervised import BOOM, DOWN, UP, Child, crash

from antq_actors.otp import (
    BRUTAL_KILL,
    AutoShutdown,
    ChildSpec,
    Crash,
    DynamicSupervisor,
    GenServer,
    PartitionSupervisor,
    Restart,
    Shutdown,
    StartError,
    Strategy,
    Supervisor,
    TaskSupervisor,
    monitor,
    stop,
)
from antq_actors.otp.kernel.child_spec import check_significant, to_spec
from antq_actors.otp.supervision.admin import SupervisorOptions

# ---- specs ------------------------------------------------------------------------------------


@pytest.mark.rule(1)
def test_a_spec_needs_an_id_and_a_start_and_has_otps_defaults_for_the_rest():
    spec = ChildSpec("clock", print)

    assert (spec.restart, spec.type, spec.significant) == (Restart.PERMANENT, "worker", False)
    assert spec.shutdown == 5.0
    with pytest.raises(TypeError, match="start"):
        ChildSpec("clock")
    with pytest.raises(TypeError, match="id"):
        ChildSpec(start=print)


@pytest.mark.rule(1, 45)
@pytest.mark.parametrize(
    "spec",
    [
        Supervisor.child_spec([]),
        DynamicSupervisor.child_spec(),
        TaskSupervisor.child_spec(),
        PartitionSupervisor.child_spec(Child),
        ChildSpec("by hand", print, type="supervisor"),
    ],
    ids=lambda spec: spec.id,
)
def test_a_supervisor_as_a_child_has_all_the_time_it_needs(spec):
    assert (spec.type, spec.shutdown) == ("supervisor", math.inf)


@pytest.mark.rule(3)
def test_a_spec_made_from_another_refuses_a_field_that_is_none():
    spec = ChildSpec("clock", print)

    assert replace(spec, restart=Restart.TRANSIENT).restart is Restart.TRANSIENT
    with pytest.raises(TypeError, match="restrat"):
        replace(spec, restrat=Restart.TRANSIENT)
    with pytest.raises(ValueError, match="shutdown"):
        replace(spec, shutdown=-1)


@pytest.mark.rule(9)
def test_a_start_function_hands_over_a_ref_and_nothing_with_it(log):
    with pytest.raises(StartError, match=r"ServerRef or IGNORE, got \(<ServerRef"):
        Supervisor.start([ChildSpec("odd", lambda: (Child.start_link("odd", log), "info"))])

    assert [entry[0] for entry in log.take(2)] == [UP, DOWN]  # nor is anyone left behind


# ---- options ----------------------------------------------------------------------------------


@pytest.mark.rule(6, 7)
def test_without_options_a_supervisor_has_elixirs_budget_and_otps_strategy():
    options = SupervisorOptions()

    assert options.strategy is Strategy.ONE_FOR_ONE
    assert (options.max_restarts, options.max_seconds) == (3, 5.0)
    assert options.auto_shutdown is AutoShutdown.NEVER


@pytest.mark.rule(7)
@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor, PartitionSupervisor])
def test_every_kind_of_supervisor_has_the_same_budget(kind):
    defaults = inspect.signature(kind).parameters

    assert (defaults["max_restarts"].default, defaults["max_seconds"].default) == (3, 5.0)


@pytest.mark.rule(7, 28)
@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_without_options_the_fourth_restart_is_one_too_many(log, kind):
    plan = {}
    spec = Child.child_spec("a", log, plan)
    if kind == "static":
        sup = Supervisor.start([spec])
        ref = Supervisor.which_children(sup)[0].ref
    else:
        sup = DynamicSupervisor.start()
        ref = DynamicSupervisor.start_child(sup, spec)
    end = monitor(sup)
    plan["a"] = "fail"

    crash(ref)

    assert end.wait(30).reason == Shutdown()
    assert log.take(5) == [(UP, "a"), (DOWN, "a", Crash(BOOM)), *[("fails", "a")] * 3]
    assert log.is_empty()


@pytest.mark.rule(55)
@pytest.mark.parametrize(
    "start",
    [DynamicSupervisor.start, lambda **options: PartitionSupervisor.start(Child, **options)],
    ids=["dynamic", "partitions"],
)
def test_a_supervisor_of_equals_has_no_auto_shutdown(start):
    with pytest.raises(TypeError, match="auto_shutdown"):
        start(auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)


@pytest.mark.rule(55)
def test_no_partition_may_be_significant(log):
    significant = Child.child_spec("a", log, restart=Restart.TRANSIENT, significant=True)

    with pytest.raises(ValueError, match="significant"):
        PartitionSupervisor.start(significant, 2)

    assert log.is_empty()


@pytest.mark.rule(60)
def test_a_dynamic_supervisor_takes_no_strategy_and_is_one_for_one(log):
    with pytest.raises(TypeError, match="strategy"):
        DynamicSupervisor.start(strategy=Strategy.ONE_FOR_ALL)
    sup = DynamicSupervisor.start()
    refs = [DynamicSupervisor.start_child(sup, Child.child_spec(each, log)) for each in "abc"]

    crash(refs[1])

    assert log.take(5)[3:] == [(DOWN, "b", Crash(BOOM)), (UP, "b")]
    stop(sup, Shutdown(), 30)
    assert sorted(log.take(3)) == [(DOWN, each, Shutdown()) for each in "abc"]


@pytest.mark.rule(27)
def test_each_dynamic_child_is_made_from_what_it_was_asked_for_with_also_on_a_restart(log):
    sup = DynamicSupervisor.start(extra_args=("job",))

    def start_job(kind, number):
        return Child.start_link((kind, number), log)

    assert log.is_empty()
    for number in (1, 2):
        ref = DynamicSupervisor.start_child(sup, ChildSpec("template", start_job, (number,)))
    crash(ref)

    assert log.take(4) == [
        (UP, ("job", 1)),
        (UP, ("job", 2)),
        (DOWN, ("job", 2), Crash(BOOM)),
        (UP, ("job", 2)),
    ]
    stop(sup, Shutdown(), 30)


# ---- wrong and odd fields -----------------------------------------------------------------------


@pytest.mark.rule(1, 5)
@pytest.mark.parametrize(
    ("fields", "shutdown"),
    [
        ({}, 5.0),
        ({"type": "supervisor"}, math.inf),
        ({"shutdown": 0}, 0.0),
        ({"shutdown": math.inf}, math.inf),
        ({"shutdown": timedelta(minutes=1)}, 60.0),
        ({"shutdown": BRUTAL_KILL}, BRUTAL_KILL),
    ],
)
def test_shutdown_reads_back_as_what_will_be_done(fields, shutdown):
    assert ChildSpec("a", print, **fields).shutdown == shutdown


@pytest.mark.rule(5, 50)
@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"id": []}, TypeError),
        ({"start": "print"}, TypeError),
        ({"args": "abc"}, TypeError),
        ({"args": 1}, TypeError),
        ({"kwargs": [1]}, TypeError),
        ({"kwargs": {1: 2}}, TypeError),
        ({"restart": "permanent"}, TypeError),
        ({"shutdown": -1}, ValueError),
        ({"shutdown": math.nan}, ValueError),
        ({"shutdown": "5"}, TypeError),
        ({"shutdown": True}, TypeError),
        ({"shutdown": timedelta(seconds=-1)}, ValueError),
        ({"type": "boss"}, ValueError),
        ({"type": 1}, TypeError),
        ({"significant": 1, "restart": Restart.TRANSIENT}, TypeError),
        ({"significant": True}, ValueError),
    ],
)
def test_a_field_that_makes_no_sense_is_named(fields, error):
    good = {"id": "a", "start": print}

    with pytest.raises(error, match=next(iter(fields))):
        ChildSpec(**(good | fields))


@pytest.mark.rule(2)
def test_an_unknown_field_is_a_type_error():
    with pytest.raises(TypeError, match="restarts"):
        ChildSpec("a", print, restarts=3)


def test_a_spec_is_frozen_also_against_its_makers_dict():
    kwargs = {"a": 1}
    spec = ChildSpec("a", print, args=[1, 2], kwargs=kwargs)
    kwargs["a"] = 2

    assert spec.args == (1, 2)
    assert spec.kwargs == {"a": 1}
    with pytest.raises(AttributeError):
        spec.id = "b"


class Clock(GenServer):
    pass


def test_a_gen_server_class_is_asked_for_its_spec():
    spec = to_spec(Clock)

    assert (spec.id, spec.type, spec.restart) == ("Clock", "worker", Restart.PERMANENT)


@pytest.mark.parametrize("child", [None, "Clock", Clock.start, object(), int])
def test_what_is_no_spec_and_no_gen_server_class_is_a_type_error(child):
    with pytest.raises(TypeError, match="ChildSpec"):
        to_spec(child)


@pytest.mark.rule(50)
def test_rule_50_a_significant_child_needs_a_supervisor_that_looks_at_it():
    spec = ChildSpec("a", print, restart=Restart.TRANSIENT, significant=True)

    check_significant(spec, AutoShutdown.ANY_SIGNIFICANT)
    with pytest.raises(ValueError, match="significant"):
        check_significant(spec, AutoShutdown.NEVER)


def test_a_spec_with_more_args_is_the_same_in_all_else():
    spec = ChildSpec("clock", print, (1,), restart=Restart.TRANSIENT, shutdown=2)

    other = spec.with_more_args((2, 3))

    assert other == ChildSpec("clock", print, (1, 2, 3), restart=Restart.TRANSIENT, shutdown=2)
    assert spec.args == (1,)

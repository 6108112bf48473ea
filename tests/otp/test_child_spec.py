import math
from datetime import timedelta

import pytest

from antq_actors.otp import BRUTAL_KILL, AutoShutdown, ChildSpec, GenServer, Restart
from antq_actors.otp.kernel.child_spec import check_significant, to_spec


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

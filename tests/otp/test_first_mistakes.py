"""What goes wrong in the first hour is told with what to write instead."""

import pykka
import pytest
from probe import LONGEST

from antq_actors.otp import (
    AutoShutdown,
    Continue,
    GenServer,
    Restart,
    StartError,
    Strategy,
    Supervisor,
    cast,
    monitor,
    reply,
)


class Clock(GenServer):
    def handle_call(self, request):
        return request


class Plain(pykka.ThreadingActor):
    pass


class ContinueForgotten(GenServer):
    def init(self):
        return Continue


class AnsweringLate(GenServer):
    def handle_call(self, request):
        return request

    def handle_cast(self, request):
        reply(self.from_, request)


@pytest.mark.parametrize(
    ("options", "instead"),
    [
        ({"strategy": "one_for_all"}, str(Strategy.ONE_FOR_ALL)),
        ({"auto_shutdown": "any_significant"}, str(AutoShutdown.ANY_SIGNIFICANT)),
    ],
)
def test_an_option_given_by_its_elixir_name_is_told_the_value_to_write(options, instead):
    with pytest.raises(TypeError, match=rf"write .*{instead}"):
        Supervisor.start([Clock], **options)


def test_a_restart_type_given_by_its_elixir_name_is_told_the_value_to_write():
    with pytest.raises(TypeError, match=rf"write .*{Restart.TRANSIENT}"):
        Clock.child_spec(restart="transient")


def test_a_pykka_actor_class_among_the_children_is_told_of_supervised():
    with pytest.raises(TypeError, match=r"write supervised\(Plain\)"):
        Supervisor.start([Plain])


def test_an_actor_that_runs_already_is_told_that_supervisors_start_their_children(start):
    clock = start(of=Clock)

    with pytest.raises(TypeError, match="starts its children itself"):
        Supervisor.start([clock])


def test_the_class_continue_in_the_place_of_its_value_fails_the_start():
    with pytest.raises(StartError, match=r"write Continue\(\)") as caught:
        ContinueForgotten.start()

    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize("answer", [None, [Clock], ([Clock],), Clock, ([Clock], {}, 3)])
def test_children_without_options_are_told_what_init_children_returns(answer):
    class Shop(Supervisor):
        def init_children(self):
            return answer

    with pytest.raises(StartError, match=r"returns \(children, options\)") as caught:
        Shop.start()

    assert isinstance(caught.value.__cause__, TypeError)


def test_a_reply_to_from_after_handle_call_is_told_to_keep_it(start):
    late = start(of=AnsweringLate)
    end = monitor(late)

    cast(late, "too late")

    assert "while handle_call runs" in str(end.wait(LONGEST).reason)

"""Events are delivered in order, in a thread of the listener's own, and it holds up nobody."""

import logging
import pickle
import threading
from copy import copy
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime

import pytest
from support.heard import Heard

from antq_actors import events
from antq_actors.events import EVENTS, JobEnded, JobEvent, Pruned, QueueStarted, Rescued, Several
from antq_actors.events.hub import MOST_BUFFERED, Hub

SOON = 30
AT = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.fixture
def hub():
    return Hub()


def pruned(count):
    return Pruned(AT, 1, count)


def an_event(type_):
    return events.make(type_, {each.name: each.name for each in fields(type_)})


def test_events_come_in_order_and_only_those_that_are_wanted(hub):
    heard = Heard()
    hub.subscribe(heard, [Pruned])

    hub.publish(pruned(1), Rescued(AT, 1, 7), pruned(2))
    hub.publish(pruned(3))

    assert heard.wait(Pruned, 3) == [pruned(1), pruned(2), pruned(3)]
    assert heard.events == [pruned(1), pruned(2), pruned(3)]


def test_without_types_all_are_wanted(hub):
    assert hub.wanted == frozenset()

    with hub.subscribe(print):
        assert hub.wanted == EVENTS

    assert hub.wanted == frozenset()


def test_what_several_have_in_common_is_a_type_as_well(hub):
    with hub.subscribe(print, [JobEvent]):
        assert JobEnded in hub.wanted
        assert QueueStarted not in hub.wanted


@pytest.mark.parametrize("given", ["JobEnded", None, int, Exception("JobEnded"), object])
def test_what_is_no_class_of_events_is_refused(hub, given):
    with pytest.raises(TypeError, match="classes of events"):
        hub.subscribe(print, [given])

    assert hub.wanted == frozenset()


def test_an_event_is_not_made_when_nobody_listens_to_its_class(hub):
    with hub.subscribe(print, [Rescued]):
        hub.tell(Pruned, nothing="that the class would take")


def test_a_listener_runs_in_a_thread_of_its_own(hub):
    threads = {}
    heard = [Heard(), Heard()]
    for each in heard:
        hub.subscribe(lambda event, each=each: (threads.update({id(each): here()}), each(event)))

    hub.publish(pruned(1))

    for each in heard:
        each.wait(Pruned)
    assert len({*threads.values(), here()}) == 3


def here():
    return threading.get_ident()


def test_a_listener_that_hangs_holds_up_no_other_and_drops_what_is_too_much(hub):
    release, heard = threading.Event(), Heard()
    hangs = threading.Event()
    stuck = hub.subscribe(lambda _event: (hangs.set(), release.wait(SOON)))
    hub.subscribe(heard)
    hub.publish(pruned(0))
    assert hangs.wait(SOON)

    hub.publish(*map(pruned, range(1, MOST_BUFFERED // 2)))
    heard.wait(Pruned, MOST_BUFFERED // 2)
    hub.publish(*map(pruned, range(MOST_BUFFERED)))
    heard.wait(Pruned, MOST_BUFFERED)
    release.set()

    assert stuck.dropped == MOST_BUFFERED // 2 - 1


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(3), KeyboardInterrupt()])
def test_a_listener_that_raises_is_logged_and_kept(hub, caplog, error):
    heard = Heard()

    def listener(event):
        heard(event)
        if event.count == 1:
            raise error

    with caplog.at_level(logging.ERROR, "antq_actors"):
        hub.subscribe(listener)
        hub.publish(pruned(1), pruned(2))
        heard.wait(Pruned, 2)

    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info[1] is error


def test_nothing_is_delivered_after_a_cancel(hub):
    heard = Heard()
    subscription = hub.subscribe(heard)
    hub.publish(pruned(1))
    heard.wait(Pruned)

    subscription.cancel()
    subscription.cancel()
    hub.publish(pruned(2))
    hub.flush(SOON)

    assert heard.events == [pruned(1)]


def test_a_cancel_waits_for_the_event_that_is_being_delivered(hub):
    entered, ended = threading.Event(), []

    def listener(_event):
        entered.set()
        threading.Event().wait(0.05)
        ended.append(True)

    subscription = hub.subscribe(listener)
    hub.publish(pruned(1))
    assert entered.wait(SOON)

    subscription.cancel()

    assert ended == [True]


def test_a_listener_may_cancel_its_own_subscription(hub):
    heard = Heard()

    def listener(event):
        subscription.cancel()
        heard(event)

    subscription = hub.subscribe(listener)
    hub.publish(pruned(1), pruned(2))
    heard.wait(Pruned)
    hub.flush(SOON)

    assert heard.events == [pruned(1)]


def test_a_flush_returns_when_all_is_delivered_and_ends_the_threads(hub):
    heard = Heard()
    hub.subscribe(heard)
    hub.publish(*map(pruned, range(1_000)))

    hub.flush(SOON)

    assert heard.events == list(map(pruned, range(1_000)))
    hub.publish(pruned(1_000))
    heard.wait(Pruned, 1_001)


def test_a_flush_waits_no_longer_than_it_may_for_a_listener_that_hangs(hub):
    release, hangs = threading.Event(), threading.Event()
    hub.subscribe(lambda _event: (hangs.set(), release.wait(SOON)))
    hub.publish(pruned(1))
    assert hangs.wait(SOON)

    hub.flush(0.01)

    assert not release.is_set()
    release.set()


def test_what_is_told_in_a_transaction_comes_after_its_own_events(hub):
    heard = Heard()
    hub.subscribe(heard)

    hub.hold()
    hub.publish(pruned(2))
    hub.release([pruned(1)])
    hub.publish(pruned(3))

    assert heard.wait(Pruned, 3) == [pruned(1), pruned(2), pruned(3)]


def test_what_comes_before_the_number_of_the_node_is_known_gets_it(hub):
    heard = Heard()
    hub.subscribe(heard)

    hub.begin(runs_queues=True)
    hub.tell(Rescued, count=1)
    hub.set_number(7)

    assert heard.wait_one(Rescued).node == 7


def several(*ids):
    values = {each.name: each.name for each in fields(JobEnded) if each.name != "id"}
    return Several(JobEnded, values, ids)


def test_events_that_differ_in_their_jobs_alone_are_made_when_they_are_delivered(hub):
    heard = Heard()
    hub.subscribe(heard, [JobEnded, Pruned])

    hub.publish(pruned(1))
    hub.release([several(1, 2), several(3)])

    ended = heard.wait(JobEnded, 3)
    assert [each.id for each in ended] == [1, 2, 3]
    assert ended[0] == replace(an_event(JobEnded), id=1)
    assert heard.events[0] == pruned(1)


def test_events_that_differ_in_their_queue_times_have_each_its_own():
    differing = several(1, 2, 3)._replace(queue_times=[0.5, 0.0, 2.5]).first(2)

    made = list(differing.made())

    assert [(each.id, each.queue_time) for each in made] == [(1, 0.5), (2, 0.0)]
    assert made[0] == replace(an_event(JobEnded), id=1, queue_time=0.5)


def test_events_made_together_are_as_any_other():
    first, second = several(1, 2).made()

    assert vars(first) == asdict(first) == {**vars(second), "id": 1}
    assert pickle.loads(pickle.dumps(first)) == copy(first) == first  # noqa: S301 - it is our own
    vars(first)["queue"] = "other"
    assert first.queue == second.queue == "queue"


def test_those_for_which_there_is_no_room_are_dropped_one_by_one(hub):
    release, hangs = threading.Event(), threading.Event()
    stuck = hub.subscribe(lambda _event: (hangs.set(), release.wait(SOON)))
    hub.publish(pruned(1))
    assert hangs.wait(SOON)

    hub.release([several(*range(MOST_BUFFERED - 3)), several(*range(5)), several(1)])
    release.set()

    assert stuck.dropped == 3


@pytest.mark.parametrize("type_", sorted(EVENTS, key=lambda each: each.__name__))
def test_events_are_frozen_equal_by_value_and_can_be_pickled(type_):
    event = an_event(type_)

    assert type_(**vars(event)) == event
    assert pickle.loads(pickle.dumps(event)) == event  # noqa: S301 - it is our own
    with pytest.raises(AttributeError):
        event.at = AT

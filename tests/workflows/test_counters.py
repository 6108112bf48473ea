"""What a group counts and which callbacks are due, as values."""

from hypothesis import given
from hypothesis import strategies as st

from antq_actors.workflows import counters
from antq_actors.workflows.counters import End, Ends, Event, Group

members = st.lists(st.sampled_from(End), max_size=8)


def a_group(ends=(), *, is_closed=True, left=0):
    group = Group(total=len(ends) + left, is_closed=is_closed)
    for end in ends:
        group.ends.add(end)
    return group


def test_an_empty_group_has_ended_once_it_is_closed():
    group = Group()

    assert counters.take_due(group) == []
    group.is_closed = True
    assert counters.take_due(group) == [Event.SUCCESS, Event.COMPLETE]


def test_a_group_that_is_open_has_not_ended():
    group = a_group([End.COMPLETED], is_closed=False)

    assert not counters.has_ended(group)
    assert counters.take_due(group) == []


def test_the_first_failure_is_due_at_once():
    group = a_group([End.FAILED], is_closed=False, left=5)

    assert counters.take_due(group) == [Event.FAILURE]


def test_success_may_come_after_a_retry_and_nothing_comes_twice():
    group = a_group([End.FAILED])
    assert counters.take_due(group) == [Event.FAILURE, Event.COMPLETE]

    group.ends.add(End.FAILED, -1)
    assert counters.take_due(group) == []
    group.ends.add(End.COMPLETED)

    assert counters.take_due(group) == [Event.SUCCESS]


def test_what_nothing_needed_is_no_failure():
    group = a_group([End.UNNEEDED, End.COMPLETED])

    assert counters.take_due(group) == [Event.SUCCESS, Event.COMPLETE]
    assert counters.end_of(group) is End.COMPLETED


@given(members, st.booleans())
def test_ends_in_any_order_fire_each_event_once(ends, closes_first):
    group = Group(total=len(ends), is_closed=closes_first)
    fired = counters.take_due(group)

    for end in ends:
        group.ends.add(end)
        fired += counters.take_due(group)
    group.is_closed = True
    fired += counters.take_due(group)

    bad = {End.FAILED, End.CANCELLED} & set(ends)
    expected = {Event.COMPLETE, Event.FAILURE if bad else Event.SUCCESS}
    assert sorted(fired) == sorted(expected)


@given(members, members)
def test_what_is_taken_out_is_counted_no_more(kept, taken_out):
    ends = Ends()
    for end in kept + taken_out:
        ends.add(end)
    for end in taken_out:
        ends.add(end, -1)

    assert ends == a_group(kept).ends
    assert ends.total == len(kept)

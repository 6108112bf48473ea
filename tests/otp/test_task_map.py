"""TaskSupervisor.map: values in order, so many tasks at once and no more, and none left behind."""

import gc
import itertools
import math
import os
import threading
import time
from datetime import timedelta

import pytest
from probe import LONGEST, InThread, answering, raising
from supervised import BOOM, eventually, is_empty, kill, raise_anew

from antq_actors.otp import (
    CallCycle,
    CallExit,
    Crash,
    Killed,
    MaxChildren,
    Shutdown,
    TaskExit,
    TaskSupervisor,
    call,
    stop,
)


@pytest.fixture
def sup(start):
    return start(of=TaskSupervisor)


def double(item):
    return 2 * item


class Pulled:
    """An endless iterable of 0, 1, 2 …, that counts how many were taken."""

    def __init__(self):
        self.count = 0

    def __iter__(self):
        for item in itertools.count():
            self.count += 1
            yield item


class Busy:
    """Work that counts how much of it goes on at once; each piece waits for the word to end."""

    def __init__(self, items):
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0
        self._may_end = {item: threading.Event() for item in items}

    def __call__(self, item):
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        assert self._may_end[item].wait(LONGEST)
        with self._lock:
            self._now -= 1
        return item

    @property
    def now(self):
        with self._lock:
            return self._now

    def end(self, item):
        self._may_end[item].set()


# ---- values, in order -------------------------------------------------------------------------


@pytest.mark.parametrize("max_concurrency", [None, 1, 2, 3, 100])
def test_values_come_in_the_order_of_their_items(sup, max_concurrency):
    values = TaskSupervisor.map(sup, double, range(20), max_concurrency=max_concurrency)

    assert list(values) == [2 * item for item in range(20)]
    assert is_empty(sup)


def test_a_value_waits_for_those_before_it_whatever_is_ready_first(sup):
    second_is_done = threading.Event()

    def work(item):
        if item == "first":
            assert second_is_done.wait(LONGEST)
        else:
            second_is_done.set()
        return item

    values = TaskSupervisor.map(sup, work, ["first", "second"], max_concurrency=2)

    assert list(values) == ["first", "second"]


def test_without_items_there_are_no_values(sup):
    assert list(TaskSupervisor.map(sup, double, [])) == []


def test_values_may_be_taken_in_an_actor_and_in_a_thread_that_did_not_ask_for_them(start, sup):
    ref = start()

    def work(_me):
        return list(TaskSupervisor.map(sup, double, range(5), max_concurrency=2))

    values = call(ref, lambda _me: TaskSupervisor.map(sup, double, range(5), max_concurrency=2))

    assert call(ref, work) == [0, 2, 4, 6, 8]
    assert InThread(list, values).result() == [0, 2, 4, 6, 8]


# ---- how many at once -------------------------------------------------------------------------


@pytest.mark.parametrize("max_concurrency", [1, 2, 5])
def test_as_many_tasks_run_at_once_as_may_and_never_more(sup, max_concurrency):
    busy = Busy(range(20))
    values = TaskSupervisor.map(sup, busy, range(20), max_concurrency=max_concurrency)
    taking = InThread(list, values)

    for item in range(20):
        eventually(lambda item=item: busy.now == min(20 - item, max_concurrency))
        busy.end(item)

    assert taking.result() == list(range(20))
    assert busy.most == max_concurrency


def test_without_max_concurrency_there_are_as_many_tasks_as_processors(sup, endless):
    items = Pulled()

    with pytest.raises(TimeoutError):
        next(TaskSupervisor.map(sup, endless, items, timeout=0))

    assert items.count == os.cpu_count()


def test_nothing_starts_before_the_first_value_is_asked_for(sup):
    items = Pulled()

    values = TaskSupervisor.map(sup, double, items, max_concurrency=2)

    assert items.count == 0
    assert is_empty(sup)
    values.close()
    assert list(values) == []


def test_an_endless_iterable_is_taken_item_by_item(sup):
    items = Pulled()
    values = TaskSupervisor.map(sup, double, items, max_concurrency=3)

    for taken, value in zip(range(1, 50), values, strict=False):
        assert value == 2 * (taken - 1)
        assert items.count <= taken + 3

    values.close()
    assert is_empty(sup)


def test_values_that_are_not_taken_hold_up_the_tasks_after_them(sup):
    items = Pulled()
    values = TaskSupervisor.map(sup, double, items, max_concurrency=3)

    assert next(values) == 0
    eventually(lambda: is_empty(sup))

    assert items.count == 4
    values.close()


# ---- an item that comes to nothing ------------------------------------------------------------


def test_a_crash_is_raised_in_its_place_and_the_tasks_that_are_left_are_killed(sup, endless):
    work = {0: answering(0), 1: answering(1), 2: raising(BOOM)}
    values = TaskSupervisor.map(
        sup, lambda item: work.get(item, endless)(item), itertools.count(), max_concurrency=4
    )
    assert [next(values), next(values)] == [0, 1]

    with pytest.raises(TaskExit) as exited:
        next(values)

    assert exited.value.reason == Crash(BOOM)
    assert exited.value.__cause__ is BOOM
    assert is_empty(sup)
    assert list(values) == []


def test_a_crash_ends_nobody_but_its_task(start, sup, notes):
    ref = start(notes)

    def work(_me):
        with pytest.raises(TaskExit):
            list(TaskSupervisor.map(sup, raising(BOOM), range(3)))

    call(ref, work)

    assert call(ref, answering("lives")) == "lives"
    assert notes.is_empty()


def test_an_item_that_takes_too_long_raises_timeouterror_in_its_place_and_is_killed(sup, endless):
    values = TaskSupervisor.map(
        sup, lambda item: endless() if item else item, [0, 1, 2], max_concurrency=3, timeout=1.0
    )
    assert next(values) == 0
    endless.wait_begun(2)

    with pytest.raises(TimeoutError, match=r"took longer than 1.0 s, and was killed"):
        next(values)

    assert is_empty(sup)
    endless.wait_over(2)


def test_a_value_that_came_in_time_may_be_taken_later(sup):
    values = TaskSupervisor.map(sup, double, range(3), max_concurrency=3, timeout=2.0)
    assert next(values) == 0
    eventually(lambda: is_empty(sup))
    taken = time.monotonic()

    eventually(lambda: time.monotonic() > taken + 2.1)

    assert list(values) == [2, 4]


@pytest.mark.parametrize("timeout", [None, math.inf, timedelta(seconds=LONGEST)])
def test_a_timeout_may_be_a_timedelta_or_endless(sup, timeout):
    assert list(TaskSupervisor.map(sup, double, range(3), timeout=timeout)) == [0, 2, 4]


def test_an_iterable_that_raises_at_once_starts_nothing(sup):
    def items():
        raise_anew(BOOM)
        yield

    with pytest.raises(ValueError, match="boom"):
        list(TaskSupervisor.map(sup, double, items()))

    assert is_empty(sup)


def test_what_the_iterable_raises_comes_after_the_value_before_and_kills_the_rest(sup, endless):
    def items():
        yield from (0, 1)
        raise_anew(BOOM)

    values = TaskSupervisor.map(
        sup, lambda item: endless() if item else "value", items(), max_concurrency=2
    )

    assert next(values) == "value"
    endless.wait_begun()
    with pytest.raises(ValueError, match="boom"):
        next(values)

    assert is_empty(sup)
    endless.wait_over()


def test_a_supervisor_may_have_just_as_many_children_as_there_are_tasks_at_once(start):
    sup = start(2, of=TaskSupervisor)

    for _ in range(10):
        values = TaskSupervisor.map(sup, double, range(20), max_concurrency=2)
        assert list(values) == [2 * item for item in range(20)]


def test_a_supervisor_that_may_have_too_few_children_raises_maxchildren(start, endless):
    sup = start(2, of=TaskSupervisor)

    with pytest.raises(MaxChildren):
        next(TaskSupervisor.map(sup, endless, range(3), max_concurrency=3))

    assert is_empty(sup)


def test_when_the_supervisor_stops_the_values_that_are_left_do_not_come(sup, endless):
    values = TaskSupervisor.map(sup, endless, range(3), max_concurrency=2)
    taking = InThread(next, values)
    endless.wait_begun(2)

    stop(sup)

    with pytest.raises(TaskExit) as exited:
        taking.result()
    assert exited.value.reason == Shutdown()
    endless.wait_over(2)


def test_a_function_that_calls_the_actor_which_takes_the_values_gets_callcycle(start, sup):
    ref = start()

    def work(_me):
        with pytest.raises(TaskExit) as exited:
            list(TaskSupervisor.map(sup, lambda _item: call(ref, answering(1)), range(1)))
        return exited.value.reason.exception

    assert isinstance(call(ref, work), CallCycle)


# ---- nobody takes the rest --------------------------------------------------------------------


@pytest.mark.parametrize("let_go", ["close", "drop", "break"])
def test_tasks_whose_values_nobody_takes_any_more_are_killed(sup, endless, let_go):
    def taken():
        return TaskSupervisor.map(
            sup, lambda item: endless() if item else item, range(5), max_concurrency=3
        )

    if let_go == "break":
        for value in taken():
            assert value == 0
            endless.wait_begun(3)
            break
    else:
        values = taken()
        assert next(values) == 0
        endless.wait_begun(3)
        if let_go == "close":
            values.close()
        del values
    gc.collect()

    assert is_empty(sup)
    endless.wait_over(3)


@pytest.mark.parametrize(
    "end",
    [stop, kill, lambda ref: ref.tell(raising(BOOM))],
    ids=["stop", "kill", "crash"],
)
def test_the_end_of_the_actor_that_asked_kills_the_tasks_that_are_left(start, sup, endless, end):
    ref = start()
    values = call(
        ref,
        lambda _me: TaskSupervisor.map(
            sup, lambda item: endless() if item else item, range(5), max_concurrency=3
        ),
    )
    assert next(values) == 0
    endless.wait_begun(3)

    end(ref)

    endless.wait_over(3)
    eventually(lambda: is_empty(sup))
    with pytest.raises(TaskExit) as exited:
        next(values)
    assert exited.value.reason == Killed()


def test_an_actor_that_is_killed_while_it_takes_values_leaves_no_task_behind(start, sup, endless):
    ref = start()
    ref.tell(lambda _me: list(TaskSupervisor.map(sup, endless, range(5), max_concurrency=3)))
    endless.wait_begun(3)

    kill(ref)

    endless.wait_over(3)
    eventually(lambda: is_empty(sup))


def test_an_item_that_is_taken_after_the_asking_actor_has_ended_is_not_worked_on(
    start, sup, endless
):
    ref = start()
    values = call(ref, lambda _me: TaskSupervisor.map(sup, endless, range(5), max_concurrency=3))
    stop(ref)

    with pytest.raises(TaskExit) as exited:
        next(values)

    assert exited.value.reason == Killed()
    eventually(lambda: is_empty(sup))


def test_an_actor_that_goes_on_keeps_nothing_of_a_map_that_is_through(start, sup):
    ref = start()
    watchers = len(ref.cell._watchers)

    call(ref, lambda _me: list(TaskSupervisor.map(sup, double, range(20), max_concurrency=4)))

    assert len(ref.cell._watchers) == watchers


# ---- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "error"),
    [
        ({"max_concurrency": 0}, ValueError),
        ({"max_concurrency": -1}, ValueError),
        ({"max_concurrency": True}, TypeError),
        ({"max_concurrency": 1.5}, TypeError),
        ({"max_concurrency": "2"}, TypeError),
        ({"timeout": -1}, ValueError),
        ({"timeout": math.nan}, ValueError),
        ({"timeout": "5"}, TypeError),
        ({"concurrency": 2}, TypeError),
    ],
)
def test_a_bad_option_is_refused_before_the_first_value_is_asked_for(sup, option, error):
    items = Pulled()

    with pytest.raises(error, match=next(iter(option))):
        TaskSupervisor.map(sup, double, items, **option)

    assert items.count == 0


def test_what_is_no_iterable_or_no_destination_is_refused_likewise(sup):
    with pytest.raises(TypeError, match="iterable"):
        TaskSupervisor.map(sup, double, 5)
    with pytest.raises(TypeError, match="destination"):
        TaskSupervisor.map(None, double, [])


def test_a_supervisor_that_is_not_there_is_told_where_the_first_value_is_taken():
    values = TaskSupervisor.map("nobody", double, [1])

    with pytest.raises(CallExit, match="nobody"):
        next(values)

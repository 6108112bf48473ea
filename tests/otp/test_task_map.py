"""TaskSupervisor.map: values in order, so many tasks at once and no more, and none left behind.

Ends as values, in any order; tasks that are killed when they are late."""

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
    Ok,
    Shutdown,
    TaskExit,
    TaskSupervisor,
    call,
    exit,  # noqa: A004 - OTP's name
    stop,
)
from antq_actors.otp.messaging import timers


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


def test_an_item_that_takes_too_long_raises_timeouterror_and_is_killed(sup, endless, hangs):
    values = TaskSupervisor.map(sup, hangs(1, 2), [0, 1, 2], max_concurrency=3, timeout=1.0)
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
def test_tasks_whose_values_nobody_takes_any_more_are_killed(sup, endless, hangs, let_go):
    def taken():
        return TaskSupervisor.map(sup, hangs(1, 2, 3, 4), range(5), max_concurrency=3)

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
def test_the_end_of_the_actor_that_asked_kills_the_tasks_that_are_left(
    start, sup, endless, hangs, end
):
    ref = start()
    work = hangs(1, 2, 3, 4)
    values = call(ref, lambda _me: TaskSupervisor.map(sup, work, range(5), max_concurrency=3))
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
        ({"ordered": "no"}, TypeError),
        ({"ordered": None}, TypeError),
        ({"results": 1}, TypeError),
        ({"on_timeout": "kil"}, ValueError),
        ({"on_timeout": True}, TypeError),
        ({"on_timeout": None}, TypeError),
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


# ---- ends as values, in any order, and late tasks that are killed -------------------------------


SHORT = 0.5
"""Seconds that some take longer than; the others need next to none, also on a busy machine."""


def reasons(results):
    """The reason of each TaskExit, and everything else as it is."""
    return [each.reason if isinstance(each, TaskExit) else each for each in results]


def divide(item):
    return 12 // item


# ---- results=True -----------------------------------------------------------------------------


@pytest.mark.rule(85)
@pytest.mark.parametrize("max_concurrency", [1, 2, 10])
def test_the_end_of_each_item_is_a_value_and_nothing_is_raised(sup, max_concurrency):
    results = list(
        TaskSupervisor.map(
            sup, divide, [1, 0, 2, 0, 3], results=True, max_concurrency=max_concurrency
        )
    )

    assert [type(each) for each in results] == [Ok, TaskExit, Ok, TaskExit, Ok]
    assert [each.value for each in results if isinstance(each, Ok)] == [12, 6, 4]
    assert isinstance(results[1].reason.exception, ZeroDivisionError)
    assert results[1].__cause__ is results[1].reason.exception
    assert is_empty(sup)


def test_what_the_items_raise_is_raised_all_the_same(sup):
    def items():
        yield 1
        raise_anew(BOOM)

    results = TaskSupervisor.map(sup, divide, items(), results=True, max_concurrency=1)

    assert next(results) == Ok(12)
    with pytest.raises(ValueError, match="boom"):
        next(results)


@pytest.mark.parametrize("on_timeout", ["raise", "kill"])
def test_one_that_is_late_is_killed_and_so_has_its_end(sup, endless, hangs, on_timeout):
    options = {"timeout": SHORT, "on_timeout": on_timeout, "max_concurrency": 3}
    results = TaskSupervisor.map(sup, hangs(1), range(3), results=True, **options)

    assert reasons(results) == [Ok(0), Killed(), Ok(2)]
    endless.wait_over()


def test_a_supervisor_that_stops_is_the_end_of_what_runs_and_then_told(sup, endless):
    results = TaskSupervisor.map(
        sup, endless, range(9), results=True, timeout=None, max_concurrency=2
    )
    first = InThread(next, results)
    endless.wait_begun(2)

    stop(sup)

    assert not isinstance(first.result(), Ok)
    with pytest.raises(CallExit):
        list(results)
    endless.wait_over(2)


# ---- on_timeout="kill" ------------------------------------------------------------------------


@pytest.mark.rule(85)
@pytest.mark.parametrize("ordered", [True, False])
def test_the_places_of_those_that_are_killed_are_free_for_the_next(sup, endless, hangs, ordered):
    options = {"ordered": ordered, "timeout": SHORT, "on_timeout": "kill", "max_concurrency": 2}
    results = TaskSupervisor.map(sup, hangs(1, 3, 5), range(6), results=True, **options)

    ends = reasons(results)

    assert sorted(each.value for each in ends if isinstance(each, Ok)) == [0, 2, 4]
    assert ends.count(Killed()) == 3
    if ordered:
        assert ends == [Killed() if item % 2 else Ok(item) for item in range(6)]
    endless.wait_over(3)
    eventually(lambda: is_empty(sup))


@pytest.mark.rule(85)
def test_without_results_it_is_raised_in_its_place_and_the_others_go_on(sup, endless, hangs):
    values = TaskSupervisor.map(
        sup, hangs(1), range(4), timeout=SHORT, on_timeout="kill", max_concurrency=2
    )

    assert next(values) == 0
    with pytest.raises(TaskExit) as exited:
        next(values)
    assert exited.value.reason == Killed()
    assert list(values) == [2, 3]
    endless.wait_over()


def test_a_crash_beside_it_is_still_the_end_of_all(sup, endless):
    values = TaskSupervisor.map(
        sup,
        lambda item: endless() if item else raising(BOOM)(),
        range(4),
        on_timeout="kill",
        timeout=LONGEST,
        max_concurrency=2,
    )

    with pytest.raises(TaskExit) as exited:
        list(values)

    assert exited.value.reason == Crash(BOOM)
    assert is_empty(sup)
    assert list(values) == []


def test_one_that_somebody_else_kills_is_no_late_one(sup, endless):
    values = TaskSupervisor.map(sup, endless, range(4), on_timeout="kill", timeout=LONGEST)
    taking = InThread(next, values)
    endless.wait_begun()

    for child in TaskSupervisor.which_children(sup):
        exit(child.ref, Killed())

    with pytest.raises(TaskExit):
        taking.result()
    assert list(values) == []
    eventually(lambda: is_empty(sup))


def test_late_ones_are_killed_also_while_nobody_takes_values(sup, endless, hangs):
    options = {"timeout": SHORT, "on_timeout": "kill", "max_concurrency": 3}
    results = TaskSupervisor.map(sup, hangs(1, 2), range(3), results=True, **options)

    assert next(results) == Ok(0)
    endless.wait_over(2)

    assert reasons(results) == [Killed(), Killed()]


def test_a_supervisor_with_just_enough_places_has_them_when_late_ones_are_killed(start, endless):
    sup = start(2, of=TaskSupervisor)

    results = TaskSupervisor.map(
        sup, endless, range(40), results=True, timeout=0, on_timeout="kill", max_concurrency=2
    )

    assert reasons(results) == [Killed()] * 40


def test_without_a_timeout_nobody_is_killed(sup):
    values = TaskSupervisor.map(sup, divide, [1, 2], on_timeout="kill", timeout=None)

    assert list(values) == [12, 6]


@pytest.mark.parametrize("let_go", ["close", "drop", "end of the actor"])
@pytest.mark.parametrize("options", [{}, {"ordered": False}, {"results": True}], ids=str)
def test_an_iterator_that_nobody_takes_from_leaves_no_task(start, sup, endless, let_go, options):
    def taken(_me):
        options.update(timeout=LONGEST, on_timeout="kill", max_concurrency=3)
        return TaskSupervisor.map(sup, lambda n: endless() if n else n, range(5), **options)

    ref = start()
    values = call(ref, taken)
    assert next(values) in (0, Ok(0))
    endless.wait_begun(3)

    if let_go == "close":
        values.close()
        assert list(values) == []
    elif let_go == "drop":
        del values
        gc.collect()
    else:
        kill(ref)

    endless.wait_over(3)
    eventually(lambda: is_empty(sup))


def test_the_timers_of_a_map_go_with_it(sup):
    before = len(timers._timer_thread._heap)
    values = TaskSupervisor.map(
        sup, divide, [1, 2, 3], on_timeout="kill", timeout=LONGEST, max_concurrency=1
    )

    assert list(values) == [12, 6, 4]

    assert sum(entry[2] is not None for entry in timers._timer_thread._heap) <= before


# ---- ordered=False ----------------------------------------------------------------------------


@pytest.mark.rule(85)
@pytest.mark.parametrize("results", [True, False])
def test_values_come_as_they_are_there(sup, results):
    may_end = [threading.Event() for _ in range(3)]

    def work(item):
        assert may_end[item].wait(LONGEST)
        return item

    values = TaskSupervisor.map(
        sup, work, range(3), ordered=False, results=results, max_concurrency=3, timeout=LONGEST
    )
    taken = []
    for item in (2, 0, 1):
        may_end[item].set()
        taken.append(next(values))

    assert taken == [Ok(2), Ok(0), Ok(1)] if results else [2, 0, 1]
    assert list(values) == []


@pytest.mark.parametrize("max_concurrency", [None, 1, 2, 3, 100])
def test_all_values_come_once_in_whatever_order(sup, max_concurrency):
    values = TaskSupervisor.map(
        sup, lambda item: item, range(50), ordered=False, max_concurrency=max_concurrency
    )

    assert sorted(values) == list(range(50))
    assert is_empty(sup)


def test_no_more_tasks_than_may_run_or_wait_to_be_taken(sup):
    started = itertools.count()
    values = TaskSupervisor.map(
        sup, lambda _item: next(started), itertools.count(), ordered=False, max_concurrency=3
    )

    for taken in range(1, 30):
        next(values)
        eventually(lambda: is_empty(sup))
        assert next(started) <= 2 * taken + 3  # this line counts, too

    values.close()


def test_a_slow_one_does_not_hold_up_the_others(sup, gate):
    values = TaskSupervisor.map(
        sup,
        lambda item: gate() if item == 0 else item,
        range(20),
        ordered=False,
        max_concurrency=2,
        timeout=LONGEST,
    )

    assert sorted(itertools.islice(values, 19)) == list(range(1, 20))
    gate.open()
    assert list(values) == ["through"]


def test_one_that_takes_too_long_raises_timeouterror_also_without_order(sup, endless, hangs):
    values = TaskSupervisor.map(
        sup, hangs(0), range(3), ordered=False, max_concurrency=3, timeout=1.0
    )

    assert sorted(itertools.islice(values, 2)) == [1, 2]
    with pytest.raises(TimeoutError, match=r"took longer than 1\.0 s, and was killed"):
        next(values)
    assert is_empty(sup)
    endless.wait_over()


def test_a_crash_is_raised_when_it_comes(sup, endless):
    work = {0: endless, 1: raising(BOOM)}
    values = TaskSupervisor.map(
        sup, lambda item: work[item](), range(2), ordered=False, max_concurrency=2
    )

    with pytest.raises(TaskExit) as exited:
        next(values)

    assert exited.value.reason == Crash(BOOM)
    assert is_empty(sup)
    endless.wait_over()


def test_the_last_one_that_calls_who_waits_for_it_gets_callcycle(start, sup):
    ref = start()

    def work(_me):
        return list(
            TaskSupervisor.map(
                sup,
                lambda _item: call(ref, answering(1)),
                range(1),
                ordered=False,
                results=True,
            )
        )

    [exited] = call(ref, work)

    assert isinstance(exited.reason.exception, CallCycle)


def test_a_map_that_is_through_leaves_nothing_in_who_asked_for_it(start, sup):
    ref = start()
    watchers = len(ref.cell._watchers)

    for ordered in (True, False):
        call(
            ref,
            lambda _me, ordered=ordered: list(
                TaskSupervisor.map(
                    sup, divide, [1, 0, 2], ordered=ordered, results=True, max_concurrency=2
                )
            ),
        )

    assert len(ref.cell._watchers) == watchers


def test_tasks_that_end_as_their_time_does_have_one_end_each(sup):
    began = time.monotonic()
    results = list(
        TaskSupervisor.map(
            sup,
            lambda _item: time.monotonic(),
            range(500),
            results=True,
            ordered=False,
            timeout=0.0002,
            on_timeout="kill",
            max_concurrency=4,
        )
    )

    assert len(results) == 500
    assert {type(each) for each in results} <= {Ok, TaskExit}
    assert all(each.reason == Killed() for each in results if isinstance(each, TaskExit))
    assert time.monotonic() - began < LONGEST

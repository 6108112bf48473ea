"""The numbers and the edges of gates, each as a case."""

import pytest

from antq_actors.flow import gates
from antq_actors.flow.gates import MOST_HOLDERS, NO_NUMBERS, Gate, Limit, Numbers, Room
from antq_actors.flow.limits import DISCARD, REPLACE, ConcurrencyRule, LimitRule, RateRule

NOW = 1_000
NANOSECONDS = 1_000


def a_limit(rate=None, **concurrency):
    rule = ConcurrencyRule(**concurrency) if concurrency else None
    return Limit(LimitRule("pay", keyed=True, concurrency=rule, rate=rate))


def test_a_gate_has_one_room_for_each_queue():
    gate = Gate()

    mail, web = gate.room("mail"), gate.room("web")

    assert (mail, web) == (Room("mail"), Room("web"))
    assert gate.rooms == [mail, web]
    assert gate.room("mail") is mail
    assert gate.room("web") is web


def test_a_copy_of_a_limit_has_all_that_was_set():
    limit = Limit(LimitRule("pay", keyed=True), Numbers(limit=2), 7, is_paused=True)
    other = LimitRule("pay", keyed=True, rate=RateRule(1, 10))

    same, changed = gates.copy_of(limit), gates.copy_of(limit, other)

    assert same == limit
    assert same is not limit
    assert changed == Limit(other, Numbers(limit=2), 7, is_paused=True)


def test_a_limit_is_passed_where_it_was_when_it_was_declared_first():
    fair, strict = (
        LimitRule("pay", keyed=True, concurrency=ConcurrencyRule(1, strict=strict))
        for strict in (False, True)
    )
    for first, other in ((fair, strict), (strict, fair)):
        limit = Limit(first)
        for rule in (other, first, other):
            limit = gates.copy_of(gates.copy_of(limit, rule))
            assert limit.rule == rule
            assert gates.passes_first(limit) is (first is strict)


@pytest.mark.parametrize(
    "setting", [{"is_paused": True}, {"closed_until": 1}, {"numbers": Numbers(burst=2)}]
)
def test_what_was_set_at_runtime_is_seen(setting):
    assert gates.has_settings(Gate(**setting)) is True
    assert gates.has_settings(Gate(refused_until=1)) is True
    assert gates.has_settings(Limit(LimitRule("pay", keyed=True), **setting)) is True
    assert gates.has_settings(Gate(running=1)) is False
    assert gates.has_settings(Limit(LimitRule("pay", keyed=True), Numbers())) is False


def test_the_jobs_in_all_rooms_wait_and_those_in_front():
    rooms = [Room("mail", waiting=2, head=5), Room("web", waiting=3), Room("api", head=6)]

    assert gates.waiting_in(Gate(rooms=rooms)) == 7
    assert gates.waiting_in(Gate()) == 0


def test_the_holder_of_a_gate_is_who_runs_or_else_who_is_in_front():
    rooms = [Room("mail", waiting=1), Room("web", head=5), Room("api", head=6)]

    assert gates.holder_in(Gate(running=1, holders=[9, 8], rooms=rooms)) == 9
    assert gates.holder_in(Gate(rooms=rooms)) == 5
    assert gates.holder_in(Gate(rooms=rooms[:1])) is None


# ---- the rule in force ------------------------------------------------------------------------


def test_without_a_rate_there_is_none():
    assert gates.rate_of(None, Gate()) is None
    assert gates.rate_of(a_limit(limit=1), Gate(numbers=Numbers(limit=3))) is None


def test_each_number_of_a_rate_can_be_set_alone():
    limit = a_limit(RateRule(4, 40, 3))

    def numbers(**numbers):
        return gates.rate_of(limit, Gate(numbers=Numbers(**numbers)))

    assert numbers() == RateRule(4, 40, 3)
    assert numbers(limit=9) == RateRule(9, 40, 3)
    assert numbers(per=9) == RateRule(4, 9, 3)
    assert numbers(burst=9) == RateRule(4, 40, 9)
    fixed = a_limit(RateRule(4, 40, fixed=True))
    assert gates.rate_of(fixed, Gate(numbers=Numbers(limit=9))) == RateRule(9, 40, fixed=True)


def test_a_job_weighs_one_if_nothing_else_is_said():
    limit, gate = a_limit(RateRule(1, 10, burst=2)), Gate()
    gates.take(limit, gate, 1, NOW)

    assert gates.closed_by(limit, gate, NOW) is None
    assert gates.closed_by(limit, gate, NOW, 2) is not None
    assert gates.rate_opens_at(limit.rule.rate, gate, NOW) == 0
    assert gates.rate_opens_at(limit.rule.rate, gate, NOW, 2) == NOW + 10


def test_a_pause_from_the_beginning_of_time_is_a_pause():
    assert gates.closed_by(a_limit(RateRule(1, 10)), Gate(closed_until=5), 0).why == "paused"


def test_the_later_of_a_refusal_and_a_rate_opens_a_gate():
    limit = a_limit(RateRule(1, 10))
    spent = (NOW + 10) * NANOSECONDS

    def closed(limit, **record):
        return gates.closed_by(limit, Gate(**record), NOW)

    assert closed(limit, refused_until=NOW + 3) == gates.Closed("rate", NOW + 3)
    assert closed(None, refused_until=NOW + 3) == gates.Closed("rate", NOW + 3)
    assert closed(limit, refused_until=NOW + 3, full_at=spent) == gates.Closed("rate", NOW + 10)
    assert closed(limit, refused_until=NOW + 13, full_at=spent) == gates.Closed("rate", NOW + 13)
    assert closed(limit, refused_until=NOW, closed_until=NOW + 3) == gates.Closed("paused", NOW + 3)
    assert closed(limit, refused_until=NOW) is None


def test_jobs_pass_a_limit_where_they_did_before_whatever_its_order_is_now():
    fair = a_limit(limit=1)
    strict = a_limit(limit=1, strict=True)

    assert gates.passes_first(strict) is True
    assert gates.passes_first(fair) is False
    assert gates.copy_of(fair) == fair
    now_strict, now_fair = gates.copy_of(fair, strict.rule), gates.copy_of(strict, fair.rule)
    assert (gates.is_strict(now_strict), gates.passes_first(now_strict)) == (True, False)
    assert (gates.is_strict(now_fair), gates.passes_first(now_fair)) == (False, True)
    again = gates.copy_of(now_strict, fair.rule)
    assert again == fair


# ---- a new job is refused ---------------------------------------------------------------------

FULL = "the limit 'pay' is full: 2 of 2 jobs run"
AT_KEY = "the limit 'pay' at the key 'eu' is full: 2 of 2 jobs run"


def waits(number, head=0):
    return [Room("mail", waiting=number, head=head)]


@pytest.mark.parametrize(
    ("limit", "gate", "refusal"),
    [
        (None, Gate(running=9), None),
        (a_limit(RateRule(1, 10)), Gate(running=9), None),
        (a_limit(limit=2), Gate(running=9), None),
        (a_limit(limit=2, when_full=REPLACE), Gate(running=9), None),
        (a_limit(limit=2, when_full=DISCARD), Gate(running=1), None),
        (
            a_limit(limit=2, when_full=DISCARD),
            Gate(running=2),
            f"{FULL}, and when_full is 'discard'",
        ),
        (
            a_limit(limit=2, when_full=DISCARD),
            Gate("eu", running=2),
            f"{AT_KEY}, and when_full is 'discard'",
        ),
        (a_limit(limit=2, when_full=DISCARD), Gate(numbers=Numbers(3), running=2), None),
        (
            a_limit(limit=3, when_full=DISCARD),
            Gate(numbers=Numbers(2), running=2),
            f"{FULL}, and when_full is 'discard'",
        ),
        (a_limit(limit=2, max_waiting=3), Gate(running=2, rooms=waits(2)), None),
        (a_limit(limit=2, max_waiting=3), Gate(running=1, rooms=waits(3)), None),
        (
            a_limit(limit=2, max_waiting=3),
            Gate(running=2, rooms=waits(2, head=9)),
            f"{FULL}, 3 wait, and max_waiting is 3",
        ),
        (
            a_limit(limit=2, max_waiting=0),
            Gate("eu", running=2),
            f"{AT_KEY}, 0 wait, and max_waiting is 0",
        ),
        (a_limit(limit=2, max_waiting=0), Gate(running=1), None),
        (a_limit(limit=2, when_full=DISCARD, max_waiting=0), Gate(running=1), None),
    ],
)
def test_a_new_job_is_refused_where_it_may_not_even_wait(limit, gate, refusal):
    assert gates.refused_by(limit, gate) == refusal


def test_what_a_limit_does_is_said_by_its_concurrency():
    assert gates.replaces(a_limit(limit=1, when_full=REPLACE)) is True
    assert gates.replaces(a_limit(limit=1, when_full=DISCARD)) is False
    assert gates.replaces(a_limit(RateRule(1, 10))) is False
    assert gates.is_strict(a_limit(limit=1, strict=True)) is True
    for none in (a_limit(limit=1), a_limit(RateRule(1, 10)), None):
        assert gates.is_strict(none) is False
    assert gates.halts(a_limit(limit=1, strict=True, halt_on_failure=True)) is True
    for none in (
        a_limit(limit=1, strict=True),
        a_limit(limit=1, halt_on_failure=True),
        a_limit(RateRule(1, 10)),
        None,
    ):
        assert gates.halts(none) is False


# ---- rates ------------------------------------------------------------------------------------

FIXED = RateRule(3, 10, fixed=True)


@pytest.mark.parametrize(
    ("window", "used", "weight", "opens_at"),
    [
        (100, 2, 1, 0),
        (100, 3, 1, 1_010),
        (100, 2, 2, 1_010),
        (100, 0, 9, 0),
        (99, 3, 1, 0),  # over
        (101, 3, 1, 1_020),  # the clock was set back by one window
        (101, 2, 1, 0),
        (102, 3, 1, 0),  # by more
    ],
)
def test_a_fixed_window_opens_at_its_end(window, used, weight, opens_at):
    assert gates.rate_opens_at(FIXED, Gate(window=window, used=used), NOW, weight) == opens_at


@pytest.mark.parametrize(
    ("window", "counted"), [(99, (100, 2)), (100, (100, 3)), (101, (101, 3)), (102, (100, 2))]
)
def test_starts_are_counted_in_a_window(window, counted):
    gate = Gate(window=window, used=1)

    gates.count_starts(FIXED, gate, NOW, 2)

    assert (gate.window, gate.used, gate.full_at) == (*counted, 0)


def test_a_rate_opens_at_the_next_whole_microsecond():
    rate, gate = RateRule(3, 10), Gate()
    gates.count_starts(rate, gate, NOW, 1)

    assert gate.full_at == NOW * NANOSECONDS + 3_334
    opens_at = gates.rate_opens_at(rate, gate, NOW)
    assert (opens_at, type(opens_at)) == (NOW + 4, int)
    assert gates.rate_opens_at(rate, gate, NOW + 3) == NOW + 4
    assert gates.rate_opens_at(rate, gate, NOW + 4) == 0
    assert gates.rate_opens_at(rate, gate, NOW + 9) == 0


@pytest.mark.parametrize(
    ("full_at", "weight", "reach"),
    [
        (NOW * NANOSECONDS + 1, 1, 9),
        (NOW * NANOSECONDS, 1, 2),
        (NOW * NANOSECONDS - 1, 1, 2),
        (0, 4, 4),
        (NOW * NANOSECONDS + 1, 12, 12),
    ],
)
def test_the_largest_burst_or_weight_is_kept_until_all_starts_are_over(full_at, weight, reach):
    gate = Gate(full_at=full_at, reach=9)

    gates.count_starts(RateRule(1, 10, burst=2), gate, NOW, weight)

    assert gate.reach == reach


@pytest.mark.parametrize(
    ("window", "used", "left"),
    [
        (99, 3, 3),
        (100, 0, 3),
        (100, 1, 2),
        (100, 3, 0),
        (100, 5, 0),
        (101, 1, 2),
        (102, 1, 3),
    ],
)
@pytest.mark.parametrize("now", [NOW, NOW + 9])
def test_what_is_left_of_a_window_may_start(window, used, left, now):
    assert gates.starts_left(FIXED, Gate(window=window, used=used), now) == left


@pytest.mark.parametrize(
    ("ahead", "left"), [(-5, 3), (0, 3), (1, 2), (10_000, 2), (10_001, 1), (30_000, 0), (50_000, 0)]
)
def test_what_is_left_of_a_burst_may_start(ahead, left):
    gate = Gate(full_at=NOW * NANOSECONDS + ahead)

    found = gates.starts_left(RateRule(1, 10, burst=3), gate, NOW)

    assert (found, type(found)) == (left, int)


@pytest.mark.parametrize(
    ("old", "new"),
    [(None, RateRule(1, 10)), (RateRule(1, 10), None), (RateRule(1, 10), FIXED), (None, None)],
)
def test_a_rate_of_another_kind_begins_anew(old, new):
    gate = Gate(full_at=5, window=6, used=7)

    gates.rescale(gate, old, new, NOW)

    assert (gate.full_at, gate.window, gate.used) == (0, 0, 0)


@pytest.mark.parametrize(
    ("window", "used"), [(99, 0), (100, 2), (101, 2), (102, 0)], ids=["over", "now", "back", "far"]
)
@pytest.mark.parametrize("now", [NOW, NOW + 9])
def test_the_starts_of_a_window_count_in_the_new_one(window, used, now):
    gate = Gate(window=window, used=2)

    gates.rescale(gate, FIXED, RateRule(1, 300, fixed=True), now)

    assert (gate.window, gate.used, gate.full_at) == (3, used, 0)


@pytest.mark.parametrize(("ahead", "rescaled"), [(7_000, 14_000), (7_001, 14_002), (0, 0), (-9, 0)])
def test_time_is_rescaled(ahead, rescaled):
    gate = Gate(full_at=NOW * NANOSECONDS + ahead)

    gates.rescale(gate, RateRule(1, 10), RateRule(1, 20), NOW)

    assert (gate.full_at, type(gate.full_at)) == (NOW * NANOSECONDS + rescaled, int)


def test_a_rescaled_time_is_rounded_up():
    gate = Gate(full_at=NOW * NANOSECONDS + 7)

    gates.rescale(gate, RateRule(1, 10), RateRule(2, 10), NOW)

    assert gate.full_at == NOW * NANOSECONDS + 4


def test_only_what_no_start_can_have_left_behind_is_cut():
    rate, at = RateRule(1, 10, burst=2), NOW * NANOSECONDS
    limit = a_limit(rate)

    def cut(limit, **record):
        gate = Gate(**record)
        gates.cut(limit, gate, NOW)
        return gate.full_at

    assert cut(limit, full_at=at + 30_000) == at + 30_000
    assert cut(limit, full_at=at + 30_001) == at + 30_000
    assert cut(limit, full_at=at + 99_000, reach=4) == at + 50_000
    assert cut(limit, full_at=at + 99_000, reach=1) == at + 30_000
    assert cut(a_limit(limit=1), full_at=at + 99_000) == at + 99_000
    assert cut(a_limit(FIXED), full_at=at + 99_000) == at + 99_000


@pytest.mark.parametrize(("ahead", "used"), [(0, 3), (1, 3), (2, 0), (1_000, 0), (-1, 3)])
def test_a_window_that_is_far_ahead_is_cut(ahead, used):
    gate = Gate(window=NOW // FIXED.per + ahead, used=3)

    gates.cut(a_limit(FIXED), gate, NOW)

    assert gate.used == used


# ---- jobs pass, and gates are forgotten -------------------------------------------------------


def test_no_more_than_a_hundred_holders_are_kept():
    gate = Gate()
    for id_ in range(1, MOST_HOLDERS + 2):
        gates.take(None, gate, id_, NOW)

    assert gate.holders == list(range(1, MOST_HOLDERS + 1))
    assert gate.running == MOST_HOLDERS + 1
    gates.release(gate, MOST_HOLDERS + 1)
    assert (gate.running, len(gate.holders)) == (MOST_HOLDERS, MOST_HOLDERS)


def test_no_less_than_none_run():
    gate = Gate()
    gates.release(gate, 1)

    assert gate.running == 0


def test_numbers_that_say_nothing_are_not_worth_keeping():
    assert gates.is_idle(Gate(numbers=Numbers())) is True
    assert gates.is_idle(Gate(numbers=NO_NUMBERS)) is True


@pytest.mark.parametrize(
    ("rate", "gate", "forgotten_at"),
    [
        (None, Gate(closed_until=7), 7),
        (None, Gate(closed_until=7, refused_until=8), 8),
        (RateRule(1, 10), Gate(full_at=100_001, refused_until=102), 102),
        (RateRule(1, 10), Gate(full_at=100_001), 101),
        (RateRule(1, 10), Gate(full_at=100_001, closed_until=102), 102),
        (FIXED, Gate(window=5, used=1), 60),
        (FIXED, Gate(window=5, used=1, closed_until=61), 61),
        (FIXED, Gate(window=5), 0),
    ],
)
def test_an_idle_gate_is_forgotten_when_nothing_is_left_of_it(rate, gate, forgotten_at):
    found = gates.forgotten_at(a_limit(rate), gate)

    assert (found, type(found)) == (forgotten_at, int)

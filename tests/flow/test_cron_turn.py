"""What becomes of a periodic job when its time has come, or the clock or its code has changed."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors.flow.cron import Cron, Every
from antq_actors.flow.cron_turn import Firing, at_boot, at_start, decide, jitter_of

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
YEAR = 365 * DAY
NOON = (datetime(2026, 5, 4, 12, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
    microseconds=1
)


def turn(entry, *, next_at, now, last_at=None, active=False):
    return decide(
        entry, name="report", next_at=next_at, last_at=last_at, now=now, last_is_active=active
    )


def started(entry, *, next_at, now, last_at=None, **changed):
    return at_start(entry, name="report", next_at=next_at, last_at=last_at, now=now, **changed)


# ---- an instant ---------------------------------------------------------------------------------


@pytest.mark.parametrize("missed", ["once", "skip", "all"])
def test_an_instant_that_has_come_gets_its_job(missed):
    entry = Cron("@hourly", missed=missed)

    firing = turn(entry, next_at=NOON, now=NOON + 3)

    assert firing == Firing(instants=(NOON,), next_at=NOON + HOUR)


def test_before_its_instant_nothing_happens():
    assert turn(Cron("@hourly"), next_at=NOON, now=NOON - 1) == Firing(next_at=NOON)


def test_the_next_instant_follows_the_nominal_one_however_late_the_turn():
    firing = turn(Every(3_600), next_at=NOON, now=NOON + 59 * 60 * SECOND)

    assert firing.next_at == NOON + HOUR


# ---- C11: a downtime of a day -------------------------------------------------------------------

MISSED_HOURS = tuple(NOON + n * HOUR for n in range(25))


@pytest.mark.parametrize(
    ("options", "instants", "missed"),
    [
        ({"missed": "once"}, MISSED_HOURS[-1:], 24),
        ({"missed": "skip"}, (), 25),  # the last one is 5 minutes late
        ({"missed": "skip", "grace": 300}, MISSED_HOURS[-1:], 24),
        ({"missed": "skip", "grace": 299.999_999}, (), 25),
        ({"missed": "skip", "grace": timedelta(hours=3)}, MISSED_HOURS[-3:], 22),
        ({"missed": "skip", "grace": timedelta(days=9)}, MISSED_HOURS, 0),
        ({"missed": "all"}, MISSED_HOURS, 0),
        ({"missed": "all", "max_missed": 25}, MISSED_HOURS, 0),
        ({"missed": "all", "max_missed": 24}, MISSED_HOURS[1:], 1),
        ({"missed": "all", "max_missed": 1}, MISSED_HOURS[-1:], 24),
    ],
)
@pytest.mark.parametrize(
    "kind",
    [lambda **options: Cron("@hourly", **options), lambda **options: Every(3_600, **options)],
)
def test_after_a_downtime_of_a_day_missed_says_which_instants_get_a_job(
    kind, options, instants, missed
):
    firing = turn(kind(**options), next_at=NOON, now=NOON + DAY + 300 * SECOND)

    assert firing.instants == instants
    assert firing.missed == missed
    assert firing.next_at == NOON + DAY + HOUR


def test_a_year_of_missed_seconds_is_counted_exactly():
    entry = Cron("* * * * * *")

    firing = turn(entry, next_at=NOON, now=NOON + YEAR)

    assert (firing.instants, firing.missed) == ((NOON + YEAR,), 365 * 86_400)


def test_instants_left_out_of_all_are_logged_with_the_name_and_the_number():
    entry = Cron("@hourly", missed="all", max_missed=5)

    firing = turn(entry, next_at=NOON, now=NOON + DAY)

    assert firing.warning == (
        "periodic job 'report': 25 instants have passed, and the newest 5 of them are made up for;"
        " 20 are left out (max_missed=5)"
    )
    assert turn(Cron("@hourly"), next_at=NOON, now=NOON + DAY).warning is None


@pytest.mark.parametrize("missed", ["once", "skip", "all"])
def test_an_entry_goes_on_after_thousands_of_missed_instants(missed):
    entry = Every(1, missed=missed)

    firing = turn(entry, next_at=NOON, now=NOON + DAY)

    assert len(firing.instants) == {"once": 1, "skip": 61, "all": 100}[missed]
    assert len(firing.instants) + firing.missed == 86_401
    assert firing.instants[-1] == NOON + DAY
    assert firing.next_at == NOON + DAY + SECOND


def test_an_instant_of_which_a_microsecond_is_missing_has_not_passed():
    firing = turn(Cron("@hourly", missed="all"), next_at=NOON - HOUR, now=NOON + HOUR - 1)

    assert firing == Firing(instants=(NOON - HOUR, NOON), next_at=NOON + HOUR)


def test_lateness_is_exact_to_the_microsecond():
    entry = Cron("@hourly", missed="skip", grace=3_600)

    before = turn(entry, next_at=NOON - 2 * HOUR, now=NOON + HOUR - 1)
    between = turn(entry, next_at=NOON + 1, now=NOON + HOUR + 1)

    assert (before.instants, before.missed) == ((NOON,), 2)
    assert (between.instants, between.missed) == ((NOON + 1, NOON + HOUR), 0)


def test_the_instant_in_the_store_gets_a_job_also_where_this_process_knows_none_there():
    firing = turn(Cron("@hourly", missed="all"), next_at=NOON + 1, now=NOON + 2 * HOUR)

    assert firing.instants == (NOON + 1, NOON + HOUR, NOON + 2 * HOUR)
    assert firing.missed == 0
    just_before = turn(Cron("@hourly", missed="all"), next_at=NOON - 1, now=NOON)
    assert just_before == Firing(instants=(NOON - 1, NOON), next_at=NOON + HOUR)


# ---- C13: the last job has not ended ------------------------------------------------------------


@pytest.mark.parametrize(
    ("overlap", "active", "firing"),
    [
        ("skip", False, Firing(instants=(NOON,))),
        ("skip", True, Firing(skipped=1)),
        ("allow", True, Firing(instants=(NOON,))),
        ("cancel", False, Firing(instants=(NOON,))),
        ("cancel", True, Firing(instants=(NOON,), cancels_last=True)),
    ],
)
def test_overlap_says_what_happens_while_the_last_job_has_not_ended(overlap, active, firing):
    entry = Cron("@hourly", overlap=overlap)

    assert turn(entry, next_at=NOON, now=NOON, active=active) == firing._replace(
        next_at=NOON + HOUR
    )
    assert at_boot(Cron("@reboot", overlap=overlap), now=NOON, last_is_active=active) == firing


def test_what_overlap_leaves_out_is_skipped_and_what_nobody_ran_is_missed():
    entry = Cron("@hourly", missed="all", max_missed=5)

    firing = turn(entry, next_at=NOON, now=NOON + DAY, active=True)

    assert (firing.instants, firing.skipped, firing.missed) == ((), 5, 20)


def test_without_an_instant_to_fire_the_last_job_is_not_cancelled():
    entry = Cron("@hourly", missed="skip", overlap="cancel")

    firing = turn(entry, next_at=NOON, now=NOON + 300 * SECOND, active=True)

    assert firing == Firing(next_at=NOON + HOUR, missed=1)


# ---- C19 and C20: the clock was changed ---------------------------------------------------------


@pytest.mark.parametrize("back", [1, SECOND, 59 * SECOND, 60 * SECOND])
def test_a_clock_that_is_set_back_by_up_to_a_minute_is_waited_for(back):
    entry = Every(1)

    firing = turn(entry, last_at=NOON, next_at=NOON + SECOND, now=NOON - back)

    assert firing == Firing(next_at=NOON + SECOND)


@pytest.mark.parametrize("back", [61 * SECOND, HOUR, YEAR])
@pytest.mark.parametrize("entry", [Every(1), Cron("* * * * * *"), Cron("* * * * *")])
def test_a_clock_that_is_set_back_by_more_starts_the_entry_anew_and_is_logged(entry, back):
    now = NOON - back
    next_at = entry.next_after(NOON)

    firing = turn(entry, last_at=NOON, next_at=next_at, now=now)

    assert firing.next_at == entry.next_after(now)
    assert firing.instants == ()
    assert "'report'" in firing.warning
    assert "set back" in firing.warning
    assert started(entry, last_at=NOON, next_at=next_at, now=now) == firing


@pytest.mark.parametrize("before", [1, SECOND, 60 * SECOND])
def test_a_node_that_saw_the_clock_set_back_waits_for_no_instant_that_comes_again(before):
    state = {"last_at": NOON, "next_at": NOON + HOUR, "now": NOON - before}

    firing = started(Cron("@hourly"), **state, is_set_back=True)

    assert firing.next_at == NOON
    assert "'report'" in firing.warning
    assert started(Cron("@hourly"), **state) == Firing(next_at=NOON + HOUR)


@pytest.mark.parametrize("last_at", [None, NOON])
def test_a_clock_that_was_set_back_to_after_the_last_instant_is_not_logged(last_at):
    firing = started(
        Cron("@hourly"), next_at=NOON + YEAR, last_at=last_at, now=NOON, is_set_back=True
    )

    assert firing == Firing(next_at=NOON + HOUR)


def test_the_log_says_what_a_clock_that_was_set_back_has_changed():
    entry = Cron("@hourly")

    ran = turn(entry, last_at=NOON, next_at=NOON + HOUR, now=NOON - HOUR)
    never_ran = turn(entry, next_at=NOON + HOUR, now=NOON - HOUR + 5)

    assert ran.warning == (
        "periodic job 'report': the clock was set back to 2026-05-04 11:00:00+00:00; it ran last at"
        " 2026-05-04 12:00:00+00:00, was due next at 2026-05-04 13:00:00+00:00, and is due at"
        " 2026-05-04 12:00:00+00:00 now"
    )
    assert never_ran.warning == (
        "periodic job 'report': the clock was set back to 2026-05-04 11:00:00.000005+00:00; it ran"
        " last at no instant, was due next at 2026-05-04 13:00:00+00:00, and is due at"
        " 2026-05-04 12:00:00+00:00 now"
    )


@pytest.mark.parametrize("back", [SECOND, HOUR])
def test_a_clock_that_is_set_back_changes_no_entry_that_has_run_before(back):
    entry = Cron("0 3 * * *")
    last_at = NOON - 9 * HOUR

    firing = turn(entry, last_at=last_at, next_at=last_at + DAY, now=NOON - back)

    assert firing == Firing(next_at=last_at + DAY)


def test_an_entry_that_never_ran_does_not_wait_for_a_clock_that_was_wrong():
    firing = turn(Cron("@hourly"), next_at=NOON + YEAR, now=NOON)

    assert firing.next_at == NOON + HOUR


@pytest.mark.parametrize(("forward", "missed"), [(SECOND, 0), (HOUR, 1), (YEAR, 365 * 24)])
def test_a_clock_that_is_set_forward_is_a_downtime(forward, missed):
    firing = turn(Cron("@hourly"), last_at=NOON - HOUR, next_at=NOON, now=NOON + forward)

    assert len(firing.instants) == 1
    assert firing.missed == missed


# ---- C14 and C24: a node starts -----------------------------------------------------------------


def test_what_has_passed_before_a_start_is_still_due():
    assert started(Cron("@hourly"), next_at=NOON, now=NOON + DAY) == Firing(next_at=NOON)


def test_what_is_to_come_at_a_start_stays():
    firing = started(Cron("@hourly"), next_at=NOON, now=NOON - 5, last_at=NOON - HOUR)

    assert firing == Firing(next_at=NOON)


def test_a_changed_definition_begins_now_and_makes_up_for_nothing():
    firing = started(Cron("@hourly"), next_at=NOON - DAY, now=NOON + 5, is_changed=True)

    assert firing == Firing(next_at=NOON + HOUR)


@pytest.mark.parametrize("now", [NOON - HOUR, NOON + 5])
def test_an_instant_that_the_rules_of_the_zone_have_moved_back_is_waited_for(now):
    daily = Cron("30 12 * * *")

    firing = started(daily, next_at=NOON, now=now, last_at=NOON - DAY)

    assert firing == Firing(next_at=NOON + HOUR // 2)


def test_an_instant_a_microsecond_before_the_next_one_has_passed_at_a_start():
    assert started(Cron("@hourly"), next_at=NOON + 1, now=NOON + 5) == Firing(next_at=NOON + HOUR)


@pytest.mark.parametrize("last_at", [NOON - DAY, NOON - HOUR + 60 * SECOND])
def test_an_instant_that_the_rules_of_the_zone_have_moved_forward_comes_earlier(last_at):
    daily = Cron("30 11 * * *")

    firing = started(daily, next_at=NOON, now=NOON - HOUR, last_at=last_at)

    assert firing == Firing(next_at=NOON - HOUR // 2)


def test_reboot_has_no_instant_after_a_start():
    assert started(Cron("@reboot"), next_at=None, now=NOON) == Firing()


# ---- C18: jitter --------------------------------------------------------------------------------


def test_jitter_is_the_same_on_every_node_and_another_for_each_instant():
    entry = Cron("@hourly", jitter=20)

    drawn = [jitter_of(entry, "report", NOON + n * HOUR) for n in range(100)]

    assert drawn == [jitter_of(entry, "report", NOON + n * HOUR) for n in range(100)]
    assert drawn != [jitter_of(entry, "sync", NOON + n * HOUR) for n in range(100)]
    assert len(set(drawn)) > 90
    assert min(drawn) >= 0
    assert max(drawn) <= 20 * SECOND
    assert jitter_of(Cron("@hourly"), "report", NOON) == 0


def test_jitter_is_the_same_in_each_release():
    least = Cron("@hourly", jitter=0.000_001)

    assert jitter_of(Cron("@hourly", jitter=20), "report", NOON) == 12_767_943
    assert [jitter_of(least, "report", NOON + n) for n in range(6)] == [0, 1, 0, 1, 1, 0]


def test_jitter_moves_no_instant():
    firing = turn(Cron("@hourly", jitter=600), next_at=NOON, now=NOON)

    assert firing == Firing(instants=(NOON,), next_at=NOON + HOUR)


# ---- always -------------------------------------------------------------------------------------

LOOKS = st.lists(st.tuples(st.integers(0, 3 * DAY), st.booleans()), min_size=1, max_size=8)


@given(
    entry=st.builds(
        Cron,
        st.sampled_from(["@hourly", "*/7 * * * *", "30 2 * * *"]),
        tz=st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe"]),
        missed=st.sampled_from(["once", "skip", "all"]),
        overlap=st.sampled_from(["skip", "allow", "cancel"]),
        max_missed=st.integers(1, 500),
        grace=st.integers(0, 86_400),
    ),
    first=st.integers(0, 60 * 365).map(lambda n: n * DAY),
    looks=LOOKS,
)
def test_each_instant_is_fired_missed_or_skipped_and_only_once(entry, first, looks):
    now, next_at = first, entry.next_after(first)
    begin, fired, left_out = next_at, [], 0
    for step, active in looks:
        now += step
        firing = turn(entry, next_at=next_at, now=now, active=active)
        fired += firing.instants
        left_out += firing.missed + firing.skipped
        next_at = firing.next_at

    assert next_at == max(entry.next_after(now), begin)
    assert fired == sorted(set(fired))
    assert set(fired) <= set(entry.instants(begin, now + 1))
    assert len(fired) + left_out == entry.count_between(begin, now + 1)

"""The checker of periodic entries and limits finds each kind of violation, made by hand."""

import pytest
from checker import Final, executions
from flow_checker import Entry, check_entry, over_limits, planned
from journal import Row

AHEAD = 1000.0
"""What the time of day is ahead of the journal's clock."""

PROCESS = [Row("starting", "north", 1, 10.5), Row("up", "north", 1, 10.7)]
ENTRY = Entry("tick")


def told(what, at):
    return Row(what, "single", 1, at, detail="tick")


PAUSED_AT_LAST = [*PROCESS, told("pausing", 15.5)]

FIVE = {1011.0: {1}, 1012.0: {2}, 1013.0: {3}, 1014.0: {4}, 1015.0: {5}}


def without(*instants):
    return {instant: ids for instant, ids in FIVE.items() if instant not in instants}


def found_of(entry, of_entry, rows, deaths=None):
    return list(check_entry(entry, of_entry, rows, deaths or {}, AHEAD))


PAUSED_BETWEEN = [*PROCESS, told("pausing", 11.5), told("resumed", 13.4), told("pausing", 15.5)]


@pytest.mark.parametrize(
    ("entry", "of_entry", "rows"),
    [
        pytest.param(ENTRY, FIVE, PAUSED_AT_LAST, id="each instant"),
        pytest.param(
            Entry("tick", 0.4),
            {k + 0.4: ids for k, ids in FIVE.items()},
            PAUSED_AT_LAST,
            id="later",
        ),
        pytest.param(ENTRY, without(1012.0, 1013.0), PAUSED_BETWEEN, id="paused"),
        pytest.param(ENTRY, without(1013.0), PAUSED_BETWEEN, id="while it was being paused"),
        pytest.param(
            Entry("tick", missed=2, catches_up=False),
            without(1012.0, 1013.0),
            PAUSED_AT_LAST,
            id="missed",
        ),
        pytest.param(Entry("tick", skipped=1), without(1014.0), PAUSED_AT_LAST, id="skipped"),
    ],
)
def test_what_may_be_is_no_finding(entry, of_entry, rows):
    assert found_of(entry, of_entry, rows) == []


@pytest.mark.parametrize(
    ("entry", "of_entry", "rows", "finding"),
    [
        pytest.param(
            ENTRY, FIVE | {1013.0: {3, 7}}, PAUSED_AT_LAST, "1013.0 has 2 jobs: [3, 7]", id="twice"
        ),
        pytest.param(
            ENTRY, FIVE | {1013.5: {7}}, PAUSED_AT_LAST, "1013.5 is none of its", id="no instant"
        ),
        pytest.param(
            ENTRY, without(1013.0), PAUSED_AT_LAST, "1 have no job: [1013.0]", id="left out"
        ),
        pytest.param(ENTRY, without(1015.0), PAUSED_AT_LAST, "1 have no job: [1015.0]", id="end"),
        pytest.param(
            ENTRY, without(1014.0), PAUSED_BETWEEN, "1 have no job: [1014.0]", id="after a pause"
        ),
        pytest.param(
            Entry("tick", missed=1, catches_up=False),
            FIVE,
            PAUSED_AT_LAST,
            "1 instants are counted as missed",
            id="counted, though it has a job",
        ),
        pytest.param(
            Entry("tick", missed=1), without(1013.0), PAUSED_AT_LAST, "catches up", id="no catch-up"
        ),
    ],
)
def test_each_violation_is_found(entry, of_entry, rows, finding):
    (found,) = found_of(entry, of_entry, rows)

    assert finding in found


def test_instants_left_out_for_long_are_a_finding_only_while_a_node_lives():
    many = {1000.0 + second: {second} for second in (11, 12, 20, 21)}
    entry = Entry("tick", missed=7, catches_up=False)
    rows = [*PROCESS, told("pausing", 21.5)]

    assert found_of(entry, many, rows, {"north": 14.0}) == []
    assert found_of(entry, many, rows) == ["tick: nothing from 1013.0 to 1019.0, while north lived"]


def test_an_entry_that_may_still_fire_cannot_be_checked():
    with pytest.raises(ValueError, match="tick is not paused"):
        found_of(ENTRY, FIVE, [*PAUSED_AT_LAST, told("resumed", 16.0)])


def test_jobs_of_entries_are_known_from_their_runs_and_from_the_store():
    ran = Row("begin", "north", 1, 11.0, job=1, cron="tick", instant=1011.0)
    by_hand = Row("begin", "north", 1, 11.0, job=2, cron="tick")
    stored = Final(3, "completed", cron="tick", instant=1011.0)

    assert planned([ran, by_hand], [stored, Final(4, "completed")]) == {"tick": {1011.0: {1, 3}}}


def runs(*spans, limit):
    rows = []
    for job, (begin, end) in enumerate(spans, 1):
        what = {"job": job, "limit": limit, "key": "a"}
        rows += [Row("begin", "north", 1, begin, **what), Row("end", "north", 1, end, **what)]
    return sorted(rows, key=lambda row: row.time)


@pytest.mark.parametrize(
    ("limit", "spans"),
    [(1, [(1.0, 2.0), (2.0, 3.0)]), (3, [(1.0, 4.0), (1.0, 3.0), (2.0, 3.0), (3.0, 5.0)])],
)
def test_as_many_of_a_key_as_its_limit_says_is_no_finding(limit, spans):
    rows = runs(*spans, limit=limit)

    assert list(over_limits(rows, executions(rows, {}))) == []


@pytest.mark.parametrize(
    ("limit", "spans"),
    [(1, [(1.0, 2.0), (1.9, 3.0)]), (3, [(1.0, 4.0), (1.0, 3.0), (2.0, 3.0), (2.5, 5.0)])],
)
def test_one_more_of_a_key_is_found(limit, spans):
    rows = runs(*spans, limit=limit)

    (found,) = over_limits(rows, executions(rows, {}))

    assert f"{limit + 1} at once of the key 'a', whose limit is {limit}" in found


def test_a_job_that_found_no_place_is_a_finding():
    rows = [Row("over", "north", 1, 1.0, job=1, limit=1, key="a")]

    assert list(over_limits(rows, [])) == ["job 1: no place was left of 1 of the key 'a'"]

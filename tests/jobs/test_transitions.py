"""What is told of a job's life, against what its life was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from antq_actors.jobs import lifecycle
from antq_actors.jobs.history import (
    NEWEST_CHANGES,
    Change,
    Story,
    cause_of,
    change,
    check_changes,
    dropped_changes,
    kept_changes,
    stages,
    transitions,
)
from antq_actors.jobs.instant import LATEST, SECOND, to_datetime
from antq_actors.jobs.outcome import (
    Cancelled,
    Completed,
    Failed,
    GivenBack,
    Interrupted,
    Refused,
    Snoozed,
)
from antq_actors.jobs.state import ACTIVE, ENDED, WAITING, JobSpec, Status, StoredJob

NOW = 1_000 * SECOND

outcomes = st.one_of(
    st.just(Completed()),
    st.builds(Failed, st.just("no"), st.none(), st.floats(0, 1e6), st.just("ValueError")),
    st.just(Refused("no worker")),
    st.just(Cancelled("enough")),
    st.builds(Snoozed, st.floats(0, 1e6)),
    st.builds(GivenBack, st.sampled_from([0.0, 5.0])),
    st.just(Interrupted("node died", 3)),
)
VERBS = {
    "claim": (WAITING, lambda state, now: lifecycle.claim(state, node=7, now=now), None),
    "cancel": (ACTIVE, lambda state, now: lifecycle.cancel(state, now=now), "cancel"),
    "retry": (ENDED, lambda state, now: lifecycle.retry(state, now=now), "retry"),
    "run-now": (WAITING, lambda state, now: lifecycle.run_now(state, now=now), "run-now"),
    "reschedule": (
        WAITING,
        lambda state, now: lifecycle.reschedule(state, due=now + 5 * SECOND, now=now),
        "reschedule",
    ),
    "come due": (
        {Status.SCHEDULED, Status.RETRYING},
        lambda state, now: lifecycle.come_due(state, now=now),
        None,
    ),
}
steps = st.lists(st.one_of(outcomes, st.sampled_from([*VERBS])), max_size=40)


class Life:
    """A job whose changes are noted as the store does, and its life as it was."""

    def __init__(self, due=None, max_attempts=3):
        self.state = lifecycle.create(
            queue_name="mail", now=NOW, due=due, max_attempts=max_attempts
        )
        self.due = due
        self.changes = []
        self.errors = {}
        self.lived = [(NOW, self.state.status, 0, 0, None)]

    def becomes(self, state, error=None, cause=None):
        old, self.state = self.state, state
        if state is old or (state.status is old.status is Status.RUNNING):
            return
        if error is not None:
            self.errors[old.errors] = error
            cause_told = cause or (
                f"ValueError: {error.error}" if error.error_type else error.error
            )
        else:
            cause_told = cause
        if state.history != old.history:
            number = None if error is None else old.errors
            self.changes.append(change(old, state, number, cause))
        ran = Status.RUNNING in (old.status, state.status)
        attempt = max(old.attempts, state.attempts) if ran else state.attempts
        node = 7 if ran else 0
        self.lived.append((state.updated_at, state.status, attempt, node, cause_told))

    def step(self, what, now):
        state = self.state
        if what in VERBS:
            statuses, verb, cause = VERBS[what]
            if state.status in statuses:
                self.becomes(verb(state, now), cause=cause)
        elif state.status is Status.RUNNING:
            after, error = lifecycle.settle(state, what, now=now)
            self.becomes(after, error, cause_of(state, what, after))

    @property
    def story(self):
        spec = JobSpec("w", b"", NOW, due=self.due)
        errors = {
            number: self.errors[number]
            for number in self.errors
            if number not in lifecycle.dropped_errors(len(self.errors))
        }
        return Story(StoredJob(1, self.state, spec, ()), kept_changes(self.changes), errors)


@given(steps, st.sampled_from([None, NOW + SECOND]), st.integers(1, 4))
def test_what_is_told_is_what_was(steps, due, max_attempts):
    life = Life(due, max_attempts)
    for tick, what in enumerate(steps, start=1):
        life.step(what, NOW + tick)

    told = stages(life.story)

    assert [each[:5] for each in told] == life.lived
    assert len(life.changes) == life.state.history
    assert [each.at for each in transitions(told)] == [to_datetime(at) for at, *_ in life.lived]


@pytest.mark.parametrize("due", [None, NOW + SECOND])
def test_nothing_is_noted_of_a_job_that_is_performed_once(due):
    life = Life(due)
    life.step("claim", NOW + 1)
    life.step(Completed(), NOW + 2)

    assert life.changes == []
    assert life.state.history == 0
    first = Status.ENQUEUED if due is None else Status.SCHEDULED
    assert [(each.at, each.status, each.attempt, each.node) for each in stages(life.story)] == [
        (NOW, first, 0, 0),
        (NOW + 1, Status.RUNNING, 1, 7),
        (NOW + 2, Status.COMPLETED, 1, 7),
    ]


def test_of_very_many_changes_the_first_and_the_newest_are_told():
    life = Life(max_attempts=1_000)
    for tick in range(1, 1_000, 2):
        life.step("claim", NOW + tick)
        life.step(Failed("no", None, 0.0, "ValueError"), NOW + tick + 1)

    told = stages(life.story)

    assert len(life.story.changes) == NEWEST_CHANGES + 1
    assert [each[:5] for each in told[:3]] == life.lived[:3]
    newest = NEWEST_CHANGES * 2
    assert [each[:4] for each in told[-newest:]] == [each[:4] for each in life.lived[-newest:]]
    assert told[-newest + 1].cause == "an error that is not kept any more"
    assert told[-1].cause == "ValueError: no"


def test_times_ascend_though_the_clock_was_set_back():
    life = Life()
    life.step("claim", NOW + 9)
    life.step(Failed("no", None, 0.0), NOW + 5)
    life.step("claim", NOW + 1)

    told = [each.at for each in stages(life.story)]

    assert told == sorted(told)


def test_a_damaged_job_is_told_to_have_failed_of_that():
    life = Life()
    life.step("claim", NOW + 1)
    life.step(Failed("no", None, 0.0), NOW + 2)
    state, error = lifecycle.mark_damaged(
        queue_name="mail", why="unreadable", errors=1, now=NOW + 3
    )
    life.errors[1] = error
    life.state = replace(state, history=1)

    assert [(each.status, each.cause) for each in stages(life.story)][-2:] == [
        (Status.RETRYING, "no"),
        (Status.FAILED, "unreadable"),
    ]


def test_what_an_earlier_release_has_not_noted_is_left_out():
    state = replace(Life().state, status=Status.RETRYING, attempts=1, updated_at=NOW + 9)
    story = Story(StoredJob(1, state, JobSpec("w", b"", NOW), ()), (), {})

    assert [(each.at, each.status) for each in stages(story)] == [
        (NOW, Status.ENQUEUED),
        (NOW + 9, Status.RETRYING),
    ]


def test_numbers_of_dropped_changes_are_between_the_first_and_the_newest():
    for count in (0, 1, NEWEST_CHANGES + 1, NEWEST_CHANGES + 5):
        kept = kept_changes([*range(count)])
        assert [n for n in range(count) if n not in dropped_changes(count)] == [*kept]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"at": -1}, "the times"),
        ({"due": LATEST}, "the times"),
        ({"attempts": -1}, "the numbers"),
        ({"error": 2**70}, "the numbers"),
        ({"cause": "magic"}, "a cause in history is one of an error"),
    ],
)
def test_changes_that_no_job_can_have_had_are_refused(wrong, text):
    right = Change(NOW, Status.RUNNING, Status.RETRYING, NOW, 1)
    check_changes([right], latest=2 * NOW, largest=9)

    with pytest.raises(ValueError, match=text):
        check_changes([replace(right, **wrong)], latest=2 * NOW, largest=9)

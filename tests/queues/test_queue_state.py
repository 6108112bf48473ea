"""The state of a queue actor, as plain values: never too many, none forgotten, no idle request."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from antq_actors.jobs.outcome import Completed
from antq_actors.queues.queue_state import MAX_CLAIM_JOBS, FetchRequest, QueueState
from antq_actors.storage.format.records import Settlement


def settlement(number):
    return Settlement(number, 1, Completed())


def test_a_new_book_asks_for_as_many_jobs_as_may_run():
    assert QueueState(concurrency=5).next_fetch() == FetchRequest([], 5)


def test_one_question_is_under_way_at_a_time():
    state = QueueState(concurrency=5)
    state.next_fetch()
    state.settled.append(settlement(1))

    assert state.next_fetch() is None
    state.answered(0)
    assert state.next_fetch() == FetchRequest([settlement(1)], 5)


def test_after_a_claim_that_came_back_short_it_asks_no_more():
    state = QueueState(concurrency=5)
    state.next_fetch()
    state.answered(4)

    assert state.next_fetch() is None


def test_a_wake_that_comes_while_a_question_is_under_way_is_not_forgotten():
    state = QueueState(concurrency=5)
    state.next_fetch()
    state.maybe_due = True
    state.answered(0)

    assert state.next_fetch() == FetchRequest([], 5)


def test_a_draining_queue_stores_outcomes_and_claims_nothing():
    state = QueueState(concurrency=5, draining=True)
    assert state.next_fetch() is None
    state.settled.append(settlement(1))

    assert state.next_fetch() == FetchRequest([settlement(1)], 0)


@given(concurrency=st.integers(1, 100), running=st.integers(0, 200))
def test_it_never_asks_for_more_than_is_free_nor_for_more_than_a_claim(concurrency, running):
    state = QueueState(concurrency, running=dict.fromkeys(range(running)))

    ask = state.next_fetch()

    limit = min(concurrency - running, MAX_CLAIM_JOBS)
    assert ask == (FetchRequest([], limit) if limit > 0 else None)


def test_it_asks_again_at_once_while_claims_come_back_full():
    state = QueueState(concurrency=2 * MAX_CLAIM_JOBS)

    first = state.next_fetch()
    state.answered(MAX_CLAIM_JOBS)
    second = state.next_fetch()
    state.answered(MAX_CLAIM_JOBS - 1)

    assert (first, second) == (FetchRequest([], MAX_CLAIM_JOBS), FetchRequest([], MAX_CLAIM_JOBS))
    assert state.next_fetch() is None


class AnyBook(RuleBasedStateMachine):
    """A state and a store that holds due jobs, whatever happens in whatever order."""

    def __init__(self):
        super().__init__()
        self.state = QueueState(concurrency=3)
        self.due = 0
        self.next = 0
        self.asked = None
        self.stored = []
        self.ended = []

    def advance(self):
        ask = self.state.next_fetch()
        if ask is not None:
            assert self.asked is None
            assert ask.settlements or ask.limit
            self.asked = ask

    @rule(count=st.integers(1, 5))
    def jobs_are_inserted(self, count):
        self.due += count
        self.state.maybe_due = True
        self.advance()

    @precondition(lambda self: self.asked is not None)
    @rule()
    def the_store_answers(self):
        ask, self.asked = self.asked, None
        self.stored += [one.id for one in ask.settlements]
        claimed = min(ask.limit, self.due)
        self.due -= claimed
        self.state.answered(claimed)
        for _ in range(claimed):
            self.state.running[self.next] = None
            self.next += 1
        self.advance()

    @precondition(lambda self: self.state.running)
    @rule(data=st.data())
    def a_job_ends(self, data):
        number = data.draw(st.sampled_from(sorted(self.state.running)))
        del self.state.running[number]
        self.state.settled.append(settlement(number))
        self.ended.append(number)
        self.advance()

    @rule(n=st.integers(1, 6))
    def the_concurrency_is_set(self, n):
        self.state.concurrency = n
        self.state.maybe_due = True
        self.advance()

    @invariant()
    def no_due_job_is_overlooked(self):
        idle = self.asked is None
        assert not (idle and self.due and self.state.free)

    @invariant()
    def every_outcome_is_stored_or_on_its_way_once(self):
        under_way = [] if self.asked is None else [one.id for one in self.asked.settlements]
        waiting = [one.id for one in self.state.settled]
        assert sorted(self.stored + under_way + waiting) == sorted(self.ended)
        assert self.asked is not None or not waiting

    @invariant()
    def it_is_idle_when_nothing_is_to_be_done(self):
        busy = bool(self.state.running or self.state.settled or self.asked)
        assert self.state.idle is not busy


TestAnyBook = AnyBook.TestCase

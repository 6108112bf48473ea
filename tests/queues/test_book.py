"""The book of a queue actor, as plain values: never too many, nothing forgotten, no idle asking."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from antq_actors.jobs.outcome import Completed
from antq_actors.queues.queue_state import CLAIM, Ask, Book
from antq_actors.storage.format.records import Settlement


def settlement(number):
    return Settlement(number, 1, Completed())


def test_a_new_book_asks_for_as_many_jobs_as_may_run():
    assert Book(concurrency=5).next_ask() == Ask([], 5)


def test_one_question_is_under_way_at_a_time():
    book = Book(concurrency=5)
    book.next_ask()
    book.settled.append(settlement(1))

    assert book.next_ask() is None
    book.answered(0)
    assert book.next_ask() == Ask([settlement(1)], 5)


def test_after_a_claim_that_came_back_short_it_asks_no_more():
    book = Book(concurrency=5)
    book.next_ask()
    book.answered(4)

    assert book.next_ask() is None


def test_a_wake_that_comes_while_a_question_is_under_way_is_not_forgotten():
    book = Book(concurrency=5)
    book.next_ask()
    book.look = True
    book.answered(0)

    assert book.next_ask() == Ask([], 5)


def test_a_draining_queue_stores_outcomes_and_claims_nothing():
    book = Book(concurrency=5, draining=True)
    assert book.next_ask() is None
    book.settled.append(settlement(1))

    assert book.next_ask() == Ask([settlement(1)], 0)


@given(concurrency=st.integers(1, 100), running=st.integers(0, 200))
def test_it_never_asks_for_more_than_is_free_nor_for_more_than_a_claim(concurrency, running):
    book = Book(concurrency, running=dict.fromkeys(range(running)))

    ask = book.next_ask()

    limit = min(concurrency - running, CLAIM)
    assert ask == (Ask([], limit) if limit > 0 else None)


def test_it_asks_again_at_once_while_claims_come_back_full():
    book = Book(concurrency=2 * CLAIM)

    first = book.next_ask()
    book.answered(CLAIM)
    second = book.next_ask()
    book.answered(CLAIM - 1)

    assert (first, second) == (Ask([], CLAIM), Ask([], CLAIM))
    assert book.next_ask() is None


class AnyBook(RuleBasedStateMachine):
    """A book and a store that holds due jobs, whatever happens in whatever order."""

    def __init__(self):
        super().__init__()
        self.book = Book(concurrency=3)
        self.due = 0
        self.next = 0
        self.asked = None
        self.stored = []
        self.ended = []

    def advance(self):
        ask = self.book.next_ask()
        if ask is not None:
            assert self.asked is None
            assert ask.settlements or ask.limit
            self.asked = ask

    @rule(count=st.integers(1, 5))
    def jobs_are_inserted(self, count):
        self.due += count
        self.book.look = True
        self.advance()

    @precondition(lambda self: self.asked is not None)
    @rule()
    def the_store_answers(self):
        ask, self.asked = self.asked, None
        self.stored += [one.id for one in ask.settlements]
        claimed = min(ask.limit, self.due)
        self.due -= claimed
        self.book.answered(claimed)
        for _ in range(claimed):
            self.book.running[self.next] = None
            self.next += 1
        self.advance()

    @precondition(lambda self: self.book.running)
    @rule(data=st.data())
    def a_job_ends(self, data):
        number = data.draw(st.sampled_from(sorted(self.book.running)))
        del self.book.running[number]
        self.book.settled.append(settlement(number))
        self.ended.append(number)
        self.advance()

    @rule(n=st.integers(1, 6))
    def the_concurrency_is_set(self, n):
        self.book.concurrency = n
        self.book.look = True
        self.advance()

    @invariant()
    def no_due_job_is_overlooked(self):
        idle = self.asked is None
        assert not (idle and self.due and self.book.free)

    @invariant()
    def every_outcome_is_stored_or_on_its_way_once(self):
        under_way = [] if self.asked is None else [one.id for one in self.asked.settlements]
        waiting = [one.id for one in self.book.settled]
        assert sorted(self.stored + under_way + waiting) == sorted(self.ended)
        assert self.asked is not None or not waiting

    @invariant()
    def it_is_idle_when_nothing_is_to_be_done(self):
        busy = bool(self.book.running or self.book.settled or self.asked)
        assert self.book.idle is not busy


TestAnyBook = AnyBook.TestCase

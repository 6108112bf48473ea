import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import lmdb
import pytest
from other_process import OtherProcess
from support.apps import until, until_flushed
from support.stored_jobs import a_new_job

from antq_actors import otp
from antq_actors.errors import AlreadyExists, JobNotFound, StorageError
from antq_actors.jobs.outcome import Completed, GivenBack
from antq_actors.otp.messaging import calls
from antq_actors.storage import actor as storage_actor
from antq_actors.storage.actor import StorageActor
from antq_actors.storage.admin.verify import verify
from antq_actors.storage.format.records import Settlement
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.lmdb.open_stores import open_environment, opened
from antq_actors.storage.requests import LaterWrite, Read, Write

INSERT = """
    from support.stored_jobs import Store, a_new_job
    store = Store(open_environment(sys.argv[1]))
    print("open", flush=True)
    sys.stdin.readline()
    store.insert(a_new_job(queue="foreign"))
    sys.stdin.read()
"""


@pytest.fixture
def woken():
    """The queues that were woken, in order."""
    return []


@pytest.fixture
def start(tmp_path, woken):
    refs = []

    def start(**options):
        options = {"wake": woken.append, "durable": False, **options}
        ref = StorageActor.start(tmp_path / "store", **options)
        refs.append(ref)
        return ref

    yield start
    for ref in refs:
        if ref.is_alive():
            otp.stop(ref)


@contextmanager
def a_busy(actor):
    """Keep the actor inside of a transaction until the block is over."""
    reached, open_ = threading.Event(), threading.Event()

    def wait(_store):
        reached.set()
        assert open_.wait(30)

    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(otp.call, actor, Write(wait))
        assert reached.wait(30)
        try:
            yield
        finally:
            open_.set()
        busy.result(30)


def asked_together(actor, requests):
    """Send requests that become one batch; return what each is answered, or its error."""
    with ThreadPoolExecutor(len(requests)) as pool:
        with a_busy(actor):
            asked = [pool.submit(otp.call, actor, request, 10) for request in requests]
            until(lambda: len(actor.cell.mailbox) >= len(requests), "the messages")
        return [each.exception(30) or each.result() for each in asked]


def insert(**options):
    return Write(lambda store: store.insert(a_new_job(**options)))


def transaction(store):
    return store._txn.id()


def insert_in_transaction(store):
    store.insert(a_new_job())
    return transaction(store)


def a_broken_store():
    error = StorageError("broken")
    error.__cause__ = lmdb.CorruptedError("located page was wrong type")
    return error


def findings(actor):
    return otp.call(actor, Read(lambda reader: verify(reader._txn, reader._tables)))


def test_what_waits_together_is_committed_together(start):
    actor = start()

    together = asked_together(actor, [Write(insert_in_transaction) for _ in range(20)])
    later = otp.call(actor, Write(insert_in_transaction))

    assert len(set(together)) == 1
    assert later == together[0] + 1


def test_a_refused_verb_answers_its_asker_and_spoils_nothing(start):
    actor = start()
    unique = {"args": {"n": 1}, "unique": ("n",)}
    otp.call(actor, insert(**unique))

    answers = asked_together(
        actor,
        [
            insert(),
            insert(**unique),
            Write(lambda store: store.delete(99)),
            Write(transaction),
            Write(transaction),
        ],
    )

    assert type(answers[1]) is AlreadyExists
    assert type(answers[2]) is JobNotFound
    assert answers[0] == 2
    assert answers[3] == answers[4]
    assert findings(actor) == []


def test_a_verb_that_raises_alone_gets_its_error(start):
    actor = start()

    def fail(store):
        store.insert(a_new_job())
        raise ZeroDivisionError

    answers = asked_together(actor, [insert(), Write(fail), insert()])

    assert type(answers[1]) is ZeroDivisionError
    assert sorted([answers[0], answers[2]]) == [1, 2]
    assert otp.call(actor, Read(lambda reader: reader.count(None, None))) == 2
    assert findings(actor) == []
    assert actor.is_alive()


def test_a_read_sees_what_was_written_before_it(start):
    actor = start()

    answers = asked_together(
        actor, [insert(), insert(), Read(lambda reader: reader.count(None, None))]
    )

    assert answers == [1, 2, 2]


def test_a_read_that_raises_answers_its_asker_only(start):
    actor = start()

    with pytest.raises(JobNotFound):
        otp.call(actor, Read(lambda reader: reader.get(4)))

    assert otp.call(actor, insert()) == 1


def test_of_ten_equal_unique_jobs_exactly_one_is_stored(start):
    actor = start()
    equal = [insert(args={"n": 1}, unique=("n",)) for _ in range(10)]

    answers = asked_together(actor, equal)

    assert answers.count(1) == 1
    assert [type(answer) for answer in answers].count(AlreadyExists) == 9


def test_a_repeated_write_is_done_once(start):
    actor = start()
    write = insert()

    first = otp.call(actor, write)
    again = otp.call(actor, write)

    assert first == again == 1
    assert otp.call(actor, Read(lambda reader: reader.count(None, None))) == 1


def test_a_write_that_was_refused_may_succeed_when_it_is_repeated_after_a_failed_batch(start):
    actor = start()
    seen = []

    def fail_once(store):
        seen.append(store)
        if len(seen) == 1:
            raise ZeroDivisionError
        return store.insert(a_new_job())

    answers = asked_together(actor, [Write(lambda store: store.delete(1)), Write(fail_once)])

    assert type(answers[0]) is JobNotFound
    assert answers[1] == 1


def test_a_queue_is_woken_once_for_each_commit(start, woken):
    actor = start()

    asked_together(actor, [insert(queue=queue) for queue in ("mail", "other", "mail", "mail")])
    otp.call(actor, insert(queue="mail"))

    assert sorted(woken) == ["mail", "mail", "other"]


def test_settling_wakes_a_queue_only_for_a_job_given_back(start, woken):
    actor = start()
    for _ in range(2):
        otp.call(actor, insert())
    otp.call(actor, Write(lambda store: store.add_node(1)))
    otp.call(actor, Write(lambda store: store.work("mail", [], node=1, limit=2, now=0)))
    woken.clear()

    otp.call(actor, Write(lambda store: store.settle(Settlement(1, 1, Completed()), now=1)))
    assert woken == []

    otp.call(actor, Write(lambda store: store.settle(Settlement(2, 1, GivenBack()), now=1)))
    assert woken == ["mail"]


def test_a_commit_of_another_process_wakes_the_queues(start, woken, tmp_path):
    start(watch_interval=0.01)

    with OtherProcess(INSERT, tmp_path / "store") as other:
        assert other.first_line == "open"
        other.tell("insert")

        until(lambda: "foreign" in woken, "its wake")


def test_ones_own_commits_are_no_news(start, woken):
    actor = start(watch_interval=0.005)
    for _ in range(20):
        otp.call(actor, insert())
    looked = threading.Event()

    for _ in range(5):
        looked.wait(0.01)
        otp.call(actor, Write(lambda store: store.settle(Settlement(9, 1, Completed()), now=0)))

    assert woken == ["mail"] * 20


def test_a_stop_stores_what_was_taken_and_closes(start, tmp_path):
    actor = start()
    otp.call(actor, insert())

    otp.stop(actor)

    env = open_environment(tmp_path / "store")
    assert env.read(lambda txn: txn.stat(env.tables.jobs)["entries"]) == 1
    env.close()


def test_a_path_that_cannot_be_opened_is_the_cause_of_the_failed_start(tmp_path, woken):
    (tmp_path / "store").touch()

    with pytest.raises(otp.StartError) as failed:
        StorageActor.start(tmp_path / "store", wake=woken.append)

    assert isinstance(failed.value.__cause__, StorageError)


def test_the_successor_of_a_killed_actor_goes_on_with_the_environment(start):
    owner = object()
    first = start(owner=owner)
    otp.call(first, insert())

    otp.exit(first, otp.Killed())
    second = start(owner=owner)

    assert otp.call(second, insert()) == 2


class Asks(otp.GenServer):
    """Asks an actor for something when it begins, and keeps the answer."""

    def __init__(self, actor, request, box):
        super().__init__()
        self._asked = actor, request
        self._box = box

    def init(self):
        calls.call_by_message(*self._asked, "later")

    def handle_info(self, message):
        self._box.append(message)


def test_a_write_that_may_wait_shares_the_next_transaction(start, monkeypatch):
    timers = []
    monkeypatch.setattr(storage_actor.timers, "send_soon", lambda *timer: timers.append(timer))
    actor, box = start(), []
    asks = [Asks.start(actor, LaterWrite(transaction), box) for _ in range(2)]
    until(lambda: len(actor.cell.inline_actor._later) == 2)
    assert box == []

    shared = otp.call(actor, Write(insert_in_transaction))

    until(lambda: len(box) == 2)
    assert [(each.value, each.error) for each in box] == [(shared, None)] * 2
    assert len(timers) == 1
    for each in asks:
        otp.stop(each)


def test_a_write_that_may_wait_is_done_by_itself_if_there_is_no_other(start, tmp_path):
    actor, box = start(), []
    asks = Asks.start(actor, LaterWrite(insert_in_transaction), box)

    (answer,) = until(lambda: box)

    assert answer.error is None
    assert answer.value == otp.call(actor, Write(transaction)) - 1
    otp.stop(asks)


def test_what_is_no_request_is_refused_and_the_actor_lives_on(start):
    actor = start()

    with pytest.raises(TypeError, match="is asked Write or Read"):
        otp.call(actor, "insert")

    actor.tell("whatever")
    assert otp.call(actor, Write(JobStore.new_node)) == 1


READ_ON = """
    env = open_environment(sys.argv[1])
    reading = env._env.begin()
    print(reading.stat()["entries"] > 0, flush=True)
    sys.stdin.read()
"""


def test_a_reader_that_was_killed_is_forgotten_while_the_actor_looks(start, tmp_path):
    actor = start(watch_interval=0.001)
    env = opened(tmp_path / "store")
    with OtherProcess(READ_ON, tmp_path / "store") as other:
        assert other.first_line == "True"
        pid = str(other.pid)
        assert pid in env._env.readers()

    until(lambda: pid not in env._env.readers(), "its end as a reader")
    assert actor.is_alive()


# ---- a commit that carries the one before it ------------------------------------------------


class Gate:
    """A verb that inserts a job when it may go on, or raises an error."""

    def __init__(self, error=None):
        self.reached, self.open = threading.Event(), threading.Event()
        self._error = error

    def __call__(self, store):
        self.reached.set()
        assert self.open.wait(30)
        if self._error is not None:
            raise self._error
        return store.insert(a_new_job())


class OneByOne:
    """Callers of an actor, the verb of each of which is run when the next one waits.

    The thread of the very first one runs its turn itself; the others are left to the actor's own.
    """

    def __init__(self, actor):
        self._actor = actor
        self._pool = ThreadPoolExecutor(5)
        self._last = None

    def ask(self, request):
        """Send the next request, let the one before go on, and wait until this one's verb runs."""
        answer = self._pool.submit(otp.call, self._actor, request, 30)
        if self._last is not None:
            until(lambda: len(self._actor.cell.mailbox) == 1, "the message")
            self._last.open.set()
        self._last = request.verb
        assert self._last.reached.wait(30)
        return answer

    def __enter__(self):
        until_flushed(self._actor)
        self.ask(Write(Gate()))
        return self

    def __exit__(self, *_):
        self._last.open.set()
        self._pool.shutdown()


def test_a_commit_is_answered_with_the_next_one_and_flushed_only_if_nobody_waits(start, tmp_path):
    actor = start(durable=True)
    env = opened(tmp_path / "store")

    with OneByOne(actor) as callers:
        first = callers.ask(Write(Gate()))
        second = callers.ask(Write(Gate()))
        assert not first.done()
        third = callers.ask(Write(Gate()))

        assert first.result(30) == 2
        assert not second.done()
        assert env._on_disk == env.last_transaction() - 1

    assert (second.result(30), third.result(30)) == (3, 4)
    assert env._on_disk == env.last_transaction()


@pytest.mark.parametrize("error", [ValueError("refused"), a_broken_store()])
def test_a_commit_is_answered_though_the_next_one_fails(start, tmp_path, error):
    actor = start(durable=True)

    with OneByOne(actor) as callers:
        first = callers.ask(Write(Gate()))
        second = callers.ask(Write(Gate(error)))

    assert first.result(30) == 2
    assert second.exception(30) is not None
    assert actor.is_alive() is isinstance(error, ValueError)
    if actor.is_alive():
        env = opened(tmp_path / "store")
        assert env._on_disk == env.last_transaction()


def test_a_commit_whose_actor_is_killed_in_the_next_one_is_known_to_its_successor(start):
    owner = object()
    actor = start(durable=True, owner=owner)
    request = Write(Gate())

    with OneByOne(actor) as callers:
        first = callers.ask(request)
        second = callers.ask(Write(Gate()))
        actor.cell.kill()
        assert isinstance(first.exception(30), otp.CallExit)
        assert isinstance(second.exception(30), otp.CallExit)

    successor = start(durable=True, owner=owner)
    assert otp.call(successor, request) == 2
    assert findings(successor) == []


def test_a_volatile_commit_is_answered_at_once_whoever_waits(start):
    actor = start(durable=False)

    with OneByOne(actor) as callers:
        first = callers.ask(Write(Gate()))
        callers.ask(Write(Gate()))

        assert first.result(30) == 2


def test_a_commit_that_very_many_wait_behind_is_flushed_by_itself(start, tmp_path):
    actor = start(durable=True)
    env = opened(tmp_path / "store")
    on_disk = []

    def look(store):
        on_disk.append(env._on_disk == env.last_transaction())

    together = asked_together(actor, [Write(look) for _ in range(101)])

    assert set(together) == {None}
    assert all(on_disk)

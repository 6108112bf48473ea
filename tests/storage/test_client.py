import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from other_process import OtherProcess
from support.apps import until, until_flushed
from support.programs import in_a_fork
from support.stored_jobs import WORKER, a_new_job

from antq_actors import otp
from antq_actors.errors import AlreadyExists, JobNotFound, NotCancellable, StorageError
from antq_actors.jobs.outcome import Completed
from antq_actors.jobs.state import Status
from antq_actors.otp.kernel.cell import current_cell
from antq_actors.otp.kernel.messages import Call, Response
from antq_actors.storage.actor import StorageActor
from antq_actors.storage.client import StorageClient
from antq_actors.storage.format.records import Filter, Settlement, Span
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.storage.requests import StandingClaim, Write

NAME = "storage-under-test"

NODE = """
    from antq_actors.storage.client import StorageClient
    from antq_actors.storage.actor import StorageActor
    ref = StorageActor.start(sys.argv[1], wake=lambda queue_name: None)
    print(StorageClient(ref, sys.argv[1]).open_node(), flush=True)
    sys.stdin.read()
"""


THE_FIRST = 1
"""A node that is recorded, and has no lock."""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def start(path):
    owner = object()

    def start():
        return StorageActor.start(path, wake=lambda _: None, durable=False, owner=owner, name=NAME)

    yield start
    actor = otp.whereis(NAME)
    if actor is not None:
        otp.stop(actor)


@pytest.fixture
def client(start, path):
    start()
    client = StorageClient(NAME, path)
    client.write(lambda store: store.add_node(THE_FIRST))
    return client


class Asker(otp.GenServer):
    """Does what it is called with in its own thread, and hands on the messages it gets."""

    def __init__(self, got):
        super().__init__()
        self._got = got

    def handle_call(self, request):
        return request()

    def handle_info(self, message):
        self._got.put(message)


@pytest.fixture
def got():
    return queue.Queue()


@pytest.fixture
def asker(got):
    ref = Asker.start(got)
    yield ref
    otp.stop(ref)


def test_a_job_goes_its_way(client):
    id_ = client.write(JobStore.insert, a_new_job({"n": 1}))

    claim = client.work("mail", [], node=THE_FIRST, limit=5, now=1)
    client.work("mail", [Settlement(id_, 1, Completed())], node=THE_FIRST, limit=0, now=2)

    assert [job.id for job in claim.jobs] == [id_]
    assert client.read(JobReader.get, id_).state.status is Status.COMPLETED
    assert client.read(JobReader.facts, "mail", 1).counts[Status.COMPLETED] == 1
    assert client.write(JobStore.retry, id_, now=3).state.status is Status.ENQUEUED
    assert client.write(JobStore.cancel, id_, now=4).state.status is Status.CANCELLED
    assert client.write(JobStore.prune, finished_before=5, limit=10) == 1
    assert client.read(JobReader.count) == 0


def test_errors_of_the_verbs_arrive_as_themselves(client):
    client.write(JobStore.insert, a_new_job({"n": 1}, unique=("n",)))

    with pytest.raises(AlreadyExists) as refused:
        client.write(JobStore.insert, a_new_job({"n": 1}, unique=("n",)))
    assert refused.value.job.id == 1
    with pytest.raises(JobNotFound):
        client.write(JobStore.delete, 7)
    (job,) = client.work("mail", [], node=THE_FIRST, limit=1, now=1).jobs
    done = Settlement(job.id, job.state.execution, Completed())
    client.work("mail", [done], node=THE_FIRST, limit=0, now=1)
    with pytest.raises(NotCancellable):
        client.write(JobStore.cancel, 1, now=2)


def test_a_list_longer_than_a_page_is_complete_and_in_order(client):
    client.write(JobStore.insert_many, [a_new_job({"n": n}) for n in range(1234)])

    assert [job.id for job in client.list()] == list(range(1, 1235))
    assert [job.id for job in client.list(span=Span(after=1230))] == [1231, 1232, 1233, 1234]
    assert [job.id for job in client.list(limit=3)] == [1, 2, 3]
    assert client.list(limit=0) == []


def test_the_limit_of_a_list_counts_what_passes_the_filters(client):
    client.write(
        JobStore.insert_many,
        [a_new_job({"n": n}, worker=WORKER if n % 2 else "shop:Other") for n in range(1200)],
    )

    rare = client.list(Filter(worker="shop:Other"), accept=lambda job: job.id % 5 == 0, limit=100)

    assert [job.id for job in rare] == list(range(5, 1000, 10))


def test_accept_runs_in_the_callers_thread(client):
    client.write(JobStore.insert, a_new_job())
    threads = []

    client.list(accept=lambda _: threads.append(threading.current_thread()) or True)

    assert threads == [threading.current_thread()]


def test_a_paused_queue_stays_paused_until_it_is_resumed(client):
    client.write(JobStore.insert, a_new_job())

    client.write(JobStore.set_paused, "mail", paused=True)
    paused = (
        client.read(JobReader.is_paused, "mail"),
        client.work("mail", [], node=THE_FIRST, limit=1, now=1).jobs,
    )
    client.write(JobStore.set_paused, "mail", paused=False)

    assert paused == (True, [])
    assert not client.read(JobReader.is_paused, "mail")
    assert len(client.work("mail", [], node=THE_FIRST, limit=1, now=1).jobs) == 1


def test_a_caller_waits_for_the_storage_actor_to_come_back(client, start):
    otp.stop(NAME)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.write, JobStore.insert, a_new_job())
        start()

        assert waiting.result(30) == 1


def test_a_write_whose_answer_was_lost_is_not_done_twice(client, start):
    reached, killed = threading.Event(), threading.Event()

    def insert(store):
        reached.set()
        killed.wait(30)
        return store.insert(a_new_job())

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(client._ask, Write(insert))
        assert reached.wait(30)

        otp.exit(NAME, otp.Killed())
        killed.set()
        start()

        assert asking.result(30) == 1
    assert client.read(JobReader.count) == 1


def test_a_caller_gives_up_after_its_timeout(path):
    client = StorageClient(NAME, path, timeout=0.05)

    with pytest.raises(StorageError, match=r"did not come back within 0\.05 s"):
        client.read(JobReader.count)


@contextmanager
def a_busy_actor(client):
    """Have the storage actor do a write until the block is over."""
    entered, release = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(client._ask, Write(lambda _: (entered.set(), release.wait(30))))
        assert entered.wait(30)
        try:
            yield
        finally:
            release.set()
        busy.result(30)


def test_a_busy_storage_actor_is_waited_for_as_long(client, path):
    with a_busy_actor(client), pytest.raises(StorageError, match=r"did not answer within 0\.05 s"):
        StorageClient(NAME, path, timeout=0.05).write(JobStore.delete, 1)


def test_who_has_the_store_alone_does_its_own_write(client):
    def write():
        return client._ask(Write(lambda _: threading.current_thread())), threading.current_thread()

    with ThreadPoolExecutor(1) as pool:
        writer, caller = pool.submit(write).result()

    assert writer is caller


def test_beside_another_process_the_storage_actor_writes_so_that_nobody_waits_without_a_limit(
    client, path
):
    with OtherProcess(NODE, path) as other, ThreadPoolExecutor(1) as pool:
        assert other.first_line

        beside = pool.submit(client._ask, Write(lambda _: threading.current_thread())).result()

    assert beside is otp.whereis(NAME).cell.thread


def test_nobody_waits_for_the_storage_of_a_stopped_application(client):
    otp.stop(NAME)

    client.close()

    with pytest.raises(StorageError, match="its application has stopped"):
        client.write(JobStore.insert, a_new_job())


def test_a_fork_is_told_so(client):
    said = in_a_fork(lambda: client.write(JobStore.insert, a_new_job()))

    assert said.startswith("ForkError")
    assert client.read(JobReader.count) == 0


def request_one_job(client, *, tag, clock=lambda: 1):
    me = current_cell()
    left = StandingClaim(me, "mail", THE_FIRST, clock, notify=lambda: None)
    return client.request_work([], limit=1, withdrawn=None, left=left, tag=tag)


def test_work_that_is_requested_is_answered_at_once_while_the_storage_actor_sleeps(client, asker):
    client.write(JobStore.insert, a_new_job())

    request, answered = otp.call(asker, lambda: request_one_job(client, tag="first"))

    assert isinstance(answered, Call)
    assert (answered.request, answered.error) == (request, None)
    assert [job.id for job in answered.value.jobs] == [1]


def test_work_that_is_requested_arrives_as_a_message_from_one_that_is_busy(client, asker, got):
    client.write(JobStore.insert, a_new_job())

    with a_busy_actor(client):
        _, at_once = otp.call(asker, lambda: request_one_job(client, tag="first"))

    assert at_once is None
    response = got.get(timeout=30)
    assert isinstance(response, Response)
    assert (response.tag, response.error) == ("first", None)
    assert [job.id for job in response.value.jobs] == [1]


def test_a_job_begins_when_it_is_claimed_not_when_it_was_asked_for(client, asker, got):
    client.write(JobStore.insert, a_new_job())
    now = [1]

    with a_busy_actor(client):
        otp.call(asker, lambda: request_one_job(client, tag="first", clock=lambda: now[0]))
        now[0] = 9

    (job,) = got.get(timeout=30).value.jobs
    assert job.state.started_at == 9


def test_requested_work_whose_answer_was_lost_can_be_asked_for_again(client, start, asker, got):
    client.write(JobStore.insert, a_new_job())
    otp.stop(NAME)
    request, _ = otp.call(asker, lambda: request_one_job(client, tag="first"))
    lost = got.get(timeout=30)
    start()
    storage_actor = otp.whereis(NAME)
    until_flushed(storage_actor)

    answers = []
    for tag in ("again", "and again"):
        until(lambda: storage_actor.cell.mailbox.asleep)  # else the answer comes as a message
        answers.append(otp.call(asker, lambda tag=tag: client.request_again(request, tag=tag)))

    assert isinstance(lost.error, otp.CallExit)
    assert [answer.request for answer in answers] == [request, request]
    assert [[job.id for job in answer.value.jobs] for answer in answers] == [[1], [1]]


def test_nodes_live_as_long_as_their_process(client, path):
    mine = client.open_node()
    with OtherProcess(NODE, path) as other:
        theirs = int(other.first_line)
        while_it_lives = client.dead_nodes()

        other.kill()

        assert (mine, theirs) == (1, 2)
        assert while_it_lives == []
        assert client.dead_nodes() == [theirs]
    client.close_node(theirs)
    assert client.dead_nodes() == []
    client.close_node(mine)
    assert list((path / "nodes").iterdir()) == []


def test_a_node_outlives_the_storage_actor(client, start):
    node = client.open_node()

    otp.exit(NAME, otp.Killed())
    start()

    assert client.dead_nodes() == []
    client.close_node(node)


def test_a_node_that_is_closed_just_now_is_not_taken_for_dead(client):
    def come_and_go():
        for _ in range(200):
            client.close_node(client.open_node())

    dead = set()
    with ThreadPoolExecutor(1) as pool:
        nodes = pool.submit(come_and_go)
        while not nodes.done():
            dead.update(client.dead_nodes())

    nodes.result()
    assert dead <= {THE_FIRST}

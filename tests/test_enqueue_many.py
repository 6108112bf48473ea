"""Many jobs come in: streamed, in order, up to the first bad item."""

import threading

import pytest
from support.apps import Plain, send

from antq_actors import BatchError, NotStarted, Status, Unique, Worker


class PerEmail(Worker, unique=Unique(args=["email"])):
    def perform(self, job):
        pass


def test_a_generator_of_any_length_is_stored_in_order(paused):
    ids = paused.enqueue_many(Plain, ({"n": n} for n in range(5_000)))

    assert ids == list(range(1, 5_001))
    assert paused.count_workers(status="enqueued") == 5_000
    listed = paused.list_workers()
    assert [job.id for job in listed] == ids
    assert [job.args["n"] for job in listed] == list(range(5_000))


def test_nothing_is_taken_from_the_iterable_long_before_it_is_stored(paused):
    most_ahead = 0

    def items():
        nonlocal most_ahead
        for n in range(4_500):
            if n % 500 == 0:
                most_ahead = max(most_ahead, n - paused.count_workers())
            yield {"n": n}

    paused.enqueue_many(Plain, items())

    assert most_ahead <= 2_000


def test_large_arguments_are_stored_before_they_fill_the_memory(light):
    most_ahead = 0

    def items():
        nonlocal most_ahead
        for n in range(12):
            most_ahead = max(most_ahead, n - light.count_workers())
            yield {"much": bytes(4 * 2**20)}

    light.enqueue_many(Plain, items())

    assert most_ahead <= 3


@pytest.mark.parametrize("items", [[], (), iter([]), {}.keys(), ({} for _ in ())])
def test_nothing_to_enqueue_answers_no_ids(paused, items):
    assert paused.enqueue_many(Plain, items) == []


def test_an_item_may_be_none_for_no_arguments(paused):
    assert paused.enqueue_many(Plain, [None, {}]) == [1, 2]
    assert [job.args for job in paused.list_workers()] == [{}, {}]


def test_options_hold_for_every_job(paused):
    paused.enqueue_many(Plain, [{}, {}], queue="mail", priority=3, schedule_in=60)

    for job in paused.list_workers():
        assert (job.queue_name, job.priority, job.status) == ("mail", 3, Status.SCHEDULED)


def test_duplicates_of_a_unique_worker_are_left_out(paused):
    before = PerEmail.perform_async({"email": "b"})

    ids = paused.enqueue_many(
        PerEmail, [{"email": email} for email in ["a", "a", "b", "c", "a"]] * 700
    )

    assert len(ids) == 2
    assert [job.args["email"] for job in paused.list_workers(after=before.id)] == ["a", "c"]
    assert [paused.get_worker(id_).args["email"] for id_ in ids] == ["a", "c"]


@pytest.mark.parametrize(
    ("bad", "cause", "named"),
    [
        ({"lock": threading.Lock()}, TypeError, "lock"),
        ({1: 2}, TypeError, "1"),
        ("text", TypeError, "mapping"),
        (5, TypeError, "mapping"),
        ([], TypeError, "mapping"),
    ],
)
@pytest.mark.parametrize("position", [0, 3, 1_000, 1_001])
def test_at_a_bad_item_those_before_it_are_stored_and_the_error_says_so(
    light, bad, cause, named, position
):
    items = ({"n": n} if n != position else bad for n in range(position + 5))

    with pytest.raises(BatchError, match=named) as refused:
        light.enqueue_many(Plain, items)

    error = refused.value
    assert error.index == position
    assert error.ids == list(range(1, position + 1))
    assert type(error.__cause__) is cause
    assert str(position) in str(error)
    assert [job.id for job in light.list_workers()] == error.ids


@pytest.mark.parametrize(
    ("worker", "items", "named", "index"),
    [
        (send, [{"email": "a"}, {"emial": "b"}], "email", 1),
        (PerEmail, [{"email": "a"}, {"email": "a"}, 5], "mapping", 2),
    ],
    ids=["of a function worker", "after duplicates, which have no ids"],
)
def test_a_bad_item_is_a_batch_error_with_its_index(paused, worker, items, named, index):
    with pytest.raises(BatchError, match=named) as refused:
        paused.enqueue_many(worker, items)

    assert (refused.value.index, refused.value.ids) == (index, [1])


def test_an_iterable_that_raises_is_a_batch_error_at_the_item_it_did_not_give(paused):
    def items():
        yield {"n": 0}
        yield {"n": 1}
        raise OSError("the file is gone")

    with pytest.raises(BatchError, match="the file is gone") as refused:
        paused.enqueue_many(Plain, items())

    assert (refused.value.index, refused.value.ids) == (2, [1, 2])
    assert isinstance(refused.value.__cause__, OSError)
    assert paused.count_workers() == 2


@pytest.mark.parametrize("thing", [{"n": 1}, "text", b"bytes", None, 5, Plain], ids=repr)
def test_what_is_no_iterable_of_mappings_is_a_type_error_at_once(paused, thing):
    with pytest.raises(TypeError, match="iterable"):
        paused.enqueue_many(Plain, thing)
    assert paused.count_workers() == 0


def test_wrong_options_are_told_before_the_first_item_is_taken(paused):
    taken = []

    with pytest.raises(TypeError, match="colour"):
        paused.enqueue_many(Plain, (taken.append(n) or {} for n in range(3)), colour=1)
    assert taken == []


def test_an_application_that_stops_meanwhile_does_not_hang_the_stream(app):
    def items():
        yield {"n": 0}
        app.stop(timeout=0)
        yield {"n": 1}

    with pytest.raises(Exception, match=r"stopped|running") as refused:
        app.enqueue_many(Plain, items())

    assert type(refused.value).__name__ in {"StorageError", NotStarted.__name__, "BatchError"}

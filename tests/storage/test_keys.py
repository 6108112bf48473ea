import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors.errors import StorageError
from antq_actors.jobs.state import Status
from antq_actors.storage.lmdb import keys

statuses = st.sampled_from(Status)
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60)
orders = st.integers(-(2**63), 2**63 - 1)
ids = st.integers(1, keys.LARGEST_ID)
digests = st.binary(min_size=16, max_size=16)


@given(names, orders, ids, orders, ids)
def test_keys_of_a_lane_sort_by_order_and_then_by_id(name, order, id_, other_order, other_id):
    lane = keys.lane(Status.SCHEDULED, name)

    by_key = keys.work_key(lane, order, id_) < keys.work_key(lane, other_order, other_id)

    assert by_key == ((order, id_) < (other_order, other_id))


@given(statuses, names, orders, ids)
def test_a_work_key_can_be_taken_apart(status, name, order, id_):
    key = keys.work_key(keys.lane(status, name), order, id_)

    assert keys.split_work_key(key) == (status, name, order, id_)
    assert keys.order_in(key) == order
    assert keys.id_at_end(key) == id_


@given(statuses, names, ids, digests, st.integers(0, 2**32 - 1))
def test_the_other_keys_can_be_taken_apart(status, name, id_, digest, number):
    lane = keys.lane(status, name)

    assert keys.split_lane(lane) == (status, name)
    assert keys.split_listing_key(keys.listing_key(lane, id_)) == (status, name, id_)
    assert keys.split_unique_key(keys.unique_key(digest, status, id_)) == (digest, status, id_)
    assert keys.split_error_key(keys.error_key(id_, number)) == (id_, number)
    assert keys.id_at_end(keys.job_key(id_)) == id_


@given(statuses, names, orders, ids, statuses, names)
def test_a_lane_holds_its_own_keys_and_no_others(  # noqa: PLR0917 - drawn
    status, name, order, id_, other, other_name
):
    lane = keys.lane(status, name)
    key = keys.work_key(keys.lane(other, other_name), order, id_)

    inside = lane <= key < keys.lane_end(lane)

    assert inside == ((status, name) == (other, other_name))


@given(st.integers(-128, 127), st.integers(-128, 127))
def test_the_larger_priority_comes_first(priority, other):
    lane = keys.lane(Status.ENQUEUED, "mail")

    first = keys.work_key(lane, -priority) < keys.work_key(lane, -other)

    assert first == (priority > other)


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 256])
def test_a_name_that_no_key_can_hold_is_refused(name):
    with pytest.raises(StorageError, match="a queue cannot be named"):
        keys.lane(Status.ENQUEUED, name)

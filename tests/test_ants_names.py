"""Ant's names for what lists, counts and changes jobs: they stay, and do what ours do."""

import inspect

import pytest
from support.apps import Plain

from antq_actors import AntQ, JobNotFound, Status, Worker

TWINS = {
    "list_workers": "list_jobs",
    "count_workers": "count_jobs",
    "get_worker": "get_job",
    "cancel_worker": "cancel_job",
    "retry_worker": "retry_job",
    "delete_worker": "delete_job",
}


@pytest.fixture
def stored(light):
    """Six jobs of two queues, of which the second and the fifth are cancelled."""
    for queue in ("default", "mail"):
        light.enqueue_many(Plain, ({"n": n} for n in range(3)), queue=queue)
    light.cancel_job(2)
    light.cancel_job(5)
    return light


@pytest.mark.parametrize("ants", TWINS)
def test_ants_names_take_what_ant_has_and_say_whose_they_are(ants):
    parameters = list(inspect.signature(getattr(AntQ, ants)).parameters)

    assert parameters == {
        "list_workers": ["self", "status", "queue_name", "worker", "args", "after", "limit"],
        "count_workers": ["self", "status", "queue_name"],
        "get_worker": ["self", "id"],
        "retry_worker": ["self", "job_or_id", "fresh"],  # of ours, as steps are
    }.get(ants, ["self", "job_or_id"])
    assert f":meth:`{TWINS[ants]}`" in getattr(AntQ, ants).__doc__


@pytest.mark.parametrize("status", [None, "enqueued", ["cancelled"]])
@pytest.mark.parametrize("queue", [None, "default", "mail"])
def test_lists_and_counts_of_both_names_agree(stored, status, queue):
    listed = stored.list_jobs(status=status, queue=queue)

    assert stored.list_workers(status=status, queue_name=queue) == listed
    assert stored.count_workers(status=status, queue_name=queue) == len(listed)
    assert stored.count_jobs(status=status, queue=queue) == len(listed)


def test_a_negative_limit_lists_nothing_under_ants_name_and_is_refused_under_ours(stored):
    assert stored.list_workers(limit=-1) == []
    with pytest.raises(ValueError, match="limit must be at least 0"):
        stored.list_jobs(limit=-1)


def test_a_job_is_changed_under_either_name(stored):
    assert stored.cancel_worker(1).status is Status.CANCELLED
    assert stored.get_job(1) == stored.get_worker(1)
    assert stored.retry_worker(1).status is Status.ENQUEUED
    assert stored.cancel_job(1).status is Status.CANCELLED
    assert stored.retry_job(1).status is Status.ENQUEUED
    stored.delete_worker(1)
    with pytest.raises(JobNotFound):
        stored.get_job(1)
    stored.delete_job(2)
    with pytest.raises(JobNotFound):
        stored.get_worker(2)


def test_jobs_are_counted_by_worker_with_the_other_filters(stored):
    class Other(Worker, name="shop.names:Other"):
        def perform(self, job):
            pass

    stored.enqueue_many(Other, [{}] * 4, queue="mail")

    assert stored.count_jobs(worker=Plain) == 6
    assert stored.count_jobs(worker=Plain, status="cancelled") == 2
    assert stored.count_jobs(worker="shop.names:Other") == 4
    assert stored.count_jobs(worker=Other, queue="mail", status=["enqueued", "failed"]) == 4
    assert stored.count_jobs(worker=Other, queue="default") == 0


def test_a_count_by_worker_goes_on_over_its_pages(stored, monkeypatch):
    monkeypatch.setattr("antq_actors.storage.client._COUNT_PAGE_JOBS", 2)
    stored.enqueue_many(Plain, [{}] * 5, queue="mail")

    assert stored.count_jobs(worker=Plain) == 11
    assert stored.count_jobs(worker=Plain, queue="mail") == 8

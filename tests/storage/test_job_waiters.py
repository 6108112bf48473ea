"""Who waits for which jobs."""

from antq_actors.storage.job_waiters import JobWaiter, JobWaiters


def waiters_for(*jobs):
    waiters = JobWaiters()
    for ids in jobs:
        waiters.add(JobWaiter(ids))
    return waiters


def test_a_caller_waits_for_its_jobs_and_for_no_others():
    waiters = waiters_for([1, 2], [5])

    assert waiters.await_any(iter([4, 5]))
    assert not waiters.await_any([3, 4])
    assert not waiters.await_any([])


def test_nobody_waits_for_a_job_that_has_ended_or_when_the_caller_is_gone():
    waiters = waiters_for([1, 2])

    waiters.ended([1])

    assert not waiters.await_any([1])
    assert waiters.await_any([2])
    for waiter in list(waiters.waiters):
        waiters.discard(waiter)
    assert not waiters.await_any([2])


def test_of_many_callers_one_may_wait_for_any_job():
    assert waiters_for(*([n] for n in range(9))).await_any([100])
    assert not waiters_for(*([n] for n in range(8))).await_any([100])

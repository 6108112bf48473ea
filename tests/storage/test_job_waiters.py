"""Who waits for which jobs."""

from antq_actors.storage.job_waiters import JobWaiter, JobWaiters


def waiters_for(*jobs):
    waiters = JobWaiters()
    for ids in jobs:
        waiters.add(JobWaiter(ids))
    return waiters


def test_a_caller_waits_for_its_jobs_and_for_no_others():
    waiters = waiters_for([1, 2], [5])

    assert waiters.are_awaited(iter([4, 5]))
    assert not waiters.are_awaited([3, 4])
    assert not waiters.are_awaited([])


def test_nobody_waits_for_a_job_that_has_ended_or_when_the_caller_is_gone():
    waiters = waiters_for([1, 2])

    waiters.ended([1])

    assert not waiters.are_awaited([1])
    assert waiters.are_awaited([2])
    for waiter in list(waiters.waiters):
        waiters.discard(waiter)
    assert not waiters.are_awaited([2])


def test_of_many_callers_one_may_wait_for_any_job():
    assert waiters_for(*([n] for n in range(9))).are_awaited([100])
    assert not waiters_for(*([n] for n in range(8))).are_awaited([100])

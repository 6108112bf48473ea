"""Numbers that are no int and no float, such as numpy's: taken where those are, stored as those."""

import numbers
from fractions import Fraction

import pytest

from antq_actors import AntQ, QueueConfig, Snooze, Worker, worker
from antq_actors.checks import real, whole
from antq_actors.queues import SetConcurrency


class Whole:
    """As an integer of numpy: it is no int, and has an index."""

    def __init__(self, number):
        self._number = number

    def __index__(self):
        return self._number


class Truth:
    """As a bool of numpy."""

    def __index__(self):
        raise TypeError


class Share:
    """As a float of numpy with 32 bits: it is no float, and is registered as a real number."""

    def __init__(self, number):
        self._number = number

    def __float__(self):
        return self._number


numbers.Real.register(Share)


class Counted(Worker, max_attempts=Whole(3), priority=Whole(4), timeout=Share(1.5)):
    def perform(self, job):
        pass


def plain(value):
    return type(value) in (int, float)


@pytest.mark.parametrize(
    ("value", "number"),
    [(Whole(5), 5), (Share(0.5), 0.5), (Fraction(1, 2), 0.5), (Fraction(10**400), float("inf"))],
)
def test_a_foreign_number_becomes_a_plain_one(value, number):
    assert real(value) == number
    assert plain(real(value))


@pytest.mark.parametrize("value", [True, Truth(), "5", None, 1j, [5]])
def test_what_is_no_number_is_none(value):
    assert whole(value) is None
    assert real(value) is None


def test_a_real_number_is_no_whole_one():
    assert whole(Share(5.0)) is None
    assert whole(5.0) is None


def test_options_of_workers_and_jobs_take_foreign_numbers():
    job = Counted.build({}, priority=Whole(-1), max_attempts=Whole(7), schedule_in=Share(60.0))

    assert (job.priority, job.max_attempts) == (-1, 7)
    assert job.opts == {"max_attempts": 7, "timeout": 1.5, "unique": None, "priority": -1}
    assert all(map(plain, (job.priority, job.max_attempts, job.opts["timeout"])))
    assert (job.scheduled_at - job.inserted_at).total_seconds() == 60


def test_resources_of_a_cluster_take_foreign_numbers():
    @worker(ray={"num_cpus": Whole(2), "num_gpus": Share(0.5), "memory": Whole(1_000)})
    def compute():
        pass

    assert compute.antq_options.ray == (("memory", 1_000), ("num_cpus", 2), ("num_gpus", 0.5))


def test_a_snooze_takes_a_foreign_number():
    assert (Snooze(Share(1.5)).seconds, Snooze(Whole(2)).seconds) == (1.5, 2.0)


def test_an_application_takes_foreign_numbers_everywhere():
    settings = QueueConfig(
        concurrency=Whole(2),
        check_interval=Share(0.5),
        max_jobs=Whole(3),
        max_memory=Whole(10**9),
        max_abandoned=Whole(4),
    )
    app = AntQ(
        queues={"default": Whole(1), "mail": settings},
        retention=Share(60.0),
        max_interruptions=Whole(2),
    ).start()
    try:
        app.queue("default").pause()
        job, other = app.enqueue(Counted), app.enqueue(Counted)

        app.queue("mail").set_concurrency(Whole(3))

        assert app.queue("mail").status().concurrency == 3
        assert app.get_worker(Whole(job.id)).id == job.id
        assert [each.id for each in app.list_workers(limit=Whole(1))] == [job.id]
        assert [each.id for each in app.list_workers(after=Whole(job.id))] == [other.id]
        assert app.cancel_worker(Whole(job.id)).id == job.id
        assert app.retry_worker(Whole(job.id)).id == job.id
        app.delete_worker(Whole(job.id))
        assert app.count_workers() == 1
    finally:
        app.stop(timeout=Share(5.0))
    assert all(
        plain(getattr(settings, name))
        for name in ("concurrency", "check_interval", "max_jobs", "max_memory", "max_abandoned")
    )


@pytest.mark.parametrize("wrong", [Truth(), Share(5.0)])
def test_a_foreign_number_of_the_wrong_kind_is_refused(wrong):
    with pytest.raises(TypeError, match="priority must be a whole number"):
        Counted.build({}, priority=wrong)
    with pytest.raises(TypeError, match="concurrency must be a whole number"):
        SetConcurrency(wrong)
    with pytest.raises(TypeError, match="max_interruptions must be a whole number"):
        AntQ(max_interruptions=wrong)

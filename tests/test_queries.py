"""Jobs are found: every filter alone and with the others, by id, without running anything."""

import os
from collections import OrderedDict
from decimal import Decimal
from itertools import islice

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import apps
from support.apps import Fails, Plain, send, settled

from antq_actors import AntQ, JobNotFound, Status, Worker
from antq_actors.storage.format.display import Opaque
from antq_actors.storage.jobs import search
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.storage.lmdb import scan


class Rebranded(Worker, name="shop.old:Rebranded"):
    def perform(self, job):
        pass


def ids(jobs):
    return [job.id for job in jobs]


@pytest.fixture
def stored(light):
    """Nine jobs: ids 1 to 9, of two queues, three workers and three statuses."""
    light.enqueue_many(Plain, ({"n": n} for n in range(3)))
    light.enqueue_many(Rebranded, ({"n": n} for n in range(3)), queue="mail")
    light.enqueue_many(send, ({"email": str(n)} for n in range(3)), schedule_in=3600)
    for id_ in (2, 5, 8):
        light.cancel_job(id_)
    return light


def test_without_filters_all_jobs_are_listed_by_id(stored):
    assert ids(stored.list_jobs()) == list(range(1, 10))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (Status.ENQUEUED, [1, 3, 4, 6]),
        ("enqueued", [1, 3, 4, 6]),
        (["cancelled", Status.SCHEDULED], [2, 5, 7, 8, 9]),
        ({"cancelled"}, [2, 5, 8]),
        (("running",), []),
        ([], []),
        (Status, list(range(1, 10))),
        (iter(["scheduled"]), [7, 9]),
    ],
)
def test_by_one_status_or_several(stored, status, expected):
    assert ids(stored.list_jobs(status=status)) == expected


@pytest.mark.parametrize(
    ("worker", "expected"),
    [
        (Plain, [1, 2, 3]),
        ("support.apps:Plain", [1, 2, 3]),
        (Rebranded, [4, 5, 6]),
        ("shop.old:Rebranded", [4, 5, 6]),
        (send, [7, 8, 9]),
        ("support.apps:send", [7, 8, 9]),
        (Fails, []),
        ("support.apps:Fails", []),
    ],
)
def test_by_worker_class_function_or_stored_name(stored, worker, expected):
    assert ids(stored.list_jobs(worker=worker)) == expected


@pytest.mark.parametrize(
    ("queue", "expected"),
    [
        ("mail", [4, 5, 6]),
        ("default", [1, 2, 3, 7, 8, 9]),
        ("nope", []),
        ("", []),
        ("mai", []),
        ("x" * 1_000, []),
        ("a\0b", []),
    ],
)
@pytest.mark.filterwarnings("ignore:no job is in a queue")
def test_by_queue_and_an_unknown_one_matches_nothing(stored, queue, expected):
    assert ids(stored.list_jobs(queue=queue)) == expected
    assert stored.count_jobs(queue=queue) == len(expected)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"after": 4}, [5, 6, 7, 8, 9]),
        ({"after": 0}, list(range(1, 10))),
        ({"after": -7, "limit": 2}, [1, 2]),
        ({"after": 9}, []),
        ({"after": 2**70}, []),
        ({"limit": 3}, [1, 2, 3]),
        ({"limit": 0}, []),
        ({"limit": 2**70}, list(range(1, 10))),
        ({"after": 3, "limit": 2}, [4, 5]),
        ({"before": 4}, [1, 2, 3]),
        ({"before": 1}, []),
        ({"before": -1}, []),
        ({"before": 2**70}, list(range(1, 10))),
        ({"after": 3, "before": 6}, [4, 5]),
        ({"newest_first": True}, list(range(9, 0, -1))),
        ({"newest_first": True, "limit": 2}, [9, 8]),
        ({"newest_first": True, "limit": 2, "before": 8}, [7, 6]),
        ({"newest_first": True, "after": 7}, [9, 8]),
        ({"newest_first": True, "status": ["cancelled", "scheduled"], "limit": 4}, [9, 8, 7, 5]),
        ({"newest_first": True, "worker": Plain, "limit": 2}, [3, 2]),
        ({"newest_first": True, "queue": "mail", "args": {"n": 1}}, [5]),
        ({"status": "cancelled", "limit": 2}, [2, 5]),
        ({"status": "cancelled", "after": 2, "limit": 1}, [5]),
        ({"status": "cancelled", "queue": "mail"}, [5]),
        ({"status": "cancelled", "worker": send}, [8]),
        ({"queue": "default", "worker": send, "args": {"email": "2"}}, [9]),
        ({"queue": "mail", "worker": send}, []),
        ({"args": {"n": 1}}, [2, 5]),
        ({"args": {"n": 1}, "limit": 1}, [2]),
        ({"args": {"n": 1}, "after": 2}, [5]),
        ({"args": {}}, list(range(1, 10))),
        ({"args": None, "status": None, "worker": None, "queue": None}, list(range(1, 10))),
    ],
    ids=str,
)
def test_all_given_filters_hold_and_the_limit_counts_after_them(stored, filters, expected):
    assert ids(stored.list_jobs(**filters)) == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "status": st.none() | st.frozensets(st.sampled_from(list(Status)), max_size=3),
            "queue": st.sampled_from([None, "default", "mail"]),
            "worker": st.sampled_from([None, Plain, Rebranded, send]),
            "args": st.sampled_from([None, {}, {"n": 1}, {"email": "1"}, {"n": 9}]),
            "after": st.none() | st.integers(-2, 12),
            "before": st.none() | st.integers(-2, 12),
            "limit": st.none() | st.integers(0, 12),
            "newest_first": st.booleans(),
        },
    )
)
def test_any_combination_answers_what_a_walk_through_all_jobs_would(stored, filters):
    wanted = {name: value for name, value in filters.items() if value is not None}
    expected = [
        job
        for job in stored.list_jobs()
        if job.status in wanted.get("status", Status)
        and job.queue_name == wanted.get("queue", job.queue_name)
        and ("worker" not in wanted or job.worker == wanted["worker"].antq_name)
        and wanted.get("args", {}).items() <= job.args.items()
        and wanted.get("after", 0) < job.id < wanted.get("before", 99)
    ]
    if filters.get("newest_first"):
        expected.reverse()
    if "limit" in wanted:
        expected = expected[: wanted["limit"]]

    found = stored.list_jobs(**filters)

    assert found == expected


def test_a_signalling_nan_among_arguments_matches_nothing_and_fails_no_list(light):
    plain = light.enqueue(Plain, {"v": Decimal(1)})
    light.enqueue(Plain, {"v": Decimal("sNaN")})

    assert ids(light.list_jobs(args={"v": Decimal(1)})) == [plain.id]
    assert light.list_jobs(args={"v": Decimal("sNaN")}) == []


def test_args_match_a_nested_subset(light):
    light.enqueue(Plain, {"user": {"name": "jo", "address": {"city": "Ulm", "zip": 1}}, "n": [1]})

    for subset in (
        {"user": {}},
        {"user": {"name": "jo"}},
        {"user": {"address": {"city": "Ulm"}}},
        {"user": OrderedDict(address={"zip": 1}), "n": [1]},
    ):
        assert ids(light.list_jobs(args=subset)) == [1]
    for other in (
        {"user": {"name": "al"}},
        {"user": {"address": {"city": "Ulm", "street": None}}},
        {"user": "jo"},
        {"n": []},
        {"n": {"0": 1}},
        {"name": "jo"},
        {"user": {"name": {"first": "jo"}}},
    ):
        assert light.list_jobs(args=other) == []


def test_paging_through_more_jobs_than_a_page_holds_misses_none_and_repeats_none(light):
    light.enqueue_many(Plain, ({"n": n} for n in range(2_345)))
    light.enqueue_many(Plain, ({"n": n} for n in range(10)), queue="mail")

    for filters in ({}, {"status": "enqueued"}, {"queue": "default"}, {"worker": Plain}):
        walked, last = [], None
        while page := light.list_jobs(**filters, after=last, limit=700):
            walked += ids(page)
            last = page[-1].id
        assert walked == ids(light.list_jobs(**filters))
        assert walked == sorted(set(walked))
        walked, last = [], None
        while page := light.list_jobs(**filters, newest_first=True, before=last, limit=700):
            walked += ids(page)
            last = page[-1].id
        assert walked == ids(light.list_jobs(**filters))[::-1]
    assert ids(light.list_jobs(args={"n": 2_344})) == [2_345]


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"status": "enqueued"},
        {"status": "cancelled"},
        {"status": ["enqueued", "cancelled"]},
        {"queue": "default"},
        {"queue": "default", "status": Status.CANCELLED},
        {"worker": Plain},
    ],
    ids=str,
)
@pytest.mark.parametrize("newest_first", [False, True])
def test_a_page_reads_no_more_keys_than_it_has_jobs_and_one_for_each_lane(
    light, monkeypatch, filters, newest_first
):
    light.enqueue_many(Plain, [{}] * 1_000)
    light.enqueue_many(Plain, [{}] * 1_000, schedule_in=3600)
    for id_ in range(400, 1_400):
        light.cancel_job(id_)
    read = []
    for name in ("keys_from", "keys_down_from"):
        real = getattr(scan, name)
        monkeypatch.setattr(search, name, lambda *args, real=real: noted(read, real(*args)))

    page = light.list_jobs(**filters, newest_first=newest_first, limit=10)

    assert len(page) == 10
    lanes = 3
    assert 10 <= len(read) <= 10 + 2 * lanes, "for an index, its first key is read as well"


def noted(read, keys):
    for key in keys:
        read.append(key)
        yield key


# ---- names that nothing knows ------------------------------------------------------------------


@pytest.fixture
def asks(light):
    """The calls that take a queue as a filter, under both names."""
    return {
        "queue": [light.list_jobs, light.count_jobs],
        "queue_name": [light.list_workers, light.count_workers],
    }


@pytest.mark.parametrize("keyword", ["queue", "queue_name"])
def test_a_queue_that_nothing_knows_is_a_warning_that_names_a_close_one(light, asks, keyword):
    light.enqueue(Plain, queue="mail")

    for ask in asks[keyword]:
        with pytest.warns(UserWarning, match="queue 'mial'.*did you mean 'mail'") as warned:
            assert not ask(**{keyword: "mial"})
        (warning,) = warned
        assert warning.filename == __file__


@pytest.mark.parametrize("ask", ["list_jobs", "count_jobs", "list_workers"])
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("shop.old:Rebarnded", "did you mean 'shop.old:Rebranded'"),
        ("Rebranded", "did you mean 'shop.old:Rebranded'"),
        ("shop.lost:Gnoe", "did you mean 'shop.lost:Gone'"),
        ("zzz", "there are '"),
        ("", "there are '"),
    ],
)
def test_a_workers_name_that_nothing_knows_is_a_warning_too(light, ask, name, meant):
    class Gone(Worker, name="shop.lost:Gone"):
        def perform(self, job):
            pass

    light.enqueue(Gone)

    with pytest.warns(UserWarning, match=f"no job has a worker '{name}'.*{meant}") as warned:
        assert not getattr(light, ask)(worker=name, status="enqueued")
    assert warned[0].filename == __file__


def test_names_that_a_job_or_a_configuration_knows_are_no_warning(tmp_path):
    with AntQ(tmp_path / "jobs", queues={"empty": 1}, start_queues=False) as app:
        app.enqueue(Plain, queue="mail")
        app.cancel_job(1)

        # filterwarnings = error: each of these would raise
        assert app.list_jobs(queue="empty") == []
        assert app.list_jobs(queue="mail", status="enqueued") == []
        assert app.list_jobs(worker=Fails) == []
        assert app.list_jobs(worker="support.apps:Fails") == []
        assert app.list_jobs(worker="support.apps:Plain", status="failed") == []
        assert app.count_jobs(queue="empty", worker=Plain) == 0
        assert app.list_jobs(queue="unknown", limit=0) == []


def test_a_stored_jobs_worker_is_known_without_its_class(stored_elsewhere):
    with AntQ(stored_elsewhere, start_queues=False) as app:
        assert app.list_jobs(worker="nowhere:Defined", status="failed") == []
        with pytest.warns(UserWarning, match="did you mean 'nowhere:Defined'"):
            app.list_jobs(worker="nowhere:Defind")


@pytest.fixture
def stored_elsewhere(tmp_path, program):
    """A store with a job whose worker only another process has defined."""
    path = tmp_path / "jobs"
    code = (
        "from antq_actors import AntQ, Worker\n"
        "class Defined(Worker, name='nowhere:Defined'):\n"
        "    def perform(self, job): pass\n"
        f"with AntQ({str(path)!r}, start_queues=False): Defined.perform_async()\n"
    )
    assert program("-c", code).process.wait(apps.LONGEST) == 0
    return path


def test_asking_again_for_an_unknown_worker_reads_only_newer_jobs(light, monkeypatch):
    light.enqueue_many(Plain, [{}] * 50)
    looked = []
    real = JobReader.count_page

    def noted(reader, filter_, *, after, size):
        found, last = real(reader, filter_, after=after, size=size)
        looked.append((last or after) - after)
        return found, last

    monkeypatch.setattr(JobReader, "count_page", noted)
    for expected in (50, 0, 1):
        looked.clear()
        with pytest.warns(UserWarning, match="no job has a worker"):
            light.list_jobs(worker="not.yet:There", status="failed")
        assert sum(looked) == expected
        if expected == 0:
            light.enqueue(Plain)


@pytest.mark.parametrize(
    ("filters", "error", "named"),
    [
        ({"status": "bogus"}, ValueError, "bogus"),
        ({"status": ["enqueued", "bogus"]}, ValueError, "bogus"),
        ({"status": 5}, TypeError, "status"),
        ({"status": [5]}, TypeError, "status"),
        ({"status": b"enqueued"}, TypeError, "status"),
        ({"queue": 5}, TypeError, "^queue must"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_also_in_counting(light, filters, error, named):
    for ask in (light.list_jobs, light.count_jobs):
        with pytest.raises(error, match=named):
            ask(**filters)


@pytest.mark.parametrize(
    ("filters", "error"),
    [
        ({"worker": int}, TypeError),
        ({"worker": Worker}, TypeError),
        ({"worker": 5}, TypeError),
        ({"args": [1]}, TypeError),
        ({"args": "n"}, TypeError),
        ({"args": {1: 2}}, TypeError),
        ({"after": "1"}, TypeError),
        ({"after": True}, TypeError),
        ({"after": 1.0}, TypeError),
        ({"before": "1"}, TypeError),
        ({"before": True}, TypeError),
        ({"newest_first": 1}, TypeError),
        ({"newest_first": None}, TypeError),
        ({"limit": "1"}, TypeError),
        ({"limit": 1.0}, TypeError),
        ({"limit": True}, TypeError),
        ({"colour": 1}, TypeError),
    ],
    ids=str,
)
def test_a_filter_of_the_wrong_type_is_a_type_error_that_names_it(light, filters, error):
    with pytest.raises(error) as refused:
        light.list_jobs(**filters)

    (name,) = filters
    assert name in str(refused.value)


def test_counts_agree_with_lists(stored):
    for status in (None, "enqueued", ["cancelled", "scheduled"], [], "failed"):
        for queue in (None, "default", "mail"):
            listed = stored.list_jobs(status=status, queue=queue)
            assert stored.count_jobs(status=status, queue=queue) == len(listed)


def test_get_job_answers_the_job_or_job_not_found(stored):
    assert stored.get_job(5) == stored.list_jobs()[4]
    for nothing in (0, -1, 10, 2**64, 2**70):
        with pytest.raises(JobNotFound, match=str(nothing)):
            stored.get_job(nothing)


@pytest.mark.parametrize("thing", ["1", 1.0, True, None, [1]], ids=repr)
def test_an_id_that_is_no_whole_number_is_a_type_error(stored, thing):
    for ask in (stored.get_job, stored.cancel_job, stored.retry_job, stored.delete_job):
        with pytest.raises(TypeError, match="id"):
            ask(thing)


# ---- looking never runs anything -------------------------------------------------------------


class Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


def test_looking_at_jobs_runs_nothing_that_their_arguments_name(tmp_path):
    trap = tmp_path / "sprung"
    with AntQ(start_queues=False) as app:
        job = app.enqueue(Plain, {"n": 1, "trap": Trap(trap), "deep": [{"trap": Trap(trap)}]})

        (listed,) = app.list_jobs()
        for shown in (
            listed,
            app.get_job(job.id),
            app.list_jobs(args={"n": 1})[0],
            app.cancel_job(job),
            app.retry_job(job),
        ):
            assert shown.args["n"] == 1
            assert shown.args["trap"] == Opaque(f"{__name__}.Trap")
            assert shown.args["deep"] == [{"trap": Opaque(f"{__name__}.Trap")}]
        app.delete_job(job)
    assert not trap.exists()


def test_objects_of_a_users_class_are_shown_by_their_name(light):
    class Cart:
        pass

    job = light.enqueue(Plain, {"cart": Cart(), "n": 1})

    shown = light.get_job(job.id).args

    assert shown["n"] == 1
    assert "Cart" in repr(shown["cart"])


def test_reading_goes_on_while_jobs_come_and_go(app):
    app.enqueue_many(Plain, ({"n": n} for n in range(300)))
    last = app.list_jobs(limit=300)[-1]

    seen = [ids(app.list_jobs(worker=Plain)) for _ in islice(range(20), 20)]

    assert settled(app, last).status is Status.COMPLETED
    assert all(each == sorted(set(each)) for each in seen)


@pytest.mark.parametrize("look", ["get_job", "cancel_job", "retry_job", "delete_job"])
@pytest.mark.parametrize(
    "id_", [10**5000, -(10**5000), 2**64, -1, 0], ids=["huge", "least", "64 bits", "-1", "0"]
)
def test_an_id_that_no_job_can_have_is_not_found(app, look, id_):
    with pytest.raises(JobNotFound, match="no job has"):
        getattr(app, look)(id_)


@pytest.mark.parametrize("option", ["status", "queue", "worker", "args"])
def test_a_filter_that_cannot_even_be_shown_is_a_type_error(app, option):
    with pytest.raises(TypeError, match="a int"):
        app.list_jobs(**{option: 10**5000})

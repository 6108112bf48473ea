import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antq_actors import AntQ, Worker
from antq_actors.demo.campaign import Campaign, OtherLeads, SendPromotion, newest_job
from antq_actors.demo.leads import write_leads

LINES = 30


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    file = tmp_path_factory.mktemp("leads") / "leads.txt"
    write_leads(file, LINES, seed=1)
    return file


@pytest.fixture
def app(light):
    return light


class Other(Worker):
    def perform(self, job):
        pass


def enqueue_first(app, file, count):
    emails = file.read_text().splitlines()[:count]
    args = ({"email": email, "line": line} for line, email in enumerate(emails, start=1))
    return app.enqueue_many(SendPromotion, args)


def enqueued_lines(app):
    return [job.args["line"] for job in app.list_workers(worker=SendPromotion)]


def fail_on_bad_line(bad):
    raise AssertionError(bad)


@pytest.mark.parametrize("stored", [0, 1, 2, 17, LINES - 1, LINES])
def test_a_campaign_goes_on_after_the_leads_that_are_jobs_already(app, file, stored):
    enqueue_first(app, file, stored)

    Campaign(app, file, fail_on_bad_line).enqueue()

    assert enqueued_lines(app) == list(range(1, LINES + 1))


def test_a_campaign_goes_on_with_other_jobs_and_gaps_among_its_own(app, file):
    ids = enqueue_first(app, file, 20)
    app.enqueue_many(Other, ({} for _ in range(50)))
    for job_id in ids[3:15]:
        app.delete_worker(job_id)

    Campaign(app, file, fail_on_bad_line).enqueue()

    assert enqueued_lines(app) == [1, 2, 3, *range(16, LINES + 1)]


@pytest.mark.parametrize(
    ("lines", "seed", "named"),
    [(LINES, 2, "line 5"), (4, 1, r"others\.txt")],
    ids=["other lines", "it ends before the newest job"],
)
def test_the_jobs_of_another_file_are_left_as_they_are(app, file, tmp_path, lines, seed, named):  # noqa: PLR0917 - three are a row
    enqueue_first(app, file, 5)
    write_leads(tmp_path / "others.txt", lines, seed=seed)

    with pytest.raises(OtherLeads, match=named):
        Campaign(app, tmp_path / "others.txt", fail_on_bad_line).enqueue()

    assert len(enqueued_lines(app)) == 5


def test_there_is_no_newest_job_where_there_is_none(app):
    app.enqueue(Other)

    assert newest_job(app) is None


@settings(max_examples=20)
@given(kept=st.sets(st.integers(1, 60), min_size=1))
def test_the_newest_job_is_found_whatever_ids_are_left(kept):
    with AntQ(start_queues=False) as app:
        ids = app.enqueue_many(SendPromotion, ({"line": line} for line in range(1, 61)))
        for line, job_id in enumerate(ids, start=1):
            if line not in kept:
                app.delete_worker(job_id)

        newest = newest_job(app)

        assert newest is not None
        assert newest.args["line"] == max(kept)

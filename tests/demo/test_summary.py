"""The summary of a campaign: its text, and that it is written once all leads have ended."""

import pytest

from antq_actors import AntQ, BatchStatus
from antq_actors.demo.campaign import BATCH_NAME, QUEUE, Campaign, OtherLeads, SendPromotion
from antq_actors.demo.leads import write_leads
from antq_actors.demo.summary import SUMMARY_QUEUE, WriteSummary, summary_text

LEADS = 40


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "leads.txt"
    write_leads(file, LEADS, seed=1)
    return file


@pytest.fixture
def app(monkeypatch):
    monkeypatch.setattr(SendPromotion, "retry_delay", 0.0)
    with AntQ(queues={QUEUE: LEADS, SUMMARY_QUEUE: 1}, retention=None) as app:
        yield app


def ignore(_):
    pass


def a_status(completed, failed, cancelled=0):
    total = completed + failed + cancelled
    return BatchStatus(total, total, completed, failed, cancelled, closed=True, open=False)


@pytest.mark.parametrize(
    ("status", "reasons", "text"),
    [
        (a_status(0, 0), {}, "0 leads"),
        (a_status(3, 0), {}, "3 leads\n  3 completed (100.0%)"),
        (
            a_status(1_500, 490, 10),
            {"MailError": 90, "Invalid email": 400},
            """\
2,000 leads
  1,500 completed (75.0%)
  490 failed (24.5%)
    400 Invalid email
    90 MailError
  10 cancelled (0.5%)""",
        ),
    ],
    ids=["none", "all completed", "some failed"],
)
def test_the_summary_has_what_became_of_the_leads(status, reasons, text):
    assert summary_text(status, reasons) == text


def test_the_callback_of_the_leads_writes_their_summary(app, file, tmp_path):
    campaign = Campaign(app, file, ignore, tmp_path / "summary.txt")

    last = campaign.run(ignore)
    job = campaign.summary()

    assert last.jobs == LEADS  # the job of the summary is none of the campaign
    text = (tmp_path / "summary.txt").read_text()
    assert text == f"{job.result(timeout=0)}\n"
    assert text.startswith(f"{LEADS} leads\n  {last.counts['completed']} completed")
    assert f"{last.counts['failed']} Invalid email" in text


def test_a_campaign_that_is_run_again_has_one_batch_and_one_summary(app, file, tmp_path):
    for _ in range(2):
        campaign = Campaign(app, file, ignore, tmp_path / "summary.txt")
        campaign.run(ignore)
        campaign.summary()

    assert [batch.name for batch in app.batches()] == [BATCH_NAME]
    assert app.count_jobs(worker=WriteSummary) == 1


def test_a_campaign_goes_on_with_a_batch_that_was_left_open(app, file, tmp_path):
    summary = tmp_path / "summary.txt"
    batch = app.batch(
        BATCH_NAME, on_complete=WriteSummary.build({"file": str(summary), "queue": QUEUE})
    )
    first = file.read_text().splitlines()[0]
    batch.enqueue(SendPromotion, {"email": first, "line": 1})

    campaign = Campaign(app, file, ignore, summary)
    campaign.run(ignore)

    assert campaign.summary().batch.id == batch.id
    assert batch.status().total == LEADS


@pytest.mark.parametrize("had_summary", [True, False])
def test_leads_that_were_stored_in_the_other_way_are_left_as_they_are(
    app, file, tmp_path, had_summary
):
    summary = tmp_path / "summary.txt"
    Campaign(app, file, ignore, summary if had_summary else None).run(ignore)

    with pytest.raises(OtherLeads, match="--summary"):
        Campaign(app, file, ignore, None if had_summary else summary).run(ignore)

    assert app.count_jobs(worker=SendPromotion) == LEADS

"""A short run of ``make instants``, as part of the tests."""

from datetime import timedelta

import killed_crons

from antq_actors import AntQ


def test_each_instant_has_one_job_however_often_processes_are_killed(tmp_path):
    path = tmp_path / "store"

    outcome = killed_crons.run(path, nodes=4, kills=12, instants=200)

    assert outcome.findings == []
    assert outcome.instants == outcome.jobs
    assert outcome.jobs >= 200
    assert outcome.kills >= 12
    with AntQ(path, start_queues=False) as app:
        lost, doubled = app.list_jobs()[20:22]
        app.cron(lost.cron).pause()
        app.delete_job(lost)
        app.cron(doubled.cron).backfill(
            doubled.scheduled_for, doubled.scheduled_for + timedelta(seconds=1)
        )

        assert sorted(killed_crons.find_wrong(app)) == sorted(
            f"{job.cron} has {number} jobs for {int(job.scheduled_for.timestamp())}"
            for number, job in ((0, lost), (2, doubled))
        )

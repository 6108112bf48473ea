"""A short run of ``make batches``, as part of the tests."""

import killed_batches

from antq_actors import AntQ


def test_each_callback_comes_once_however_often_processes_are_killed(tmp_path):
    path = tmp_path / "store"

    outcome = killed_batches.run(path, members=400, kills=6)

    assert outcome.findings == []
    assert outcome.kills == 6
    with AntQ(path, start_queues=False) as app:
        batch = app.batches()[0]
        told = app.list_jobs(worker=killed_batches.Told, args={"batch": batch.name})
        app.delete_job(told[0])

        (found,) = killed_batches.find_wrong(app, batch, batch.status().total - len(batch.jobs()))
        assert found.startswith(f"batch {batch.id} has the callbacks")

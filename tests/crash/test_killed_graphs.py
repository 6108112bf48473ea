"""A short run of ``make graphs``, as part of the tests."""

import killed_graphs

from antq_actors import AntQ


def test_each_job_of_a_graph_ends_as_a_model_says_however_often_processes_are_killed(tmp_path):
    path = tmp_path / "store"

    outcome = killed_graphs.run(path, size=150, kills=3)

    assert outcome.findings == []
    assert outcome.kills >= 3
    with AntQ(path, start_queues=False) as app:
        follow_up = app.list_jobs(worker=killed_graphs.FollowUpJob)[0]
        number, at = follow_up.args["graph"], follow_up.args["number"]
        app.delete_job(follow_up)
        jobs = app.list_jobs(worker=killed_graphs.GraphJob, args={"graph": number})
        ids = sorted(job.id for job in jobs)
        graph = [killed_graphs.Planned({}, fails=False)] * len(ids)

        found = list(killed_graphs.find_wrong(app, number, graph, ids))
        assert f"job {ids[at]} of graph {number} has 0 follow-ups, not 1" in found

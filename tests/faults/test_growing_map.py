"""A map that is full grows under two running processes, and nobody notices."""

from obedient import noted
from support.apps import until
from support.findings import findings

from antq_actors import Status

TINY = 2**18


def test_two_nodes_fill_a_tiny_map_together_and_every_job_is_done_once(a_node, tmp_path):
    store, journal = tmp_path / "store", tmp_path / "journal"
    nodes = [a_node(store, map_size=TINY) for _ in range(2)]
    assert {node.map_size() for node in nodes} == {TINY}

    ids = []
    for _ in range(15):
        for node in nodes:
            ids += node.enqueue(count=10, noise=5_000, journal=str(journal))
    until(lambda: nodes[0].count(Status.COMPLETED) == len(ids), "the end of all jobs")

    assert sorted(noted(journal, "end")) == sorted(ids) == list(range(1, 301))
    for node in nodes:
        assert node.map_size() >= 2**20
        assert node.warnings() == []
        node.stop()
        assert node.leave() == 0
    assert (store / "data.mdb").stat().st_size > 300 * 5_000
    assert findings(store) == []

"""A short run of ``make soak``, as part of the tests."""

import journal
import soak


def test_nothing_is_lost_or_done_twice_at_once_however_processes_are_killed(capsys):
    assert soak.main(["--cycles", "12", "--seed", "12"]) == 0, capsys.readouterr().out

    lines = {line[:30].rstrip(): line[30:] for line in capsys.readouterr().out.splitlines()[1:]}
    assert int(lines["kills"]) >= 12
    assert int(lines["jobs acknowledged"]) > 0
    assert int(lines["cut short by Ctrl-C"]) > 0
    assert int(lines["  timed out while enqueueing"]) > 0


def test_a_job_that_was_acknowledged_and_is_not_there_ends_it(tmp_path, monkeypatch):
    monkeypatch.setattr(soak, "BATCH", 2)
    journal.begin(tmp_path, "nobody")
    journal.acknowledge(10**6)
    one = soak.Soak(tmp_path, seed=1)

    one.run(cycles=1000)

    assert one.findings == ["job 1000000: lost, it was acknowledged and is not stored"]
    assert one.kills.total() < 10

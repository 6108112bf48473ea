"""A short run of ``make soak``, as part of the tests."""

from collections import Counter

import journal
import soak

WANTED = {
    "kills": 12,
    "jobs acknowledged": 1,
    "cut short by Ctrl-C": 1,
    "  timed out while enqueueing": 1,
    "  of keys with limits": 1,
    "  commits at which one looked": 1,
    "batches checked in full": 1,
    "workflows checked in full": 1,
    "  callbacks of both": 1,
    "steps that were run": 1,
    "instants of periodic entries": 1,
}
"""So many of each, in a few short runs: on a busy machine chance may leave one of them out."""


def test_nothing_is_lost_or_done_twice_at_once_however_processes_are_killed(capsys):
    seen = Counter()
    for seed in range(12, 17):
        assert soak.main(["--cycles", "12", "--seed", f"{seed}"]) == 0, capsys.readouterr().out
        lines = capsys.readouterr().out.splitlines()[1:]
        counts = {line[:30].rstrip(): line[30:] for line in lines}
        seen.update({name: int(counts[name]) for name in WANTED})
        if seen >= Counter(WANTED):
            return

    assert seen >= Counter(WANTED)


def test_a_job_that_was_acknowledged_and_is_not_there_ends_it(tmp_path, monkeypatch):
    monkeypatch.setattr(soak, "BATCH", 2)
    journal.begin(tmp_path, "nobody")
    journal.acknowledge(10**6)
    one = soak.Soak(tmp_path, seed=1)

    one.run(cycles=1000)

    assert one.findings == ["job 1000000: lost, it was acknowledged and is not stored"]
    assert one.kills.total() < 10

"""A short run of ``make soak``, as part of the tests."""

import soak


def test_nothing_is_lost_or_done_twice_at_once_however_processes_are_killed(capsys):
    assert soak.main(["--cycles", "12", "--seed", "12"]) == 0, capsys.readouterr().out

    lines = dict(
        line.split("  ", 1) for line in capsys.readouterr().out.splitlines() if "  " in line
    )
    assert int(lines["kills"]) >= 12
    assert int(lines["jobs acknowledged"]) > 0

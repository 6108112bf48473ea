"""A short run of ``make web``, as part of the tests."""

import load
import pytest


@pytest.mark.parametrize("site", ["flask"])
def test_no_job_is_lost_and_no_request_hangs_while_the_worker_is_killed(site, capsys):
    done = load.main(["--sites", site, "--seconds", "3", "--rate", "50", "--kills", "1"])

    printed = capsys.readouterr().out
    assert done == 0, printed
    counts = {line[:30].rstrip(): line[30:] for line in printed.splitlines()}
    assert (counts["jobs accepted"], counts["kills"]) == ("150", "1")

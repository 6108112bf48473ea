"""A short run of each kind of ``make limits``, as part of the tests."""

import limits_soak
import pytest


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (
            ["over", "--seconds", "4", "--every", "0.4"],
            {"kills": 5, "starts": 50, "commits that were seen": 50},
        ),
        # On a busy machine a process that lives so short a time does nothing: so they are few.
        (
            ["chains", "--starts", "500", "--every", "0.1", "--kills", "50"],
            {"kills": 1, "jobs completed": 500},
        ),
        (["rates", "--starts", "300"], {"starts of the key a": 150, "starts of the key b": 150}),
    ],
)
def test_limits_are_kept_by_several_processes_however_they_are_killed(arguments, wanted, capsys):
    done = limits_soak.main([*arguments, "--processes", "3", "--seed", "1"])

    printed = capsys.readouterr().out
    assert done == 0, printed
    counts = {line[:30].rstrip(): line[30:] for line in printed.splitlines()}
    assert {name: n for name, n in wanted.items() if int(counts[name]) < n} == {}, printed


def test_what_is_wrong_is_said_and_kept(monkeypatch, capsys):
    monkeypatch.setattr(limits_soak.limit_checker, "out_of_order", lambda _chains: ["chain 7"])

    done = limits_soak.main(["chains", "--starts", "100", "--processes", "2", "--seed", "1"])

    printed = capsys.readouterr().out
    directory = limits_soak.Path(printed.splitlines()[0].rpartition(" in ")[2])
    assert done == 1
    assert "1 findings; all is kept in" in printed
    assert "- chain 7" in printed
    assert directory.is_dir()
    limits_soak.shutil.rmtree(directory)

"""Change the files that decide in small ways, one at a time, and see whether their tests notice.

    make mutants                                 all of them, in a few minutes
    make mutants OPTIONS="jobs/unique.py"        only some
    make mutants OPTIONS="guards"                only the guards of the dashboard, by guards.py

Mutmut makes the changes (mutants), in a copy of the project. Each file has to be proven by its own
tests, so these alone are run. A mutant that survives them needs either another test or, when it
makes no difference, its reason in `survivors.toml`; otherwise this fails. So does a reason that is
no longer needed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Final, NamedTuple

import guards

PROJECT: Final = Path(__file__).parents[2]
REASONS: Final = Path(__file__).with_name("survivors.toml")

DECIDING: Final = {
    "explain/judge.py": ("tests/explain/test_judge.py",),
    "flow/cron.py": ("tests/flow/test_cron.py",),
    "flow/cron_expression.py": (
        "tests/flow/test_cron_expression.py",
        "tests/flow/test_cron.py",
    ),
    "flow/cron_options.py": ("tests/flow/test_cron_options.py",),
    "flow/cron_turn.py": ("tests/flow/test_cron_turn.py",),
    "flow/gates.py": ("tests/flow/test_gates.py", "tests/flow/test_gate_numbers.py"),
    "insights/access.py": ("tests/insights/test_access.py",),
    "insights/redaction.py": ("tests/insights/test_redaction.py",),
    "jobs/lifecycle.py": ("tests/jobs/test_lifecycle.py",),
    "jobs/unique.py": ("tests/jobs/test_unique.py",),
    "otp/supervision/restart.py": ("tests/otp/test_restart.py", "tests/otp/test_restart_model.py"),
    "queues/outage.py": ("tests/queues/test_queue_state.py",),
    "queues/queue_state.py": (
        "tests/queues/test_queue_state.py",
        "tests/queues/test_standing_claim.py",
    ),
    "queues/verdict.py": ("tests/queues/test_queue_state.py",),
    "web/guard.py": ("tests/dashboard/test_hosts_and_origins.py",),
    "web/ways_in.py": ("tests/dashboard/test_ways_in.py",),
}
"""The files of the package that decide, and the tests of each."""
GUARDS: Final = "guards"

SETTINGS: Final = """
[mutmut]
source_paths=antq_actors
only_mutate=antq_actors/{file}
pytest_add_cli_args_test_selection=
  {tests}
pytest_add_cli_args=
  -p
  no:cacheprovider
  --hypothesis-profile
  mutants
use_setproctitle=false
track_dependencies=false
"""
KILLED: Final = ("killed", "timeout")
"""A mutant that never ends is noticed, too."""


class Survivor(NamedTuple):
    """A change that no test notices."""

    file: str
    function: str
    before: str
    """The lines that it takes out, as they are, and those that it puts in their place."""
    after: str


def main() -> int:
    """Return the exit code: 1 unless the survivors are those that have a reason."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help=f"of: {', '.join(DECIDING)}; or {GUARDS} and words of their names",
    )
    given = parser.parse_args().files
    if given[:1] == [GUARDS]:
        return 0 if guards.check(given[1:], copy_project) else 1
    if unknown := set(given) - set(DECIDING):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    reasons = read_reasons()
    is_right = [check(file, reasons) for file in given or DECIDING]
    if not given:
        is_right.append(guards.check([], copy_project))
    return 0 if all(is_right) else 1


def check(file: str, reasons: dict[Survivor, str]) -> bool:
    """Return whether the survivors of *file* are those that have a reason; print the others."""
    survivors = find_survivors(file)
    missing = [each for each in survivors if each not in reasons]
    needless = [each for each in reasons if each.file == file and each not in survivors]
    for each in missing:
        print(f"\nsurvives without a reason:\n{as_toml(each)}")
    for each in needless:
        print(f"\nhas a reason, but does not survive:\n{as_toml(each)}")
    return not missing and not needless


def read_reasons() -> dict[Survivor, str]:
    """Return the survivors that are known, each with its reason."""
    entries = tomllib.loads(REASONS.read_text(encoding="utf-8")).get("survivor", [])
    reasons = {}
    for entry in entries:
        reason = entry.pop("reason").strip()
        if not reason:
            raise ValueError(f"a survivor has no reason: {entry}")
        reasons[Survivor(**entry)] = reason
    return reasons


def find_survivors(file: str) -> list[Survivor]:
    """Return the survivors of all mutants of *file*."""
    with tempfile.TemporaryDirectory(prefix="antq-mutants-") as folder:
        copy_project(Path(folder))
        settings = SETTINGS.format(file=file, tests="\n  ".join(DECIDING[file]))
        Path(folder, "setup.cfg").write_text(settings, encoding="utf-8")
        mutmut(folder, "run", "--max-children", "2")
        ends = dict(line.split(": ") for line in mutmut(folder, "results", "--all", "1"))
        survived = [name for name, end in ends.items() if end not in KILLED]
        found = [survivor(file, name, mutmut(folder, "show", name)) for name in survived]
    print(f"{file}: {len(ends)} mutants, {len(found)} survive", flush=True)
    return found


def copy_project(folder: Path) -> None:
    """Copy what the tests of the deciding files need."""
    for name in ("antq_actors", "tests"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", folder)


def mutmut(folder: str, *command: str) -> list[str]:
    """Return the lines that a command of mutmut prints. Raises RuntimeError when it fails."""
    done = subprocess.run(  # noqa: S603 - the developer's own
        [sys.executable, "-m", "mutmut", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"mutmut {' '.join(command)}:\n{done.stdout[-4000:]}\n{done.stderr}")
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def survivor(file: str, name: str, diff: list[str]) -> Survivor:
    """Return the mutant of this *name*, which mutmut shows as a *diff*."""
    changed = diff[next(n for n, line in enumerate(diff) if line.startswith("@@")) + 1 :]
    before = "\n".join(line[1:].strip() for line in changed if line.startswith("-"))
    after = "\n".join(line[1:].strip() for line in changed if line.startswith("+"))
    function = name.rpartition("__mutmut_")[0].rpartition(".")[2]
    parts = function.removeprefix("x_").removeprefix("xǁ").split("ǁ")
    return Survivor(file, ".".join(parts), before, after)


def as_toml(survivor: Survivor) -> str:
    """Return the entry for `survivors.toml`, whose reason is to be written."""
    lines = ["[[survivor]]"]
    for field, value in survivor._asdict().items():
        quotes = "'''" if set("'\n") & set(value) else "'"
        lines.append(f"{field} = {quotes}{value}{quotes}")
    return "\n".join([*lines, 'reason = ""'])


if __name__ == "__main__":
    sys.exit(main())

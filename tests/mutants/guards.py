"""Take the guards of the dashboard away, one at a time, and see whether a test fails.

    make mutants OPTIONS=guards                  all of them, in a few minutes
    make mutants OPTIONS="guards origin"         those whose names contain a word

A guard is often a single line amid much else: an escape, a level, the Origin of a form. What mutmut
makes of a whole file is no measure of it. So `guards.toml` lists them: what each keeps out, how it
is taken away, and the tests of which one must then fail. A guard without such a test fails this,
and so does one that is no longer where the list has it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LIST: Final = Path(__file__).with_name("guards.toml")
FAILED: Final = 1
"""What pytest exits with when a test fails; with anything else, none was run."""
PYTEST: Final = ("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--timeout", "120")


class Guard(NamedTuple):
    """A guard, and how it is taken away."""

    keeps_out: str
    file: str
    """Below the package."""
    before: str
    """The text that is there once."""
    after: str
    tests: list[str]


def check(words: Sequence[str], copy: Callable[[Path], None]) -> bool:
    """Return whether a test misses each guard whose name has one of the *words*; print the others.

    *copy* puts the project into a folder.
    """
    guards = [each for each in read_guards() if has_word(each, words)]
    with tempfile.TemporaryDirectory(prefix="antq-guards-") as folder:
        copy(Path(folder))
        missed = [each for each in guards if not is_missed(each, Path(folder))]
    print(f"guards: {len(guards)} taken away, {len(missed)} are missed by no test", flush=True)
    return not missed and bool(guards)


def has_word(guard: Guard, words: Sequence[str]) -> bool:
    """Return whether a guard's name has one of the *words*; all have where there are none."""
    return not words or any(word.lower() in guard.keeps_out.lower() for word in words)


def read_guards() -> list[Guard]:
    """Return the guards that are listed."""
    listed = tomllib.loads(LIST.read_text(encoding="utf-8"))["guard"]
    return [Guard(**each) for each in listed]


def without(guard: Guard, text: str) -> str:
    """Return the *text* of a guard's file without it. Raises ValueError where it is not there."""
    times = text.count(guard.before)
    if times != 1:
        raise ValueError(
            f"{guard.keeps_out}: antq_actors/{guard.file} has this {times} times, not once, so"
            f" write in {LIST.name} what is there now:\n{guard.before}"
        )
    return text.replace(guard.before, guard.after)


def is_missed(guard: Guard, folder: Path) -> bool:
    """Return whether a test fails without a guard. Raises RuntimeError where none could run."""
    place = folder / "antq_actors" / guard.file
    text = place.read_text(encoding="utf-8")
    place.write_text(without(guard, text), encoding="utf-8")
    try:
        done = subprocess.run(  # noqa: S603 - the developer's own
            [sys.executable, *PYTEST, *guard.tests],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder)},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        place.write_text(text, encoding="utf-8")
    if done.returncode not in (0, FAILED):
        raise RuntimeError(f"{guard.keeps_out}:\n{done.stdout[-4000:]}\n{done.stderr}")
    if done.returncode == 0:
        print(f"\nno test of {', '.join(guard.tests)} misses:\n{guard.keeps_out} ({guard.file})")
    return done.returncode == FAILED

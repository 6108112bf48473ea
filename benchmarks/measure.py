"""What all benchmarks share: rounds, numbers, the table, the command line.

A benchmark is a program with one function that yields measures. Alone it prints its table;
``run.py`` runs all of them, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from antq_actors import AntQ

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

TIMEOUT_SECONDS: Final = 300.0
"""Seconds after which a benchmark that waits for something has failed."""


@dataclass(frozen=True)
class Measure:
    """One number, measured several times."""

    name: str
    unit: str
    rounds: list[float]
    """Each round's value, in the order in which they ran."""
    goal: str = ""
    """What is aimed at, for the reader of the table; nothing is refused for missing it."""

    @property
    def median(self) -> float:
        """The middle round's value."""
        return statistics.median(self.rounds)


def ratio(name: str, ours: list[float], theirs: list[float], goal: str = "") -> Measure:
    """Compare round by round: what disturbed the machine disturbed both sides of a round."""
    return Measure(name, "x", [our / their for our, their in zip(ours, theirs, strict=True)], goal)


def interleaved(rounds: int, benches: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Run all *benches* in turn, *rounds* times: A B A B, not A A B B."""
    values: dict[str, list[float]] = {name: [] for name in benches}
    for _ in range(rounds):
        for name, bench in benches.items():
            values[name].append(bench())
    return values


def at(position: float, values: Iterable[float]) -> float:
    """Return the value that this share of *values* does not exceed: 0.5, the middle one."""
    ascending = sorted(values)
    if position == 0.5:
        return statistics.median(ascending)
    return ascending[min(len(ascending) - 1, int(position * len(ascending)))]


def rate(times: int, work: Callable[[], object]) -> float:
    """Return how often a second something is done, when *work* does it *times* times."""
    began = time.perf_counter()
    work()
    return times / (time.perf_counter() - began)


def until(condition: Callable[[], bool], interval: float = 0.001) -> None:
    """Wait until *condition* holds, looked at every *interval* seconds.

    Raises TimeoutError after ``TIMEOUT_SECONDS``.
    """
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"still not so after {TIMEOUT_SECONDS:g} s: {condition.__qualname__}"
            )
        time.sleep(interval)


def kind(*, durable: bool) -> str:
    """Name the kind of a store as the tables do."""
    return "durable" if durable else "volatile"


def new_folder(*, in_memory: bool = False) -> tempfile.TemporaryDirectory[str]:
    """Make a folder that is deleted again; a volatile store's is in memory where there is one."""
    memory = Path("/dev/shm")  # noqa: S108 - what is made in it is private
    home = memory if in_memory and memory.is_dir() else None
    return tempfile.TemporaryDirectory(prefix="antq-bench-", dir=home)


@contextmanager
def application(*, durable: bool, **options: Any) -> Iterator[AntQ]:
    """Run an application on a new, empty store; a durable one lies in the temporary folder.

    Nothing is pruned, so that no pruner works meanwhile.
    """
    with new_folder() as folder:
        path = Path(folder, "store") if durable else None
        with AntQ(path, retention=None, **options) as app:
            yield app


def table(measures: Iterable[Measure]) -> str:
    """Write *measures* as lines of text."""
    lines = [f"{'':58}{'median':>10}  {'lowest – highest':^23}  {'':7}goal"]
    for measure in measures:
        low, high = min(measure.rounds), max(measure.rounds)
        spread = f"{_number(low)} – {_number(high)}" if len(measure.rounds) > 1 else ""
        median = _number(measure.median)
        line = f"{measure.name:58}{median:>10}  {spread:^23}  {measure.unit:7}{measure.goal}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.3g}"


def parser(description: str | None) -> argparse.ArgumentParser:
    """Make the command line that all benchmarks have: ``short`` and ``json``."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument(
        "--short", action="store_true", help="only show that it runs; the numbers mean nothing"
    )
    made.add_argument("--json", type=Path, metavar="FILE", help="write each round's value there")
    return made


def options(description: str | None) -> argparse.Namespace:
    """Read it."""
    return parser(description).parse_args()


def main(
    description: str | None, bench: Callable[..., Iterable[Measure]], *, full: str | None = None
) -> None:
    """Be the program of one benchmark; *bench* is told whether to be ``short``.

    *full* says what is done with ``--full``, of which *bench* is then told as well.
    """
    command_line = parser(description)
    if full is not None:
        command_line.add_argument("--full", action="store_true", help=full)
    given = vars(command_line.parse_args())
    file = given.pop("json")
    measures = list(bench(**given))
    print(table(measures))
    if file is not None:
        file.write_text(json.dumps([asdict(measure) for measure in measures]))

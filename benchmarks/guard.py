"""Is it clearly slower than it was? Runs briefly, and compares ratios with those of a baseline.

    python benchmarks/guard.py             about a minute; exit code 1 after a clear loss,
                                           2 if others kept the machine too busy to say
    python benchmarks/guard.py --update    write what was measured as the new baseline

Only ratios are compared: ours against raw LMDB and bare threads in the same round, which say the
same on a slow day. On another machine, or another disk, they are others: write a baseline there
first, before the change that is to be judged. losses.py says what a clear loss is.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import limits
import psutil
from drain import drained
from enqueue import THREADS, many_at_once, one_by_one
from losses import Compared, compare
from measure import interleaved, kind, parser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Bench = Callable[[], float]

T = TypeVar("T")

BASELINE: Final = Path(__file__).parent / "baseline.json"

MOST_OF_OTHERS: Final = 0.5
"""Share of the cores that other programs may use. With half of them the ratios were 84 to 118 % of
the usual ones; at a load of 7 on two cores a drain, which needs many threads in turn, lost half of
its ratio to a limit that hardly hands over.
"""


class Pair(NamedTuple):
    """Two benches of one round; the ratio is ours against the limit."""

    name: str
    ours: Bench
    limit: Bench


def guard() -> int:
    """Measure, compare, print; answer the exit code."""
    command_line = parser(__doc__)
    command_line.add_argument(
        "--update", action="store_true", help="write what was measured as the new baseline"
    )
    given = command_line.parse_args()
    if given.update and given.short:
        command_line.error("a short run is no baseline: leave out --short, or --update")
    found, others = _beside_others(functools.partial(_measured, short=given.short))
    print(f"Other programs used {others:.0%} of the cores meanwhile.")
    if given.json is not None:
        given.json.write_text(_as_json(found))
    is_busy = others > MOST_OF_OTHERS
    if given.update and is_busy:
        print("That is too much for a baseline: write it when others leave the machine alone.")
        return 2
    if given.update:
        BASELINE.write_text(_as_json(found))
        print(f"{BASELINE.name} has {len(found)} ratios; commit it with what changed them")
        return 0
    compared = compare(json.loads(BASELINE.read_text()), found)
    print(table(compared))
    if given.short:
        print("A short run, from which nothing follows.")
        return 0
    lost = [each for each in compared if each.is_lost]
    for each in lost:
        print(f"Lost {1 - each.left:.0%} of {each.name!r}, and its rounds do not differ so much.")
    if lost and is_busy:
        print("But the machine was too busy to say so: run it again when others leave it alone.")
        return 2
    print("There is a clear loss." if lost else "There is no clear loss.")
    return 1 if lost else 0


def table(compared: list[Compared]) -> str:
    """Write what was compared as lines of text."""
    lines = [f"{'ours against the limit':48}{'baseline':>10}{'now':>10}{'left':>8}"]
    lines += [
        f"{each.name:48}{each.before:10.4f}{each.now:10.4f}{each.left:8.0%}" for each in compared
    ]
    return "\n".join([*lines, ""])


def _beside_others(measured: Callable[[], T]) -> tuple[T, float]:
    """Return what was measured, and which share of the cores others used meanwhile."""
    began, used_by_all, used_by_us = time.monotonic(), _busy(), time.process_time()
    found = measured()
    used_by_others = _busy() - used_by_all - (time.process_time() - used_by_us)
    cores = os.cpu_count() or 1
    return found, max(0.0, used_by_others / (time.monotonic() - began) / cores)


def _busy() -> float:
    """Return the seconds that all cores have worked."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)


def _measured(*, short: bool) -> dict[str, list[float]]:
    jobs, rounds = (50, 1) if short else (4_000, 11)
    pairs = list(_pairs(jobs))
    benches: dict[str, Bench] = {}
    for name, ours, limit in pairs:
        benches |= {name: ours, f"limit of {name}": limit}
    values = interleaved(rounds, benches)
    return {
        name: [
            ours / limit
            for ours, limit in zip(values[name], values[f"limit of {name}"], strict=True)
        ]
        for name, _, _ in pairs
    }


def _pairs(jobs: int) -> Iterator[Pair]:
    few = jobs // 4
    for durable, slots, number in ((True, 50, jobs), (False, 50, jobs), (True, 5, few)):
        yield Pair(
            f"drain, {kind(durable=durable)}, concurrency {slots}",
            functools.partial(drained, number, slots, 1, durable=durable),
            functools.partial(limits.threads_on_lmdb, 4 * number, slots, durable=durable),
        )
    for durable, threads in ((True, 1), (True, THREADS), (False, 1)):
        yield Pair(
            f"perform_async, {kind(durable=durable)}, {threads} thread{'s'[: threads - 1]}",
            functools.partial(one_by_one, few, durable=durable, threads=threads),
            functools.partial(limits.commits, few, durable=durable),
        )
    yield Pair(
        "enqueue_many, durable",
        functools.partial(many_at_once, 5 * jobs, durable=True),
        functools.partial(limits.puts_a_commit, 5 * jobs),
    )


def _as_json(ratios: dict[str, list[float]]) -> str:
    """Write a line for each ratio, so that a new baseline is a change one can read."""
    lines = (
        f" {json.dumps(name)}: {[float(f'{ratio:.4g}') for ratio in rounds]}"
        for name, rounds in ratios.items()
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    sys.exit(guard())

"""How long an application takes to start and to stop, with nothing to do."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

from measure import Measure, kind, main, new_folder

from antq_actors import AntQ

if TYPE_CHECKING:
    from collections.abc import Iterator


def bench(*, short: bool) -> Iterator[Measure]:
    """Return each round's median of some lives; a durable store is there after the first."""
    lives, rounds = (1, 1) if short else (20, 5)
    for durable in (True, False):
        starts, stops = [], []
        for _ in range(rounds):
            with new_folder() as folder:
                path = Path(folder, "store") if durable else None
                AntQ(path).start().stop()
                took = [_life(path) for _ in range(lives)]
            starts.append(statistics.median(start for start, _ in took))
            stops.append(statistics.median(stop for _, stop in took))
        yield Measure(f"start, {kind(durable=durable)}", "ms", starts)
        yield Measure(f"stop, idle, {kind(durable=durable)}", "ms", stops)


def _life(path: Path | None) -> tuple[float, float]:
    """Return the milliseconds of one start and one stop."""
    app = AntQ(path)
    began = time.perf_counter()
    app.start()
    started = time.perf_counter()
    app.stop()
    return 1_000 * (started - began), 1_000 * (time.perf_counter() - started)


if __name__ == "__main__":
    main(__doc__, bench)

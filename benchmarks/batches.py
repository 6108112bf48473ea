"""What a batch, and a group of a workflow, costs beside as many other jobs: inserted, and run.

A job joins them: the callback of the batch, or the node behind the group. It is enqueued in the
commit of the last one.

A chain is measured beside as many single jobs, both at concurrency 1; and from the end of one link
to the begin of the next, between which lies the commit that releases it.
"""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Final

from measure import TIMEOUT_SECONDS, Measure, application, at, main, ratio

from antq_actors import Workflow, chain, worker

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOTS: Final = 50
ALONE, BATCH, GROUP = "jobs of no batch", "members of a batch", "members of a workflow's group"


@worker
def child(number: int) -> None:
    """Do nothing."""


_called: list[float] = []
"""When each link was performed."""


@worker
def link(number: int) -> None:  # noqa: ARG001 - it is of a job
    """Note when it was called: it does nothing, so that is when it ends as well."""
    _called.append(time.perf_counter())


@worker
def join() -> None:
    """Do nothing: that it is stored once is what is asserted."""


def bench(*, short: bool) -> Iterator[Measure]:
    """Each kind of jobs in turn, each round on a new store."""
    children, rounds = (100, 1) if short else (100_000, 3)
    took: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for kind in (ALONE, BATCH, GROUP):
            inserted, ran = _round(children, kind)
            took.setdefault(("insert", kind), []).append(inserted)
            took.setdefault(("run", kind), []).append(ran)
    for kind in (ALONE, BATCH, GROUP):
        for verb in ("insert", "run"):
            values = [1e6 * seconds / children for seconds in took[verb, kind]]
            yield Measure(f"{verb} {children:,} {kind}", "us each", values)
    for kind in (BATCH, GROUP):
        inserted, ran = took["insert", kind], took["run", kind]
        name = f"  insert rate of {kind} against {ALONE}"
        yield ratio(name, took["insert", ALONE], inserted, ">= 0.7")
        yield ratio(f"  microseconds of {kind} against {ALONE}", ran, took["run", ALONE], "<= 1.1")
    yield from _bench_chains(50 if short else 1_000, rounds)


def _bench_chains(links: int, rounds: int) -> Iterator[Measure]:
    singles: list[float] = []
    chained: list[float] = []
    gaps: list[float] = []
    for _ in range(rounds):
        singles.append(_run_links(links, is_chain=False))
        chained.append(_run_links(links, is_chain=True))
        between = (1e3 * (began - ended) for ended, began in itertools.pairwise(_called))
        gaps.append(at(0.5, between))
    for name, took in (("single jobs", singles), ("links of a chain", chained)):
        yield Measure(f"run {links:,} {name}", "us each", [1e6 * each / links for each in took])
    yield ratio("  rate of links of a chain against single jobs", singles, chained, ">= 0.5")
    yield Measure("  from the end of a link to the begin of the next", "ms", gaps, "<= 2")


def _run_links(links: int, *, is_chain: bool) -> float:
    """Return the seconds in which so many jobs ran one after the other."""
    with application(durable=True, queues={"default": 1}) as app:
        app.queue("default").pause()
        if is_chain:
            app.start_workflow(chain(*(link.build(number=number) for number in range(links))))
        else:
            app.enqueue_many(link, ({"number": number} for number in range(links)))
        _called.clear()
        began = time.perf_counter()
        app.queue("default").resume()
        assert app.wait_idle(timeout=TIMEOUT_SECONDS)  # noqa: S101 - it is no measure else
        took = time.perf_counter() - began
        assert len(_called) == links  # noqa: S101
    return took


def _round(children: int, kind: str) -> tuple[float, float]:
    """Return the seconds in which so many jobs were inserted, and in which they ran."""
    items = ({"number": number} for number in range(children))
    with application(durable=True, queues={"default": SLOTS}) as app:
        app.queue("default").pause()
        began = time.perf_counter()
        if kind == BATCH:
            with app.batch("children", on_success=join.build()) as batch:
                batch.enqueue_many(child, items)
        elif kind == GROUP:
            flow = Workflow("children")
            flow.add(join, after=flow.add_many(child, items))
            app.start_workflow(flow)
        else:
            app.enqueue_many(child, items)
        inserted = time.perf_counter()
        app.queue("default").resume()
        assert app.wait_idle(timeout=TIMEOUT_SECONDS)  # noqa: S101 - it is no measure else
        ran = time.perf_counter()
        assert app.count_jobs(worker=join) == (kind != ALONE)  # noqa: S101
    return inserted - began, ran - inserted


if __name__ == "__main__":
    main(__doc__, bench)

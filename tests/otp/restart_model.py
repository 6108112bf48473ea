"""OTP's restart rules once more, naively and for a whole tree, to check `restart.py` against.

A supervisor is a `Sup` with a list of `Row`; a row is a worker, or has a Sup below it. Nothing is
shared with the code under test: the rules of otp 1.2 to 1.9 are written down as they read. What
starts and what is told to end is noted in order, in the `World`.
"""

from dataclasses import dataclass, field
from typing import NamedTuple


class Spec(NamedTuple):
    id: str
    restart: str  # "permanent", "transient", "temporary"
    significant: bool = False
    plan: "Plan | None" = None  # of the supervisor that it is; None: a worker


@dataclass
class Plan:
    """How a supervisor is made, each time anew."""

    strategy: str  # "one_for_one", "one_for_all", "rest_for_one"
    auto_shutdown: str  # "never", "any_significant", "all_significant"
    max_restarts: int
    specs: list


@dataclass
class World:
    starts: dict = field(default_factory=dict)
    """Path of a worker -> "fail" or "ignore"; the others start."""
    notes: list = field(default_factory=list)
    """("up" or "down" or "fails" or "ignored", path), for workers."""


@dataclass
class Row:
    spec: Spec
    state: str = "stopped"  # or "running", "restarting"
    below: "Sup | None" = None


@dataclass
class Sup:
    plan: Plan
    path: tuple
    rows: list = field(default_factory=list)
    times: list = field(default_factory=list)
    alive: bool = True


class Failed(Exception):
    """A child did not start."""


# ---- starting and stopping --------------------------------------------------------------------


def start(world, plan, path=()):
    """A supervisor with all its children, down to the last (rules 10 and 11)."""
    sup = Sup(plan, path)
    for spec in plan.specs:
        row = Row(spec)
        sup.rows.append(row)
        try:
            begin(world, sup, row)
        except Failed:
            end(world, sup)
            raise
    return sup


def begin(world, sup, row):
    path = (*sup.path, row.spec.id)
    if row.spec.plan is not None:
        row.below = start(world, row.spec.plan, path)
        row.state = "running"
        return
    match world.starts.get(path):
        case "fail":
            world.notes.append(("fails", path))
            raise Failed
        case "ignore":  # rules 12 and 38
            world.notes.append(("ignored", path))
            row.state = "stopped"
            if row.spec.restart == "temporary":
                sup.rows.remove(row)
        case None:
            world.notes.append(("up", path))
            row.state = "running"


def halt(world, sup, row):
    """A child is told to end."""
    if row.state == "running" and row.below is not None:
        end(world, row.below)
    elif row.state == "running":
        world.notes.append(("down", (*sup.path, row.spec.id)))
    forget(sup, row)


def forget(sup, row):
    row.state, row.below = "stopped", None
    if row.spec.restart == "temporary":
        sup.rows.remove(row)


def end(world, sup):
    """A supervisor ends, its children before it, the last started first (rule 20)."""
    for row in reversed(list(sup.rows)):
        halt(world, sup, row)
    sup.alive = False


# ---- what happens -----------------------------------------------------------------------------


def happen(world, sup, path, now, what, *details):
    """Do *what* to the child at the end of *path*; a supervisor that ends of it is heard of."""
    row = row_of(sup, path[0])
    if len(path) == 1:
        what(world, sup, row, now, *details)
        return
    happen(world, row.below, path[1:], now, what, *details)
    if not row.below.alive:
        exits(world, sup, row, now, "shutdown")  # rule 18


def exits(world, sup, row, now, reason):
    """A child ends by itself: "normal", "shutdown" or "crash"."""
    forget(sup, row)
    spec = row.spec
    if spec.restart == "permanent" or (spec.restart == "transient" and reason == "crash"):
        retried(world, sup, row, now)
    elif spec.significant and was_needed(sup):
        end(world, sup)  # rules 51 and 52


def was_needed(sup):
    if sup.plan.auto_shutdown == "any_significant":
        return True
    return sup.plan.auto_shutdown == "all_significant" and not any(
        row.spec.significant and row.state != "stopped" for row in sup.rows
    )


def retried(world, sup, row, now):
    """A child is started again, perhaps not for the first time."""
    sup.times.append(now)
    if spent(sup, now) > sup.plan.max_restarts:
        row.state = "stopped"
        end(world, sup)  # rule 32
        return

    place = sup.rows.index(row)
    match sup.plan.strategy:
        case "one_for_one":
            group = [row]
        case "one_for_all":
            group = list(sup.rows)
        case "rest_for_one":
            group = sup.rows[place:]
    for each in reversed(group):
        halt(world, sup, each)  # temporary ones are gone then (rule 22)
    group = [each for each in group if each in sup.rows]
    for each in group:  # also those that did not run (rule 24)
        try:
            begin(world, sup, each)
        except Failed:  # rules 35 to 37
            each.state = "restarting"
            return


def terminated(world, sup, row, _now):
    halt(world, sup, row)


def restarted(world, sup, row, _now):
    """By hand, one that does not run: if it fails, it stays so."""
    try:
        begin(world, sup, row)
    except Failed:
        row.state = "stopped"


def deleted(_world, sup, row, _now):
    sup.rows.remove(row)


def added(world, sup, spec):
    """By hand, at the end: if it fails, no trace of it stays."""
    row = Row(spec)
    sup.rows.append(row)
    try:
        begin(world, sup, row)
    except Failed:
        sup.rows.remove(row)


# ---- looking ----------------------------------------------------------------------------------


def row_of(sup, id_):
    return next(row for row in sup.rows if row.spec.id == id_)


def supervisor_at(sup, path):
    return sup if not path else supervisor_at(row_of(sup, path[0]).below, path[1:])


def rows(sup):
    """All children of supervisors that run, with their paths."""
    for row in sup.rows:
        yield (*sup.path, row.spec.id), row
        if row.below is not None:
            yield from rows(row.below)


def spent(sup, now):
    return len([time for time in sup.times if time >= now - 5])  # rule 28


def picture(sup, now):
    """All that can be seen of a tree."""
    if not sup.alive:
        return "ended"
    return spent(sup, now), [
        (row.spec.id, row.state, row.below and picture(row.below, now)) for row in sup.rows
    ]

"""OTP's restart rules once more, naively and for a whole tree, to check `restart.py` against.

A supervisor is a `Sup` with a list of `Row`; a row is a worker, or has a Sup below it. Nothing is
shared with the code under test: the rules of otp 1.3 to 1.5 are written down as they read.
"""

from dataclasses import dataclass, field


@dataclass
class Row:
    id: str
    restart: str  # "permanent", "transient", "temporary"
    plan: "Plan | None" = None  # of the supervisor that it is; None: a worker
    runs: bool = True
    below: "Sup | None" = None


@dataclass
class Plan:
    """How a supervisor is made, each time anew."""

    strategy: str  # "one_for_one", "one_for_all", "rest_for_one"
    max_restarts: int
    rows: list  # of (id, restart, Plan | None)


@dataclass
class Sup:
    plan: Plan
    rows: list = field(default_factory=list)
    times: list = field(default_factory=list)
    alive: bool = True


def start(plan):
    """A supervisor with all its children, down to the last."""
    rows = [
        Row(id_, restart, below, below=None if below is None else start(below))
        for id_, restart, below in plan.rows
    ]
    return Sup(plan, rows)


def find(sup, path):
    """The row at the end of a path of ids."""
    row = next(row for row in sup.rows if row.id == path[0])
    return row if len(path) == 1 else find(row.below, path[1:])


def workers(sup, above=()):
    """The paths of all workers that run."""
    for row in sup.rows:
        if row.runs and row.below is None:
            yield (*above, row.id)
        elif row.runs:
            yield from workers(row.below, (*above, row.id))


def exit_of(sup, path, reason, now):
    """A worker ends: "normal", "shutdown" or "crash". Its supervisor may end of it, and so on."""
    if len(path) > 1:
        row = next(row for row in sup.rows if row.id == path[0])
        exit_of(row.below, path[1:], reason, now)
        if row.below.alive:
            return
        reason = "shutdown"  # rule 18
    ended(sup, path[0], reason, now)


def ended(sup, id_, reason, now):
    row = next(row for row in sup.rows if row.id == id_)
    place = sup.rows.index(row)
    row.runs, row.below = False, None
    if row.restart == "temporary":
        sup.rows.remove(row)
        return
    if row.restart == "transient" and reason != "crash":
        return

    sup.times.append(now)
    if len([time for time in sup.times if time >= now - 5]) > sup.plan.max_restarts:
        sup.alive = False  # rule 32
        sup.rows = []
        return

    match sup.plan.strategy:
        case "one_for_one":
            group = sup.rows[place : place + 1]
        case "one_for_all":
            group = list(sup.rows)
        case "rest_for_one":
            group = sup.rows[place:]
    for each in group:
        if each.restart == "temporary":
            sup.rows.remove(each)
        else:  # anew, with nothing that was (rule 19)
            each.runs = True
            each.below = None if each.plan is None else start(each.plan)

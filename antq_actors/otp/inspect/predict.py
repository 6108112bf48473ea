"""What supervision makes of an actor's end, before anyone ends it.

The rules of :mod:`antq_actors.otp.supervision.restart` decide, those that the supervisor itself
asks: they are tried on a snapshot. So it is no guess; what can change it is only what happens in
between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from antq_actors.checks import short_repr
from antq_actors.otp.inspect.snapshot import Budget, budget_of
from antq_actors.otp.kernel.child_spec import AutoShutdown, ChildSpec, Restart, Strategy
from antq_actors.otp.kernel.reasons import Crash, ExitReason, Killed, Shutdown
from antq_actors.otp.supervision import restart
from antq_actors.otp.supervision.restart import Child, ChildState, RestartIntensity, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.otp.inspect.snapshot import ActorView

CRASH: Final = "crash"
EXIT: Final = "exit"
KILL: Final = "kill"
HANG: Final = "hang"
SLOW: Final = "slow"
VERBS: Final = (CRASH, EXIT, KILL, HANG, SLOW)

STAYS: Final = "stays"
RESTARTED: Final = "restarted"
ENDS: Final = "ends"


@dataclass(frozen=True, slots=True)
class Prediction:
    """What follows if an actor ends."""

    restarted: tuple[str, ...]
    """Ids of the actors that are started again; what is below one of them, too."""
    stopped: tuple[str, ...]
    """Ids of those that end and stay so."""
    budget: Budget | None
    """Of the supervisor, afterwards; None: the actor has none."""
    gives_up: bool
    """Whether its supervisor ends, as that is one restart too many."""
    parent: str
    """What becomes of its supervisor: it "stays", is "restarted" or "ends"."""


def predict(trees: Sequence[ActorView], actor: str, verb: str) -> Prediction:
    """Return what follows if *verb* is done to the actor with this id in one of *trees*.

    *verb* is crash, exit, kill, hang or slow. Raises ValueError for another, LookupError for an id
    that is not there.
    """
    if verb not in VERBS:
        raise ValueError(f"a verb is one of {', '.join(VERBS)}, got {short_repr(verb)}")
    path = _path_to(trees, actor)
    if not path:
        raise LookupError(f"there is no actor {short_repr(actor)} in the tree")
    is_deaf = verb == EXIT and path[-1].traps_exits
    if verb in (HANG, SLOW) or is_deaf:  # nothing ends
        parent = path[-2] if len(path) > 1 else None
        return _prediction(budget=None if parent is None else parent.budget)
    return _after(path, _reason(verb))


def _path_to(roots: Sequence[ActorView], id_: str) -> list[ActorView]:
    """Return the actors from a root down to the one with this id; none if it is not there."""
    for root in roots:
        if root.id == id_:
            return [root]
        below = _path_to(root.children, id_)
        if below:
            return [root, *below]
    return []


def _reason(verb: str) -> ExitReason:
    if verb == KILL:
        return Killed()
    return Shutdown() if verb == EXIT else Crash(RuntimeError("crashed on purpose"))


def _after(path: Sequence[ActorView], reason: ExitReason) -> Prediction:
    """Return what follows when the last actor of *path* ends for *reason*."""
    actor = path[-1]
    if len(path) == 1:  # nobody supervises a root
        return _prediction(stopped=(actor.id,))
    supervisor = path[-2]
    action, intensity = _decide(supervisor, actor, reason)
    budget = _budget_after(intensity)
    match action:
        case restart.StartAgain(stop=stop, start=start):
            ids = [each.id for each in supervisor.children]
            return _prediction(
                restarted=[id_ for id_ in ids if id_ in start],
                stopped=[id_ for id_ in ids if id_ in stop and id_ not in start],
                budget=budget,
            )
        case restart.Leave():
            return _prediction(stopped=(actor.id,), budget=budget)
    above = _after(path[:-1], Shutdown())
    return Prediction(
        restarted=above.restarted,
        stopped=above.stopped,
        budget=budget,
        gives_up=isinstance(action, restart.GiveUp),
        parent=_fate(supervisor.id, above),
    )


def _prediction(
    *,
    restarted: Sequence[str] = (),
    stopped: Sequence[str] = (),
    budget: Budget | None = None,
) -> Prediction:
    """Return what follows where the supervisor goes on."""
    return Prediction(tuple(restarted), tuple(stopped), budget, gives_up=False, parent=STAYS)


def _fate(supervisor: str, above: Prediction) -> str:
    """Return what becomes of a supervisor that ends, by what follows from that."""
    if supervisor in above.restarted:
        return RESTARTED
    return ENDS if above.parent == STAYS else above.parent


def _decide(
    supervisor: ActorView, actor: ActorView, reason: ExitReason
) -> tuple[restart.Action, RestartIntensity]:
    """Ask the rules what a supervisor does, as of now: its restarts lie so many seconds back."""
    budget = supervisor.budget
    if budget is None:
        raise LookupError(f"{supervisor.id} has a child, and is no supervisor")
    intensity = RestartIntensity(budget.max, budget.seconds, tuple(-age for age in budget.ages))
    children = tuple(_child(each) for each in supervisor.children)
    if supervisor.is_dynamic:
        child = restart.find(children, actor.id)
        intensity, alone = restart.exited_alone(child, reason, intensity, 0.0)
        if isinstance(alone, restart.StartAgain):  # such a plan names a ref
            alone = restart.StartAgain(stop=(), start=(actor.id,))
        return alone, intensity
    state = State(
        children, Strategy(supervisor.strategy), AutoShutdown(supervisor.auto_shutdown), intensity
    )
    state, action = restart.exited(state, actor.id, reason, 0.0)
    return action, state.intensity


def _child(view: ActorView) -> Child:
    spec = ChildSpec(view.id, print, restart=Restart(view.restart), significant=view.significant)
    is_running = view.state in (ChildState.RUNNING, ChildState.SUSPENDED)
    state = ChildState.RUNNING if is_running else ChildState(view.state)
    return Child(spec, state, view.id if is_running else None, incarnation=view.incarnation)


def _budget_after(intensity: RestartIntensity) -> Budget:
    rules = restart.Rules(Strategy.ONE_FOR_ONE, AutoShutdown.NEVER, intensity)
    return budget_of(rules, 0.0)

"""`restart.py` and a naive model of OTP's rules, driven alike: they must agree on every tree."""

import pytest
import restart_model as model
from hypothesis import given
from hypothesis import strategies as st
from restart_model import Failed, Plan, Spec, World

from antq_actors.otp.kernel.child_spec import AutoShutdown, ChildSpec, Restart, Strategy
from antq_actors.otp.kernel.reasons import Crash, Killed, Normal, Shutdown
from antq_actors.otp.supervision import restart
from antq_actors.otp.supervision.restart import (
    ChildState,
    GiveUp,
    RestartIntensity,
    ShutDown,
    StartAgain,
    State,
)

REASONS = {
    "normal": [Normal()],
    "shutdown": [Shutdown(), Shutdown("detail")],
    "crash": [Crash(ValueError("boom")), Killed()],
}

# Trees that live long meet more; so these stand for what often ends them only now and then.
AUTO_SHUTDOWN = ["never", "all_significant", "all_significant", "any_significant"]
MAX_RESTARTS = [100, 100, 100, 3, 1, 0]


@st.composite
def specs(draw, id_, auto_shutdown, depth):
    """A child: a worker, or a supervisor with less than *depth* levels below it."""
    restart_type = draw(st.sampled_from(["permanent", "transient", "temporary"]))
    may_be_significant = auto_shutdown != "never" and restart_type != "permanent"
    significant = may_be_significant and draw(st.integers(0, 3)) > 0
    below = None if depth == 0 else draw(st.one_of(st.none(), plans(depth)))
    return Spec(id_, restart_type, significant, below)


@st.composite
def plans(draw, depth):
    """A supervisor with a few children; down to *depth* levels of supervisors."""
    auto_shutdown = draw(st.sampled_from(AUTO_SHUTDOWN))
    number = draw(st.integers(1, 4 if depth > 1 else 3))
    return Plan(
        draw(st.sampled_from([each.value for each in Strategy])),
        auto_shutdown,
        draw(st.sampled_from(MAX_RESTARTS)),
        [draw(specs(str(i), auto_shutdown, depth - 1)) for i in range(number)],
    )


class Tree:
    """A supervisor that does at once, without actors, what `restart.py` says."""

    def __init__(self, world, plan, path=()):
        self.world, self.path = world, path
        self.alive = True
        self.plans, self.below = {}, {}
        self.state = State(
            strategy=Strategy(plan.strategy),
            auto_shutdown=AutoShutdown(plan.auto_shutdown),
            intensity=RestartIntensity(plan.max_restarts, 5.0),
        )
        for spec in plan.specs:
            self.list(spec)
            try:
                self.begin(spec.id)
            except Failed:
                self.end()
                raise

    @property
    def children(self):
        return self.state.children

    @children.setter
    def children(self, children):
        self.state = self.state.having(children)

    # ---- children -------------------------------------------------------------------------

    def list(self, spec):
        self.plans[spec.id] = spec.plan
        made = ChildSpec(
            spec.id, print, restart=Restart(spec.restart), significant=spec.significant
        )
        self.children = restart.added(self.children, made)

    def begin(self, id_):
        path = (*self.path, id_)
        if self.plans[id_] is not None:
            self.below[id_] = Tree(self.world, self.plans[id_], path)
        else:
            outcome = self.world.starts.get(path)
            note = {"fail": "fails", "ignore": "ignored", None: "up"}[outcome]
            self.world.notes.append((note, path))
            if outcome == "fail":
                raise Failed
            if outcome == "ignore":
                self.children = restart.ignored(self.children, id_)
                return
        self.children = restart.started(self.children, id_, "a ref", now=0.0, by_itself=True)

    def halt(self, id_):
        reason = None
        if restart.find(self.children, id_).is_running:
            reason = Shutdown()
            if self.plans[id_] is not None:
                self.below[id_].end()
            else:
                self.world.notes.append(("down", (*self.path, id_)))
        self.children = restart.stopped(self.children, id_, reason)

    def end(self):
        for id_ in restart.stop_order(self.children):
            self.halt(id_)
        self.alive = False

    # ---- what happens ---------------------------------------------------------------------

    def happen(self, path, now, what, *details):
        first, *rest = path
        if not rest:
            what(self, first, now, *details)
            return
        self.below[first].happen(rest, now, what, *details)
        if not self.below[first].alive:
            self.exits(first, now, Shutdown())

    def exits(self, id_, now, reason):
        self.state, action = restart.exited(self.state, id_, reason, now)
        self.carry_out(action)

    def retried(self, id_, now):
        self.state, action = restart.retry(self.state, id_, now)
        self.carry_out(action)

    def carry_out(self, action):
        if isinstance(action, GiveUp | ShutDown):
            self.end()
        elif isinstance(action, StartAgain):
            for id_ in action.stop:
                self.halt(id_)
            for id_ in action.start:
                try:
                    self.begin(id_)
                except Failed:
                    self.children = restart.start_failed(self.children, action, id_)
                    return

    def terminated(self, id_, _now):
        self.halt(id_)

    def restarted(self, id_, _now):
        try:
            self.begin(id_)
        except Failed:
            return

    def deleted(self, id_, _now):
        self.children = restart.without(self.children, id_)

    def added(self, spec):
        before = self.children
        self.list(spec)
        try:
            self.begin(spec.id)
        except Failed:
            self.children = before

    # ---- looking --------------------------------------------------------------------------

    def supervisor_at(self, path):
        return self if not path else self.below[path[0]].supervisor_at(path[1:])

    def picture(self, now):
        if not self.alive:
            return "ended"
        spent = self.state.intensity.max_restarts - self.state.intensity.left(now)
        return spent, [
            (
                child.spec.id,
                child.state.value,
                self.below[child.spec.id].picture(now)
                if child.state is ChildState.RUNNING and self.plans[child.spec.id]
                else None,
            )
            for child in self.children
        ]


def possible(sup):
    """What can happen in the tree of the model, each with the paths it can happen to."""
    paths = {"add": [()], "exit": [], "retry": [], "terminate": [], "restart": [], "delete": []}
    for path, row in model.rows(sup):
        match row.state:
            case "running":
                paths["exit"].append(path)
                paths["terminate"].append(path)
                if row.below is not None:
                    paths["add"].append(path)
            case "restarting":
                paths["retry"].append(path)
                paths["terminate"].append(path)
            case "stopped":
                paths["restart"].append(path)
                paths["delete"].append(path)
    return {what: where for what, where in paths.items() if where}


# What most trees live by comes more often than what is done to them by hand.
KINDS = ["exit"] * 4 + ["retry"] * 3 + ["terminate", "restart", "delete", "add"]
BY_HAND = {
    "terminate": (Tree.terminated, model.terminated),
    "restart": (Tree.restarted, model.restarted),
    "delete": (Tree.deleted, model.deleted),
    "retry": (Tree.retried, model.retried),
}


@pytest.mark.rule(
    12, 16, 20, 21, 22, 23, 24, 25, 26, 28, 29, 30, 31, 32, 34, 36, 37, 38, 51, 52, 53
)
@pytest.mark.parametrize("depth", [1, 3])
@given(data=st.data())
def test_whatever_happens_in_any_tree_leaves_what_otps_rules_leave(depth, data):
    plan = data.draw(plans(depth))
    mine, models = World(), World()
    now = 0
    if data.draw(st.integers(0, 4)) == 0:
        decide_what_starts(data, plan, [], mine, models)
    tree, sup = started(Tree, mine, plan), started(model.start, models, plan)
    assert mine.notes == models.notes

    for turn in range(data.draw(st.integers(10, 25))):
        if sup is None or not sup.alive:
            break
        now += data.draw(st.integers(0, 2))
        where = possible(sup)
        kind = data.draw(st.sampled_from([kind for kind in KINDS if kind in where]))
        path = data.draw(st.sampled_from(where[kind]))
        decide_what_starts(data, plan, [path] * 4, mine, models)

        if kind == "exit":
            reason = data.draw(st.sampled_from(["crash", "crash", "normal", "shutdown"]))
            tree.happen(path, now, Tree.exits, data.draw(st.sampled_from(REASONS[reason])))
            model.happen(models, sup, path, now, model.exits, reason)
        elif kind == "add":
            above = model.supervisor_at(sup, path)
            new = data.draw(specs(f"new {turn}", above.plan.auto_shutdown, 1))
            tree.supervisor_at(path).added(new)
            model.added(models, above, new)
        else:
            on_tree, on_model = BY_HAND[kind]
            tree.happen(path, now, on_tree)
            model.happen(models, sup, path, now, on_model)

        assert mine.notes == models.notes
        assert tree.picture(now) == model.picture(sup, now)


def started(start, world, plan):
    try:
        return start(world, plan)
    except Failed:
        return None


def decide_what_starts(data, plan, likely, *worlds):
    """Choose the workers that will not start for now, often *likely*; half of the time, none."""
    paths = st.sampled_from([*worker_paths(plan), *likely])
    outcomes = st.sampled_from(["fail", "fail", "ignore"])
    some = st.dictionaries(paths, outcomes, min_size=1, max_size=2)
    starts = data.draw(st.one_of(st.just({}), some))
    for world in worlds:
        world.starts = starts


def worker_paths(plan, above=()):
    for spec in plan.specs:
        if spec.plan is None:
            yield (*above, spec.id)
        else:
            yield from worker_paths(spec.plan, (*above, spec.id))


@given(
    types=st.lists(st.sampled_from([Restart.PERMANENT, Restart.TRANSIENT]), min_size=1, max_size=5),
    strategy=st.sampled_from(list(Strategy)),
    data=st.data(),
)
def test_whatever_fails_to_start_all_run_in_the_end_or_the_supervisor_gives_up(
    types, strategy, data
):
    ids = [str(i) for i in range(len(types))]
    children = ()
    for id_, each in zip(ids, types, strict=True):
        children = restart.added(children, ChildSpec(id_, print, restart=each))
        children = restart.started(children, id_, "ref", now=0.0, by_itself=False)
    state = State(children, strategy=strategy, intensity=RestartIntensity(max_restarts=4))

    crash = REASONS["crash"][0]
    state, action = restart.exited(state, data.draw(st.sampled_from(ids)), crash, now=0.0)
    while isinstance(action, StartAgain):
        fails = data.draw(st.sets(st.sampled_from(ids), max_size=2))
        state, restarting = started_but(state, action, fails)
        if restarting is None:
            break
        state, action = restart.retry(state, restarting, now=0.0)

    if isinstance(action, StartAgain):
        assert all(child.is_running for child in state.children)
    else:
        assert isinstance(action, GiveUp)
        assert state.intensity.is_exceeded


def started_but(state, plan, fails):
    """Carry out *plan* with children that do not start; answer who is to be retried."""
    children = state.children
    for id_ in plan.stop:
        children = restart.stopped(children, id_, Shutdown())
    for id_ in plan.start:
        if id_ in fails:
            return state.having(restart.start_failed(children, plan, id_)), id_
        children = restart.started(children, id_, "ref", now=0.0, by_itself=True)
    return state.having(children), None

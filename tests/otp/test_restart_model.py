"""`restart.py` and a naive model of OTP's rules, driven alike: they must agree on every tree."""

from hypothesis import given
from hypothesis import strategies as st
from restart_model import Plan, exit_of, find, start, workers

from antq_actors.otp import restart
from antq_actors.otp.child_spec import ChildSpec, Restart, Strategy
from antq_actors.otp.reasons import Crash, Killed, Normal, Shutdown
from antq_actors.otp.restart import GiveUp, RestartIntensity, StartAgain, State

REASONS = {
    "normal": [Normal()],
    "shutdown": [Shutdown(), Shutdown("detail")],
    "crash": [Crash(ValueError("boom")), Killed()],
}

restart_types = st.sampled_from(["permanent", "transient", "temporary"])


@st.composite
def plans(draw, depth=3):
    """A supervisor with up to four children; down to *depth* levels of supervisors."""
    below = st.none() if depth == 1 else st.one_of(st.none(), plans(depth - 1))
    rows = draw(st.lists(st.tuples(restart_types, below), min_size=1, max_size=4))
    return Plan(
        draw(st.sampled_from([each.value for each in Strategy])),
        draw(st.integers(0, 3)),
        [(str(i), each, below) for i, (each, below) in enumerate(rows)],
    )


class Tree:
    """A tree of supervisors that does at once, without actors, what `restart.py` says."""

    def __init__(self, plan):
        self.plan = plan
        self.alive = True
        self.below = {}
        self.state = State(
            strategy=Strategy(plan.strategy), intensity=RestartIntensity(plan.max_restarts, 5.0)
        )
        children = ()
        for id_, each, _ in plan.rows:
            children = restart.added(children, ChildSpec(id_, print, restart=Restart(each)))
            children = self.start(children, id_)
        self.state = self.state.having(children)

    def start(self, children, id_):
        plan = next(below for row, _, below in self.plan.rows if row == id_)
        self.below[id_] = None if plan is None else Tree(plan)
        return restart.started(children, id_, f"ref {id_}", now=0.0, by_itself=True)

    def exit(self, path, reason, now):
        first, *rest = path
        if rest:
            self.below[first].exit(rest, reason, now)
            if self.below[first].alive:
                return
            reason = Shutdown()
        self.state, action = restart.exited(self.state, first, reason, now)
        if isinstance(action, GiveUp):
            self.alive = False
        elif isinstance(action, StartAgain):
            children = self.state.children
            for id_ in action.stop:
                children = restart.stopped(children, id_, Shutdown())
            for id_ in action.start:
                children = self.start(children, id_)
            self.state = self.state.having(children)

    def picture(self):
        return self.alive and [
            (
                c.spec.id,
                c.is_running,
                c.is_running
                and self.below[c.spec.id] is not None
                and self.below[c.spec.id].picture(),
            )
            for c in self.state.children
        ]


def picture(sup):
    return sup.alive and [
        (row.id, row.runs, row.below is not None and picture(row.below)) for row in sup.rows
    ]


@given(plan=plans(), data=st.data())
def test_any_exits_in_any_tree_leave_what_otps_rules_leave(plan, data):
    tree, model = Tree(plan), start(plan)
    now = 0
    assert tree.picture() == picture(model)

    for _ in range(data.draw(st.integers(0, 15))):
        running = list(workers(model))
        if not model.alive or not running:
            break
        path = data.draw(st.sampled_from(running))
        reason = data.draw(st.sampled_from(sorted(REASONS)))
        now += data.draw(st.integers(0, 3))
        assert find(model, path).runs

        tree.exit(path, data.draw(st.sampled_from(REASONS[reason])), now)
        exit_of(model, path, reason, now)

        assert tree.picture() == picture(model)


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

"""Rings of actors that wait for each other are found, with where they wait."""

import pytest
from supervised import eventually, kill

from antq_actors.otp import CallExit, GenServer, Supervisor, call, cast, stop, whereis
from antq_actors.otp.inspect import recent
from antq_actors.otp.inspect.snapshot import snapshot
from antq_actors.otp.inspect.waits import broken_cycles, waiting_cycles


class Asker(GenServer):
    """Waits for others, as it is told to."""

    def handle_call(self, request):
        how, *path = request
        if not path:
            return "the end"
        first, *others = path
        if how == "ask":
            return whereis(first).ask((how, *others))
        return call(first, (how, *others), timeout=None)

    def handle_cast(self, request):
        if callable(request):
            request()
        else:
            self.handle_call(request)


@pytest.fixture
def root():
    children = [Asker.child_spec(id=f"the {name}", name=name) for name in "abc"]
    root = Supervisor.start([*children, Asker.child_spec(id="other")], name="ring")
    yield root
    if root.is_alive():
        stop(root)


def cells_below(root):
    cells = []
    snapshot(root, lambda _id, cell: cells.append(cell))
    return cells


def test_actors_that_ask_each_other_are_a_ring_with_their_stacks(root):
    cast("a", ("ask", "b", "c", "a"))

    eventually(lambda: list(waiting_cycles(cells_below(root))))

    (cycle,) = waiting_cycles(cells_below(root))
    assert cycle.actors == ("ring/the a", "ring/the b", "ring/the c")
    assert cycle.names == ("a", "b", "c")
    assert cycle.at is None
    assert all("whereis(first).ask" in stack for stack in cycle.stacks)
    shown = {view.name: view.waits_for for view in snapshot(root).walk()}
    assert (shown["a"], shown["b"], shown["c"]) == ("b", "c", "a")
    kill(root)


def test_actors_that_wait_in_line_are_no_ring(root, gate):
    cast("c", gate.pass_through)
    cast("a", ("ask", "b", "c"))
    eventually(lambda: whereis("b").cell.awaited() is whereis("c").cell)

    assert list(waiting_cycles(cells_below(root))) == []


def test_a_call_that_closes_a_ring_is_kept_with_the_ring(root):
    recent.record()

    with pytest.raises(CallExit, match="c → a → b → c"):
        call("a", ("call", "b", "c", "a"))

    cycle = next(broken_cycles("ring", 0))
    assert set(cycle.actors) == {"ring/the a", "ring/the b", "ring/the c"}
    assert cycle.at is not None
    assert all("call(first" in stack for stack in cycle.stacks)
    assert list(waiting_cycles(cells_below(root))) == []

"""What one actor does for a while, as a visitor asks for it."""

import pytest
from support.apps import until

from antq_actors import AntQ
from antq_actors.insights import Access, Forbidden, Insights, Visitor
from antq_actors.insights.recordings import start_recording
from antq_actors.insights.source import Source
from antq_actors.otp import Agent, DynamicSupervisor, GenServer, Supervisor, call, cast, chaos, stop

ADA = Visitor(Access.OPERATE, "ada")


class Till(GenServer):
    """Returns its requests as text, and puts into the basket what it was sent."""

    def handle_call(self, request):
        return str(request)

    def handle_cast(self, request):
        Agent.cast("basket", lambda content: [*content, request])


@pytest.fixture
def shop(tmp_path):
    """An application, and a tree beside it."""
    children = [Till.child_spec(id="till", name="till"), Agent.child_spec(list, name="basket")]
    with AntQ(tmp_path / "jobs") as app:
        root = Supervisor.start(children, name="shop")
        try:
            yield Insights(app)
        finally:
            stop(root)


def steps(recording):
    return [(each.kind, each.other, each.text) for each in recording.steps]


def test_a_recording_has_the_types_of_messages_and_whom_they_went_to(shop):
    begun = shop.verbs(ADA).trace("shop/till", trees=["shop"], messages=2)
    call("till", 17)
    cast("till", "secret")
    call("till", "one more than asked for")

    found = shop.recording("shop/till", trees=["shop"])

    assert (begun.item.steps, begun.item.is_over) == ((), False)
    assert steps(found) == [
        ("received", None, "handle_call(int)"),
        ("answered", None, "str to int"),
        ("received", None, "handle_cast(str)"),
        ("sent", "basket", "cast _Update"),
    ]
    assert found.is_over
    assert found.name == "till"
    assert [each.at for each in found.steps] == sorted(each.at for each in found.steps)


def test_a_recording_ends_after_its_seconds_and_with_its_actor(shop):
    shop.verbs(ADA).trace("shop/till", trees=["shop"], seconds=0.01)
    until(lambda: shop.recording("shop/till", trees=["shop"]).is_over)
    call("till", 1)
    assert shop.recording("shop/till", trees=["shop"]).steps == ()

    shop.verbs(ADA).trace("shop/till", trees=["shop"])
    chaos.crash("till")

    found = until(lambda: (found := shop.recording("shop/till", trees=["shop"])).is_over and found)
    assert steps(found)[-1] == ("ended", None, "Crash")


def test_few_recordings_are_kept_and_one_of_each_actor(shop):
    visitors = DynamicSupervisor.start(name="visitors")
    try:
        for number in range(9):
            DynamicSupervisor.start_child(visitors, Till.child_spec(name=f"v{number}"))
            shop.verbs(ADA).trace(f"visitors/v{number}", trees=["visitors"])
        shop.verbs(ADA).trace("visitors/v1", trees=["visitors"])

        kept = [shop.recording(f"visitors/v{number}") for number in range(1, 9)]

        with pytest.raises(LookupError, match="nothing was recorded of 'visitors/v0'"):
            shop.recording("visitors/v0")
        assert all(not each.is_over for each in kept)
    finally:
        stop(visitors)


def test_recording_takes_a_level_and_is_noted_in_the_audit(shop):
    with pytest.raises(Forbidden, match="OPERATE"):
        shop.verbs(Visitor(Access.READ)).trace("shop/till", trees=["shop"])

    shop.verbs(ADA).trace("shop/till", trees=["shop"], reason="slow")

    (entry,) = shop.audit()
    assert (entry.verb, entry.target, entry.name) == ("trace", "actor shop/till", "ada")


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"messages": 0}, ValueError, "messages must be a whole number of at least 1"),
        ({"messages": "201"}, ValueError, "messages must be 1 to 200"),
        ({"messages": "few"}, ValueError, "messages must be a whole number"),
        ({"seconds": "61s"}, ValueError, "at most 60"),
        ({"seconds": "soon"}, ValueError, "seconds must be a span of time"),
        ({"actor": ""}, ValueError, "actor is missing"),
        ({"actor": "shop/none"}, LookupError, "no actor 'shop/none'"),
        ({"actor": "elsewhere"}, LookupError, "no actor 'elsewhere'"),
        ({"node": 99}, LookupError, "no living node 99"),
    ],
)
def test_what_cannot_be_recorded_is_refused(shop, options, error, text):
    options = {"actor": "shop/till", "trees": ["shop"]} | options

    with pytest.raises(error, match=text):
        shop.verbs(ADA).trace(options.pop("actor"), **options)


def test_children_that_are_folded_are_found_by_their_names(shop):
    visitors = DynamicSupervisor.start(name="visitors")
    try:
        for number in range(60):
            DynamicSupervisor.start_child(visitors, Till.child_spec(name=f"visitor {number}"))

        found = shop.children("visitors", "visitor 59", trees=["visitors"])

        assert [each.name for each in found] == ["visitor 59"]
        assert len(shop.children("visitors", "visitor", trees=["visitors"])) == 20
        with pytest.raises(LookupError, match="no actor 'visitors/none'"):
            shop.children("visitors/none", trees=["visitors"])
    finally:
        stop(visitors)


NODE = """
import sys
from antq_actors import AntQ

with AntQ(sys.argv[1], queues={"default": 1}) as app:
    print("up", flush=True)
    sys.stdin.read()
"""


def test_an_actor_of_another_process_is_recorded_there(program, tmp_path):
    node = program("-c", NODE, tmp_path / "jobs")
    assert node.line() == "up"
    with AntQ(tmp_path / "jobs", queues={"default": 1}, start_queues=False) as app:
        insights = Insights(app)
        queue = next(
            each.id for each in insights.tree().trees[0].walk() if each.id.endswith("/queue")
        )

        insights.verbs(ADA).trace(queue, messages=1)
        app.queue("default").pause()
        app.queue("default").resume()
        found = until(lambda: (found := insights.recording(queue)).steps and found)

        assert found.steps[0].kind == "received"
        assert [each.id for each in insights.children(queue.rpartition("/")[0], "queue")] == [queue]


def test_a_reader_begins_no_recording_without_a_verb_either(tmp_path):
    with AntQ(tmp_path / "jobs") as app, pytest.raises(Forbidden, match="OPERATE"):
        start_recording(Source(app), Visitor(Access.READ), "antq")

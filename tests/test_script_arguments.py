"""Arguments of classes that a script defines, after its restart and in other processes."""

import textwrap

import pytest
from support.apps import settled

from antq_actors import AntQ
from antq_actors.storage.format.display import Opaque

DEFINES = """
import dataclasses, enum, sys, typing
from support.apps import settled
from antq_actors import AntQ, QueueConfig, Status, Worker, worker
import elsewhere

class Color(enum.Enum):
    RED = "r"

class Access(enum.IntFlag):
    READ = 1
    WRITE = 2

@dataclasses.dataclass(frozen=True)
class Order:
    amount: int
    color: Color

class Point(typing.NamedTuple):
    x: int

class Outer:
    class Inner:
        pass

def helper():
    return Color.RED

@worker
def passed():
    pass

ARGS = {
    "color": Color.RED,
    "access": Access.READ | Access.WRITE,
    "nested": [{"order": Order(3, Color.RED)}, {Color.RED: Point(1)}, (Color,)],
    "inner": Outer.Inner,
    "helper": helper,
    "worker": passed,
}

def check(args):
    assert args["color"] is Color.RED
    assert args["access"] == Access(3) and type(args["access"]) is Access
    first, second, third = args["nested"]
    assert first["order"] == Order(3, Color.RED)
    assert isinstance(first["order"], Order)
    assert second == {Color.RED: Point(1)} and type(second[Color.RED]) is Point
    assert third == (Color,)
    assert args["inner"] is Outer.Inner
    assert args["helper"]() is Color.RED
    assert args["worker"].antq_name == "__main__:passed"

class Check(Worker):
    def perform(self, job):
        check(job.args)

class Again(Worker):
    def perform(self, job):
        Check.perform_async(job.args)
"""

ELSEWHERE = """
from antq_actors import Worker

class Look(Worker):
    def perform(self, job):
        args = job.args
        assert type(args["color"]).__name__ == "Color"
        assert args["color"].value == "r"
        order = args["nested"][0]["order"]
        assert (order.amount, order.color) == (3, args["color"])
        assert args["helper"]() is args["color"]

class PassOn(Worker):
    def perform(self, job):
        import __main__
        Look.perform_async(job.args)
"""

ENQUEUES = """
with AntQ(sys.argv[1], start_queues=False) as app:
    app.queue("default").pause()
    for each in (Check, Again, elsewhere.Look):
        app.enqueue(each, ARGS)
"""

RUNS = """
if __name__ == "__main__":
    queues = {"default": QueueConfig(executor=sys.argv[2], concurrency=1)}
    with AntQ(sys.argv[1], queues=queues) as app:
        app.queue("default").resume()
        done = set()
        while waiting := [job for job in app.list_workers() if job.id not in done]:
            for job in waiting:
                ended = settled(app, job)
                done.add(job.id)
                print(ended.worker, ended.status)
                for entry in ended.errors:
                    sys.stderr.write(entry.stack_trace or entry.error)
"""


@pytest.fixture
def script(program, tmp_path):
    """Run a script; answer what it printed."""
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE)

    def run(name, source, *arguments):
        (tmp_path / name).write_text(textwrap.dedent(source))
        code, out, err = program(tmp_path / name, tmp_path / "store", *arguments).end()
        assert (code, err) == (0, ""), err
        return out.splitlines()

    return run


EACH_COMPLETED = [
    "__main__:Check completed",
    "__main__:Again completed",
    "elsewhere:Look completed",
    "__main__:Check completed",
]


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_a_restarted_script_gets_its_own_classes_in_arguments(script, executor):
    script("shop.py", DEFINES + ENQUEUES)

    assert script("shop.py", DEFINES + RUNS, executor) == EACH_COMPLETED


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_arguments_of_a_script_reach_another_program_by_value(script, executor):
    script("shop.py", DEFINES + ENQUEUES.replace("(Check, Again, elsewhere.Look)",
                                                 "(elsewhere.Look, elsewhere.PassOn)"))  # fmt: skip
    other = """
    import enum, sys
    from support.apps import settled
    from antq_actors import AntQ, QueueConfig

    class Color(enum.Enum):
        BLUE = "b"

    class Order:
        pass
    """

    said = script("consumer.py", textwrap.dedent(other) + RUNS, executor)

    assert said == [
        "elsewhere:Look completed",
        "elsewhere:PassOn completed",
        "elsewhere:Look completed",
    ]


def test_what_another_program_passed_on_is_found_by_its_own_script(script):
    script("shop.py", DEFINES + ENQUEUES.replace("(Check, Again, elsewhere.Look)",
                                                 "(elsewhere.PassOn,)"))  # fmt: skip
    passes_on = """
    import sys
    import elsewhere
    from support.apps import settled
    from antq_actors import AntQ, QueueConfig, Status

    with AntQ(sys.argv[1], queues={"default": 1, "kept": 1}) as app:
        app.queue("kept").pause()
        elsewhere.Look.antq_options = elsewhere.Look.antq_options.__class__(queue="kept")
        app.queue("default").resume()
        assert settled(app, app.get_worker(1)).status is Status.COMPLETED
    """
    script("other.py", passes_on)
    takes = """
    from antq_actors.storage.format.values import load_args
    with AntQ(sys.argv[1], start_queues=False) as app:
        (job,) = app.list_workers(queue_name="kept")
        (line,) = [line for line in list(app.export_jobs())[1:] if b'"kept"' in line]
    import base64, json
    check(load_args(b"\\x02" + base64.b64decode(json.loads(line)["typed_args"])))
    """

    script("shop.py", DEFINES + textwrap.dedent(takes))


def test_a_class_that_the_script_no_longer_has_comes_by_value(script):
    script("shop.py", DEFINES + ENQUEUES.replace("(Check, Again, elsewhere.Look)",
                                                 "(elsewhere.Look,)"))  # fmt: skip
    without = (
        "import sys\nfrom support.apps import settled\nfrom antq_actors import AntQ, QueueConfig\n"
    )

    assert script("shop.py", without + RUNS, "thread") == ["elsewhere:Look completed"]


def test_classes_of_a_script_are_shown_by_their_names(script, tmp_path):
    script("shop.py", DEFINES + ENQUEUES)

    with AntQ(tmp_path / "store", start_queues=False) as app:
        shown = app.list_workers()[0].args

    assert shown == {
        "color": Opaque("__main__.Color"),
        "access": Opaque("__main__.Access"),
        "nested": [
            {"order": Opaque("__main__.Order")},
            {Opaque("__main__.Color"): Opaque("__main__.Point")},
            (Opaque("__main__.Color"),),
        ],
        "inner": Opaque("__main__.Outer.Inner"),
        "helper": Opaque("__main__.helper"),
        "worker": Opaque("__main__.passed"),
    }


def test_a_class_that_cannot_be_copied_is_found_by_its_name(script):
    source = """
    import sys, threading
    from support.apps import settled
    from antq_actors import AntQ, QueueConfig, Worker

    class Cart:
        lock = threading.Lock()

    class Look(Worker):
        def perform(self, job):
            assert type(job.args["cart"]) is Cart
    """
    source = textwrap.dedent(source)
    script(
        "shop.py",
        source + "with AntQ(sys.argv[1], start_queues=False) as app:\n"
        "    app.enqueue(Look, {'cart': Cart()})\n",
    )

    assert script("shop.py", source + RUNS, "thread") == ["__main__:Look completed"]


def test_what_is_neither_found_nor_copied_fails_the_attempt_by_name(script, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    source = """
    import sys, threading
    import elsewhere
    from antq_actors import AntQ

    class Cart:
        lock = threading.Lock()

    with AntQ(sys.argv[1], start_queues=False) as app:
        app.enqueue(elsewhere.Look, {"cart": Cart()})
    """
    script("shop.py", source)

    with AntQ(tmp_path / "store") as app:
        (entry,) = settled(app, app.get_worker(1)).errors

    assert f"'Cart' of {tmp_path / 'shop.py'} is not in this process" in entry.error

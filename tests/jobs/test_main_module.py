"""What a script may still define, by where it is."""

import sys

import pytest

from antq_actors.jobs import worker_registry

SCRIPT = """
look("start")
class Early: pass
look("below Early")
@str
def late(): pass
class Outer:
    class Inner: pass
look("below Outer")
def main():
    look("in main")
    class Local: pass
    first, second = [], []
    look("below Local")
def plugins():
    class Plugin(name="shop:Moved"): pass
if False:
    class Never: pass
main()
class Named(dict, metaclass=lambda *_, **__: None, name="shop:Old"): pass
while not done():
    look("in a loop")
"""


def places(monkeypatch, name):
    """Run the script; answer at which places the worker called *name* may still come."""
    seen = []

    def look(place):
        if worker_registry.may_define(name):
            seen.append(place)

    namespace = {"__name__": "__main__", "look": look, "done": iter([False, True]).__next__}
    monkeypatch.setattr(sys, "flags", FlagsOfAScript)
    exec(compile(SCRIPT, "script.py", "exec"), namespace)  # noqa: S102 - it is a script
    return seen


class FlagsOfAScript:
    interactive = 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("__main__:Early", ["start"]),
        ("__main__:late", ["start", "below Early"]),
        ("__main__:Outer.Inner", ["start", "below Early"]),
        ("__main__:main.<locals>.Local", ["start", "below Early", "below Outer", "in main"]),
        ("__main__:Gone", []),
        ("shop.mail:Early", []),
        ("shop:Old", ["start", "below Early", "below Outer", "in main", "below Local"]),
        ("shop:Moved", ["start", "below Early", "below Outer"]),
        ("__main__", []),
        ("", []),
    ],
)
def test_a_worker_may_come_until_the_script_is_past_it(monkeypatch, name, expected):
    assert places(monkeypatch, name) == expected


def test_nothing_comes_while_the_script_waits_for_the_end_of_its_application(monkeypatch):
    with worker_registry.nothing_more_defined():
        assert places(monkeypatch, "__main__:Early") == []


def test_at_a_prompt_anything_may_come_of_main_and_of_no_module(monkeypatch):
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)

    assert worker_registry.may_define("__main__:Anything")
    assert not worker_registry.may_define("shop.mail:Anything")


def test_a_job_waits_as_long_as_its_worker_has_been_awaited_within_limits(monkeypatch, caplog):
    monkeypatch.setattr(worker_registry, "_awaited", {})

    waits = [worker_registry.wait_seconds("__main__:X", 7, now) for now in (100, 100.2, 103, 4711)]

    assert waits == pytest.approx([0.05, 0.2, 3, 30])
    (record,) = caplog.records
    assert record.getMessage().startswith("job #7 waits for __main__ to define its worker")

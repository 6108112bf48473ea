"""Where pykka's own tests expect something else of an actor than a GenServer does, on purpose.

All others must pass. A test that passes again, too, has to leave this list.
"""

from typing import NamedTuple

TESTS = {"4.5.0": 152}
"""How many tests pykka has, by version."""


class Difference(NamedTuple):
    """Tests of pykka that fail, for one reason."""

    reason: str
    tests: tuple[str, ...]
    is_seen_at_the_end: bool = False
    """Whether they look at an actor between its on_stop and its end, which has to be held open."""


DIFFERENCES = [
    Difference(
        "A BaseException, such as SystemExit, ends the actor that it was raised in, which hears of"
        " it in `on_failure`, and no other one. pykka stops all actors.",
        (
            "test_actor.py::test_all_actors_are_stopped_on_base_exception",
            "test_logging.py::test_base_exception_is_logged",
        ),
    ),
    Difference(
        "`start` returns when `on_start` and `init` are through, and raises StartError if they"
        " failed. pykka returns at once, and logs the failure.",
        (
            "test_actor.py::test_on_start_failure_causes_actor_to_stop",
            "test_logging.py::test_exception_in_on_start_is_logged",
        ),
    ),
    Difference(
        "An actor is alive, and in the ActorRegistry, until its `on_stop`, `on_failure` and"
        " `terminate` are done: its successor must not open what it has not closed yet. In pykka it"
        " counts as dead before they run.",
        (
            "test_actor.py::test_actor_is_stopped_when_unhandled_exceptions_are_raised",
            "test_actor.py::test_actor_processes_all_messages_before_stop_on_self_stops_it",
            "test_actor.py::test_on_failure_failure_causes_actor_to_stop",
            "test_actor.py::test_on_start_can_stop_actor_before_receive_loop_is_started",
            "test_actor.py::test_on_stop_failure_causes_actor_to_stop",
        ),
        is_seen_at_the_end=True,
    ),
    Difference(
        "Actors run on daemon threads, and are stopped when the program ends, so that it always"
        " does. pykka's threads keep it alive; `use_daemon_thread = False` does so here.",
        ("test_threading_actor.py::test_actor_thread_is_not_daemonic_by_default",),
    ),
    Difference(
        "`str(ref)` is the name of the actor, which logs, errors, threads and `tree()` share."
        " pykka's is the class with the urn, which `repr(ref)` has here.",
        (
            "proxy/test_proxy.py::test_repr_contains_actor_urn",
            "proxy/test_proxy.py::test_str_contains_actor_urn",
            "test_logging.py::test_unexpected_messages_are_logged",
            "test_ref.py::test_str_contains_actor_urn",
        ),
    ),
]


def expected():
    """Answer the reason for each test that differs."""
    return {test: each.reason for each in DIFFERENCES for test in each.tests}


def as_markdown():
    """Answer what docs/otp/pykka_suite.md says of the differences."""
    version, total = list(TESTS.items())[-1]
    lines = [f"Of the {total} tests of pykka {version}, {total - len(expected())} pass.", ""]
    for each in DIFFERENCES:
        lines += [f"- {each.reason}", *(f"  - `{test}`" for test in each.tests)]
    return "\n".join(lines)

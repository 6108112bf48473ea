"""Where a GenServer deliberately does something else than pykka's own tests expect.

All other tests must pass. A listed test that passes again has to be removed from this list.
"""

import textwrap
from typing import NamedTuple

WIDTH = 120
"""Columns of a line of docs/."""

TESTS = {"4.5.0": 152}
"""How many tests pykka has, by version."""


class Difference(NamedTuple):
    """Tests of pykka that fail for one reason."""

    reason: str
    tests: tuple[str, ...]
    is_seen_at_the_end: bool = False
    """Whether they check an actor between its on_stop and its end, which has to be delayed."""


DIFFERENCES = [
    Difference(
        "A BaseException, such as SystemExit, ends only the actor in which it was raised. That"
        " actor's `on_failure` runs. pykka stops all actors.",
        (
            "test_actor.py::test_all_actors_are_stopped_on_base_exception",
            "test_logging.py::test_base_exception_is_logged",
        ),
    ),
    Difference(
        "`start` returns when `on_start` and `init` have returned, and raises StartError if one of"
        " them failed. pykka returns at once, and logs the failure.",
        (
            "test_actor.py::test_on_start_failure_causes_actor_to_stop",
            "test_logging.py::test_exception_in_on_start_is_logged",
        ),
    ),
    Difference(
        "An actor is alive, and in the ActorRegistry, until its `on_stop`, `on_failure` and"
        " `terminate` have returned: the next actor must not open what this one has not closed yet."
        " In pykka it counts as dead before they run.",
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
        "Actors run on daemon threads, and are stopped when the program ends, so they never keep it"
        " alive. pykka's threads do, and so do actors here with `use_daemon_thread = False`.",
        ("test_threading_actor.py::test_actor_thread_is_not_daemonic_by_default",),
    ),
    Difference(
        "`str(ref)` is the name of the actor, which logs, errors, threads and `tree()` also use. In"
        " pykka it is the class with the URN, which `repr(ref)` shows here.",
        (
            "proxy/test_proxy.py::test_repr_contains_actor_urn",
            "proxy/test_proxy.py::test_str_contains_actor_urn",
            "test_logging.py::test_unexpected_messages_are_logged",
            "test_ref.py::test_str_contains_actor_urn",
        ),
    ),
]


def expected():
    """Return the reason for each test that differs."""
    return {test: each.reason for each in DIFFERENCES for test in each.tests}


def as_markdown():
    """Return the list of differences in docs/otp/pykka_suite.md."""
    version, total = list(TESTS.items())[-1]
    lines = [f"Of the {total} tests of pykka {version}, {total - len(expected())} pass.", ""]
    for each in DIFFERENCES:
        lines += textwrap.wrap(f"- {each.reason}", WIDTH, subsequent_indent="  ")
        lines += [f"  - `{test}`" for test in each.tests]
    return "\n".join(lines)

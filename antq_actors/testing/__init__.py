"""The test kit: stored jobs are asserted, and performed in the test's own thread.

It works on the real store, in memory, and on the real path of a job, with any test framework. What
is exported is imported when it is first used, so that a pytest that loads the plugin pays nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from antq_actors.app.clock import TestClock
    from antq_actors.testing.assertions import assert_enqueued, enqueued, recorded, refute_enqueued
    from antq_actors.testing.mode import testing
    from antq_actors.testing.performing import Drained, DrainLimit, drain
    from antq_actors.testing.single import Outcome, perform_job

__all__ = [
    "DrainLimit",
    "Drained",
    "Outcome",
    "TestClock",
    "assert_enqueued",
    "drain",
    "enqueued",
    "perform_job",
    "recorded",
    "refute_enqueued",
    "testing",
]

_MODULES: Final = {
    "DrainLimit": "performing",
    "Drained": "performing",
    "Outcome": "single",
    "TestClock": "antq_actors.app.clock",
    "assert_enqueued": "assertions",
    "drain": "performing",
    "enqueued": "assertions",
    "perform_job": "single",
    "recorded": "assertions",
    "refute_enqueued": "assertions",
    "testing": "mode",
}


def __getattr__(name: str) -> Any:
    if name == "chaos":
        return import_module(f"{__name__}.chaos")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _MODULES[name]
    value = getattr(import_module(module if "." in module else f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

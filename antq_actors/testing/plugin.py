"""A plugin for pytest: an application for each test that wants one.

pytest loads it wherever this package is installed, so until a test uses it, it imports nothing but
pytest.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from antq_actors.app import AntQ
    from antq_actors.app.clock import TestClock

HUNG_SECONDS: Final = 5.0
"""How long is waited for running jobs when a test has ended."""
INTERRUPTED_SECONDS: Final = 30.0
"""How long is waited for an application that interrupts them."""

_MARKER: Final = "antq"
_ARGUMENTS: Final = ("mode", "queues")
_MADE_WITHOUT_CLOCK: Final = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        "antq(mode='manual', queues=None): how the application of the fixtures antq and"
        " antq_running is made: mode is 'manual' or 'inline' (antq alone), queues are AntQ's",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse a marker with other arguments, and a test with two applications."""
    for marker in item.iter_markers(_MARKER):
        if marker.args:
            raise pytest.UsageError(
                f"the marker antq takes its arguments by name, got {marker.args!r}; write for"
                " example @pytest.mark.antq(mode='inline')"
            )
        for name in marker.kwargs:
            if name not in _ARGUMENTS:
                raise pytest.UsageError(
                    f"the marker antq has no argument {name!r}; it takes {' and '.join(_ARGUMENTS)}"
                )
    names = getattr(item, "fixturenames", ())
    if "antq" in names and "antq_running" in names:
        raise pytest.UsageError(
            "a test uses one of the fixtures antq and antq_running, and this one uses both"
        )


@pytest.fixture
def antq(request: pytest.FixtureRequest) -> Iterator[AntQ]:
    """Return an application for this test, with an empty store in memory, that runs no queues.

    Jobs wait, or with ``@pytest.mark.antq(mode="inline")`` are performed where they are enqueued.
    """
    from antq_actors.testing.mode import testing  # noqa: PLC0415 - only who uses it imports it

    given = _given(request)
    with testing(given.get("mode", "manual"), **_options(request, given)) as app:
        yield app


@pytest.fixture
def antq_running(request: pytest.FixtureRequest) -> Iterator[AntQ]:
    """Return an application for this test, with an empty store in memory, whose queues run.

    When the test has ended, what runs gets 5 seconds; what still runs then is an error.
    """
    from antq_actors.app import AntQ  # noqa: PLC0415 - as above

    app = AntQ(**_options(request, _given(request)))
    app.start()
    try:
        yield app
    finally:
        hung = _stop(app)
    if hung:
        pytest.fail(
            f"still running {HUNG_SECONDS:g} s after the test has ended: {', '.join(hung)}",
            pytrace=False,
        )


@pytest.fixture
def antq_clock(request: pytest.FixtureRequest) -> TestClock:
    """Return the clock of the application that the fixture antq or antq_running has made."""
    from antq_actors.app.clock import TestClock  # noqa: PLC0415 - as above

    if request.node.stash.get(_MADE_WITHOUT_CLOCK, False):
        raise pytest.UsageError(
            "the application of this test was made without a clock, before antq_clock was asked"
            " for: name antq_clock among the arguments of the test or of its fixtures"
        )
    return TestClock()


def _given(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the arguments of the test's markers; those of the closest count."""
    given: dict[str, Any] = {}
    for marker in request.node.iter_markers(_MARKER):
        given = {**marker.kwargs, **given}
    return given


def _options(request: pytest.FixtureRequest, given: dict[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if given.get("queues") is not None:
        options["queues"] = given["queues"]
    if "antq_clock" in request.fixturenames:
        options["clock"] = request.getfixturevalue("antq_clock")
    request.node.stash[_MADE_WITHOUT_CLOCK] = "clock" not in options
    return options


def _stop(app: AntQ) -> list[str]:
    """Stop an application; return what still ran after some seconds, as a message names it."""
    stopping = threading.Thread(target=app.stop, kwargs={"timeout": 3_600.0}, name="antq stops")
    stopping.start()
    stopping.join(HUNG_SECONDS)
    if not stopping.is_alive():
        return []
    hung = [_named(app, id_) for id_ in app.running_jobs()]
    app.hurry()
    stopping.join(INTERRUPTED_SECONDS)
    return hung or (["the application itself"] if stopping.is_alive() else [])


def _named(app: AntQ, id_: int) -> str:
    from antq_actors.errors import AntqError  # noqa: PLC0415 - as above

    try:
        return f"{app.get_job(id_).worker} (job {id_})"
    except AntqError:
        return f"job {id_}, which was deleted"

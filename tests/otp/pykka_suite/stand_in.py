"""A pytest plugin for pykka's own tests: their actors are ours, and each outcome is written down.

``PYKKA_SUITE_STAND_IN`` says how. "GenServer": pykka.ThreadingActor is GenServer. "supervised":
their actors are what they are, and start as supervised() makes them. "pykka": nothing is changed.
``PYKKA_SUITE_OUTCOMES`` names the file for the outcomes.
"""

import json
import os
import threading
from pathlib import Path
from unittest import mock

import pykka
import pytest
from pykka_suite.differences import DIFFERENCES

from antq_actors.otp import GenServer, supervised

OUTCOMES = {}
SEEN_AT_THE_END = {test for each in DIFFERENCES if each.is_seen_at_the_end for test in each.tests}
MAY_END = threading.Event()
MAY_END.set()


def put_in_place(stand_in):
    # Held open, so that it does not depend on luck who sees it.
    GenServer.terminate = lambda _self, _reason: MAY_END.wait(30)
    match stand_in:
        case "GenServer":
            pykka.ThreadingActor = GenServer
        case "supervised":
            pykka.Actor.start = classmethod(start_supervised)
        case "pykka":
            pass
        case _:
            raise ValueError(f"PYKKA_SUITE_STAND_IN: what is {stand_in!r}?")


def start_supervised(cls, *args, **kwargs):
    return supervised(cls).start(*args, **kwargs)


def name_of(nodeid):
    """Return what a test is called in differences.py."""
    return nodeid.removeprefix("tests/").removesuffix("[threading]")


# Before pykka's tests are imported, which take ThreadingActor from pykka.
put_in_place(os.environ["PYKKA_SUITE_STAND_IN"])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    if name_of(item.nodeid) in SEEN_AT_THE_END:
        MAY_END.clear()
    try:
        return (yield)
    finally:
        MAY_END.set()


def pytest_runtest_logreport(report):
    name = name_of(report.nodeid)
    if report.failed:
        OUTCOMES[name] = report.longreprtext
    elif report.when == "call" and report.passed:
        OUTCOMES.setdefault(name, "passed")


def pytest_sessionfinish():
    Path(os.environ["PYKKA_SUITE_OUTCOMES"]).write_text(json.dumps(OUTCOMES), encoding="utf-8")


class Mocker:
    """As much of pytest-mock's fixture as pykka's tests use."""

    Mock = mock.Mock
    MagicMock = mock.MagicMock
    NonCallableMock = mock.NonCallableMock

    def __init__(self):
        self.patch = self
        self._patches = []

    def object(self, *args, **kwargs):
        self._patches.append(mock.patch.object(*args, **kwargs))
        return self._patches[-1].start()

    def stop(self):
        for each in reversed(self._patches):
            each.stop()


@pytest.fixture
def mocker():
    mocker = Mocker()
    yield mocker
    mocker.stop()

"""The terminal view as its tests see it, and the jobs that they show."""

import asyncio
import threading
import time

from antq_actors import Worker
from support.apps import LONGEST

gate = threading.Event()

HOSTILE = "\x1b[2J\x1b]0;owned\x07<b>[red]\u202eevil\u2028\udcff\x00\x9b31m"
"""Escape sequences, markup, reversed text, line breaks, a lone surrogate, NUL."""

STORABLE = HOSTILE.replace("\udcff", "")
"""The same without what no name in a store can have."""


class Waits(Worker, name="top:Waits"):
    def perform(self, job):
        gate.wait(60)


class FailsOnce(Worker, name="top:FailsOnce", max_attempts=1):
    def perform(self, job):
        raise ValueError(job.args.get("text", "no"))


class Terminal:
    """The program as a test sees it: keys in, text out."""

    def __init__(self, program, pilot):
        self.program = program
        self._pilot = pilot

    @property
    def text(self):
        strips = self.program.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in strips)

    @property
    def chosen(self):
        """The key of the row that the cursor is on."""
        row = self.program.screen.query_one("#table").chosen
        return None if row is None else row.key

    async def until(self, condition):
        """Wait until a condition holds."""
        deadline = time.monotonic() + LONGEST
        while not condition():
            await asyncio.sleep(0.01)
            assert time.monotonic() < deadline

    async def ends(self):
        """Wait until the program has ended."""
        await self.until(lambda: not self.program.is_running)

    async def press(self, *keys):
        await self._pilot.press(*keys)

    async def type(self, text):
        names = {":": "colon", " ": "space", "<": "less_than_sign", "-": "minus", ".": "full_stop"}
        await self.press(*(names.get(each, each) for each in text))

    async def shows(self, *texts, without=()):
        """Wait until the screen has all of *texts*, and none of *without*; return what it has."""
        deadline = time.monotonic() + LONGEST
        while True:
            await self._pilot.pause(0.01)
            seen = self.text
            if all(text in seen for text in texts) and not any(text in seen for text in without):
                return seen
            is_too_late = time.monotonic() > deadline or not self.program.is_running
            assert not is_too_late, f"{texts} not in\n{seen}"

"""What is on the terminal, and a look at the store each second.

The store is read in one thread of its own, one question at a time: whatever takes long there, keys
are answered. What was asked for a view that is no longer shown is thrown away.
"""

from __future__ import annotations

import asyncio
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from rich.text import Text
from textual.app import App, ScreenStackError
from textual.css.query import NoMatches
from textual.widgets import Input, Static

from antq_actors.insights.access import Access, Visitor
from antq_actors.top.frame import Frame
from antq_actors.top.jobs_tab import Listed, Place
from antq_actors.top.keys import keys_of
from antq_actors.top.look import ALARM, QUIET, WARN
from antq_actors.top.operator import UNDO_SECONDS, Operator, Report
from antq_actors.top.reading import Reading
from antq_actors.top.tabs import Tab
from antq_actors.top.widgets import DetailsScreen, FrameTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.screen import Screen

    from antq_actors import AntQ
    from antq_actors.insights.filters import FilterError
    from antq_actors.top.look import Look

DARK: Final = "textual-dark"
LIGHT: Final = "textual-light"
PAGES: Final = {"tree": Tab.TREE, "nodes": Tab.NODES, "queues": Tab.QUEUES}
"""The pages of the dashboard that are tabs here."""
ENDING: Final = (NoMatches, ScreenStackError)
"""What is raised where the program ends, and its widgets and screens are gone."""
NOTHING_YET: Final = Frame(head=(), columns=(), rows=(), empty=Text())
_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question to the store: for which view, how it is asked, and what shows the answer."""

    view: object
    ask: Callable[[], Any]
    show: Callable[[Any], None]


class View(App[None]):
    """What is on the terminal: the tabs, what lies over them, and how the store does."""

    CSS_PATH = None
    CSS: ClassVar[str] = """
    #tabs, #keys, #filter { height: 1; }
    #status { height: auto; max-height: 4; }
    #filter { border: none; padding: 0; background: $boost; display: none; }
    #filter.asked { display: block; }
    #head { height: auto; max-height: 8; padding: 0 0 1 0; }
    #empty { height: auto; padding: 0; display: none; }
    #empty.shown { display: block; }
    FrameTable { height: 1fr; }
    #details { height: 1fr; }
    #question { width: auto; max-width: 80%; padding: 1 2; background: $boost; }
    Question { align: center middle; }
    .ascii * { scrollbar-size: 0 0; }
    """

    def __init__(
        self,
        app: AntQ,
        look: Look,
        interval: float,
        *,
        is_read_only: bool = False,
        user: str | None = None,
    ) -> None:
        super().__init__()
        self.reading = Reading(app, look)
        self._look, self._interval, self._is_read_only = look, interval, is_read_only
        level = Access.READ if is_read_only else Access.OPERATE
        self._operator = Operator(self.reading.insights, Visitor(level, user))
        self._ticked: frozenset[int] = frozenset()
        self._report, self._reported_at = Report(""), 0.0
        self._name = "in memory" if app.is_volatile else app.path.name
        self.tab = Tab.OVERVIEW
        self.place = Place()
        self.node: int | None = None
        self._listed: Listed | None = None
        self._turns = 0
        self._frame = NOTHING_YET
        self._lane = ThreadPoolExecutor(1, thread_name_prefix="antq top")
        self._is_asking = False
        self._is_stale = False
        self._failed_since: datetime | None = None
        self._is_leading = False
        self._filter_error: FilterError | None = None

    def compose(self) -> ComposeResult:
        """Make the widgets, from the top down."""
        yield Static(id="tabs")
        yield Input(placeholder="status:failed queue:mail inserted:<1h", id="filter")
        yield Static(id="head")
        yield Static(id="empty")
        yield FrameTable(id="table")
        yield Static(id="status")
        yield Static(id="keys")

    def on_mount(self) -> None:
        """Look at the store now, and then each interval; end at a signal."""
        self.set_class(self._look.ascii_only, "ascii")
        loop = asyncio.get_running_loop()
        for name in _SIGNALS:
            # Neither where there are none, nor in a thread that does not get them.
            with suppress(NotImplementedError, ValueError, RuntimeError):
                loop.add_signal_handler(getattr(signal, name, signal.SIGTERM), self.exit)
        self._main.query_one(FrameTable).focus()
        self._show_bars()
        self.set_interval(self._interval, self.look_again)
        self.look_again()

    def on_unmount(self) -> None:
        """Ask nothing any more."""
        self._lane.shutdown(wait=False, cancel_futures=True)

    @property
    def _main(self) -> Screen[Any]:
        """The screen of the tabs, whatever lies over it."""
        return self.screen_stack[0]

    @property
    def _details(self) -> DetailsScreen | None:
        """What is shown in detail; None: the tabs are."""
        found = [each for each in self.screen_stack if isinstance(each, DetailsScreen)]
        return found[-1] if found else None

    # ---- reading the store ------------------------------------------------------------------

    def look_again(self) -> None:
        """Read what is shown now; while something is being read, as soon as that is there."""
        if not self.screen_stack:  # it is ending
            return
        if self._is_asking:
            self._is_stale = True
            return
        if self._details is not None and self._details.subject.kind == "keys":
            return
        self._is_stale = False
        self._is_asking = True
        # No coroutine: one that is made while the program ends would never be awaited.
        answer: Callable[[], Any] = partial(self._answer, self._question())
        self.run_worker(answer)

    async def _answer(self, asked: _Asked) -> None:
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._lane, asked.ask)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is shown and tried again
            self._show_status(error)
        else:
            with suppress(*ENDING):
                self._show_status()
                if self.screen_stack and asked.view == self._question().view:
                    asked.show(found)
        finally:
            self._is_asking = False
        if self._is_stale:
            self.look_again()

    def _question(self) -> _Asked:
        """Return what is to be read for what is shown."""
        details = self._details
        if details is not None:
            subject = details.subject
            return _Asked(subject, lambda: self.reading.details(subject), details.show_lines)
        if self.tab is Tab.JOBS:
            place, listed = self.place, self._listed
            view = (place, self._turns)  # a page that is read anew is another one
            return _Asked(view, lambda: self.reading.jobs(place, listed), self._show_listed)
        tab, node = self.tab, self.node
        return _Asked((tab, node), lambda: self.reading.frame(tab, node), self._show_frame)

    def _show_bars(self) -> None:
        """Show the tabs, and the keys of the one that is shown."""
        bar = Text(no_wrap=True)
        for number, tab in enumerate(Tab, start=1):
            bar.append(f" {number} {tab} ", "reverse" if tab is self.tab else "")
        self._main.query_one("#tabs", Static).update(bar)
        self._main.query_one("#keys", Static).update(self._keys())

    def _keys(self) -> Text:
        return keys_of(self.tab, self._look, is_read_only=self._is_read_only)

    def _keys_in_detail(self) -> Text:
        return keys_of(None, self._look, is_read_only=self._is_read_only)

    def _show_listed(self, found: Listed) -> None:
        if self._filter_error is None:
            self._listed = found
            self._show_frame(self.reading.jobs_frame(found, self._ticked))

    def _show_frame(self, frame: Frame) -> None:
        if frame.head != self._frame.head:
            self._main.query_one("#head", Static).update(Text("\n").join(frame.head))
        empty = self._main.query_one("#empty", Static)
        empty.update(frame.empty)
        empty.set_class(not frame.rows, "shown")
        self._main.query_one(FrameTable).show_frame(frame)
        self._frame = frame

    def _show_status(self, error: Exception | None = None) -> None:
        """Show whether the store can be read; *error*: what was in the way."""
        look = self._look
        now = datetime.now().astimezone()
        if error is None:
            self._failed_since = None
            line = look.joined(look.state("up", "live"), look.text(f"{now:%H:%M:%S}", QUIET))
        else:
            self._failed_since = self._failed_since or now
            since = f"{self._failed_since:%H:%M:%S}"
            text = f"not read since {since}, tried again each {self._interval:g} s: {error}"
            line = look.shape("failed").append(" ").append_text(look.text(text, ALARM))
        told = look.text("")
        if time.monotonic() < self._reported_at + UNDO_SECONDS:
            told = look.text(self._report.text, WARN, longest=500)
        level = "read only" if self._is_read_only else "operate"
        line = look.joined(told, look.text(self._name), look.text(level, QUIET), line)
        for status in self.screen.query("#status").results(Static):
            status.update(line)

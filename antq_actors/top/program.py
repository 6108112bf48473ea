"""The program in a terminal: tabs, keys, and a look at the store each second.

The store is read in one thread of its own, one question at a time: whatever takes long there, keys
are answered. What was asked for a view that is no longer shown is thrown away.
"""

from __future__ import annotations

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import parse_qsl

from rich.text import Text
from textual.app import App
from textual.binding import Binding
from textual.css.query import NoMatches
from textual.widgets import Input, Static

from antq_actors.insights.filters import Filter, FilterError
from antq_actors.top.frame import Frame, Subject
from antq_actors.top.jobs_tab import Listed, Place
from antq_actors.top.keys import LEADS_TO, PLAIN, key_lines, keys_of, lead_line
from antq_actors.top.look import ALARM, QUIET
from antq_actors.top.reading import Reading
from antq_actors.top.screens import DetailsScreen
from antq_actors.top.table import FrameTable
from antq_actors.top.tabs import Tab

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.screen import Screen

    from antq_actors import AntQ
    from antq_actors.top.look import Look

DARK: Final = "textual-dark"
LIGHT: Final = "textual-light"
PAGES: Final = {"tree": Tab.TREE, "nodes": Tab.NODES, "queues": Tab.QUEUES}
"""The pages of the dashboard that are tabs here."""
NOTHING_YET: Final = Frame(head=(), columns=(), rows=(), empty=Text())
_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question to the store: for which view, how it is asked, and what shows the answer."""

    view: object
    ask: Callable[[], Any]
    show: Callable[[Any], None]


class TopApp(App[None]):
    """Shows a store until "q" or a signal ends it."""

    CSS_PATH = None
    CSS: ClassVar[str] = """
    #tabs, #status, #keys, #filter { height: 1; }
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
    COMMAND_PALETTE_BINDING = "ctrl+k"
    BINDINGS: ClassVar[list[Any]] = [
        *(Binding(str(number + 1), f"tab({number})", show=False) for number in range(len(Tab))),
        *(Binding(key, f"press('{key}')", show=False) for key in sorted({*LEADS_TO, *PLAIN})),
        Binding("slash", "filter", show=False),
        Binding("question_mark", "keys", show=False),
        Binding("full_stop", "newest", show=False),
        Binding("right_square_bracket", "page(True)", show=False),
        Binding("left_square_bracket", "page(False)", show=False),
        Binding("escape", "close_filter", show=False),
        Binding("ctrl+c", "quit", show=False, priority=True),
    ]

    def __init__(
        self, app: AntQ, look: Look, interval: float, *, is_read_only: bool = False
    ) -> None:
        super().__init__()
        self.reading = Reading(app, look)
        self._look, self._interval, self._is_read_only = look, interval, is_read_only
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
            with suppress(NoMatches):  # it is ending, and the widgets are gone
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

    def _show_listed(self, found: Listed) -> None:
        if self._filter_error is None:
            self._listed = found
            self._show_frame(self.reading.jobs_frame(found))

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
        level = "read only" if self._is_read_only else "operate"
        line = look.joined(look.text(self._name), look.text(level, QUIET), line)
        for status in self.screen.query("#status").results(Static):
            status.update(line)

    # ---- keys -------------------------------------------------------------------------------

    def action_press(self, key: str) -> None:
        """Do what a letter does: alone, or after a "g" lead to a tab."""
        is_leading = self._end_leading()
        if is_leading and key in LEADS_TO:
            self.go_to(LEADS_TO[key])
        elif key in PLAIN:
            getattr(self, f"press_{PLAIN[key]}")()

    def press_lead(self) -> None:
        """Wait for the letter that says where to go."""
        self._is_leading = True
        for keys in self.screen.query("#keys").results(Static):
            keys.update(lead_line(self._look))

    def _end_leading(self) -> bool:
        """Return whether a "g" was pressed before this key, and forget it."""
        was_leading, self._is_leading = self._is_leading, False
        if was_leading:
            for keys in self.screen.query("#keys").results(Static):
                keys.update(self._keys_in_detail() if self._details else self._keys())
        return was_leading

    def _keys(self) -> Text:
        return keys_of(self.tab, self._look, is_read_only=self._is_read_only)

    def press_quit(self) -> None:
        """End."""
        self.exit()

    def press_down(self) -> None:
        """Move to the next row or line."""
        self._move(1)

    def press_up(self) -> None:
        """Move to the row or line before."""
        self._move(-1)

    def _move(self, lines: int) -> None:
        if self._details is not None:
            self._details.scroll_lines(lines)
        else:
            table = self._main.query_one(FrameTable)
            table.move_cursor(row=table.cursor_row + lines)

    def press_theme(self) -> None:
        """Change between dark and light."""
        self.theme = LIGHT if self.theme == DARK else DARK

    def press_browser(self) -> None:
        """Open what is shown in the browser."""

    def action_tab(self, number: int) -> None:
        """Change to the tab with a number, from 0."""
        self._end_leading()
        self.go_to(list(Tab)[number])

    def go_to(self, tab: Tab) -> None:
        """Change the tab."""
        while len(self.screen_stack) > 1:
            self.pop_screen()
        if tab is not self.tab:
            self.tab = tab
            self._show_frame(NOTHING_YET)
        self.action_close_filter()
        self._show_bars()
        self.look_again()

    def action_keys(self) -> None:
        """Show all keys."""
        self._end_leading()
        lines = list(key_lines(self._look, is_read_only=self._is_read_only))
        self.push_screen(DetailsScreen(Subject("keys"), self._keys_in_detail(), lines))

    def _keys_in_detail(self) -> Text:
        return keys_of(None, self._look, is_read_only=self._is_read_only)

    def action_leave(self) -> None:
        """Return from what is shown in detail."""
        self.pop_screen()
        self.look_again()

    def action_newest(self) -> None:
        """Show the newest jobs."""
        if self.tab is Tab.JOBS:
            self._go_in_list(Place(self.place.filter))

    def action_page(self, is_next: bool) -> None:  # noqa: FBT001 - called by Textual
        """Show older or newer jobs, or the tree of another node."""
        if self.tab is Tab.TREE:
            self._turn_node(1 if is_next else -1)
        elif self.tab is Tab.JOBS and self._listed is not None:
            page = self._listed.page
            cursor = page.next if is_next else page.previous
            if cursor is not None:
                ids = {"after": cursor} if is_next else {"before": cursor}
                self._go_in_list(Place(self.place.filter, **ids))

    def _go_in_list(self, place: Place) -> None:
        self.place, self._listed = place, None
        self._turns += 1
        self.look_again()

    def _turn_node(self, step: int) -> None:
        nodes = self._frame.nodes
        if nodes:
            at = nodes.index(self._frame.node) if self._frame.node in nodes else -1
            self.node = nodes[(at + step) % len(nodes)]
            self.look_again()

    # ---- the filter -------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Ask for a filter of jobs."""
        self._end_leading()
        self.go_to(Tab.JOBS)
        box = self._main.query_one("#filter", Input)
        box.value = self.place.filter
        box.add_class("asked")
        box.focus()

    def action_close_filter(self) -> None:
        """Leave the box of the filter; what was shown before is shown again."""
        self._end_leading()
        self._filter_error = None
        self._main.query_one("#filter").remove_class("asked")
        self._main.query_one(FrameTable).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Filter by what was typed; where it is no filter, say so and list nothing."""
        try:
            Filter.parse(event.value)
        except FilterError as error:
            self._filter_error = error
            self._show_frame(replace(NOTHING_YET, empty=self._look.text(error, ALARM)))
            return
        self.action_close_filter()
        self._go_in_list(Place(event.value.strip()))

    # ---- opening ----------------------------------------------------------------------------

    def on_data_table_row_selected(self) -> None:
        """Open what the row is about."""
        row = self._main.query_one(FrameTable).chosen
        if row is None:
            return
        if self.tab is Tab.JOBS:
            self._open(Subject("job", row.key))
        elif self.tab is Tab.QUEUES:
            self._open(Subject("queue", row.key))
        elif self.tab is Tab.TREE:
            self._open(Subject("actor", row.key, self._frame.node))
        elif self.tab is Tab.NODES:
            self.node = int(row.key)
            self.go_to(Tab.TREE)
        else:
            self._follow(row.target)

    def _open(self, subject: Subject) -> None:
        self.push_screen(DetailsScreen(subject, self._keys_in_detail()))
        self.call_after_refresh(self.look_again)

    def _follow(self, target: str) -> None:
        """Open the view of a page of the dashboard."""
        page, _, query = target.partition("?")
        values = dict(parse_qsl(query))
        if page == "queue" and "name" in values:
            self.go_to(Tab.QUEUES)
            self._open(Subject("queue", values["name"]))
        elif page == "jobs":
            self.go_to(Tab.JOBS)
            self._go_in_list(Place(values.get("q", "")))
        elif page in PAGES:
            self.go_to(PAGES[page])


def watch(app: AntQ, look: Look, interval: float, *, is_read_only: bool) -> int:
    """Show an application's store until that is ended; return the exit code."""
    program = TopApp(app, look, interval, is_read_only=is_read_only)
    program.run()
    return program.return_code or 0

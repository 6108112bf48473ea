"""The program in a terminal: what its keys do."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual.binding import Binding
from textual.widgets import Input, Static

from antq_actors.insights.filters import Filter, FilterError
from antq_actors.jobs.state import Status
from antq_actors.top.frame import Subject
from antq_actors.top.jobs_tab import Place
from antq_actors.top.keys import LEADS_TO, PLAIN, key_lines, lead_line
from antq_actors.top.look import ALARM
from antq_actors.top.operator import Report
from antq_actors.top.pages import URL_VARIABLE, page_of, page_of_tab, target_of, url_of
from antq_actors.top.tabs import Tab
from antq_actors.top.view import ENDING, NOTHING_YET, View
from antq_actors.top.widgets import DetailsScreen, FrameTable, Question

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors import AntQ
    from antq_actors.top.look import Look

DARK: Final = "textual-dark"
LIGHT: Final = "textual-light"


class TopApp(View):
    """Shows a store until "q" or a signal ends it."""

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
        """Open what is shown in the browser, if it is known where the dashboard is."""
        page = page_of_tab(self.tab, self.place, self._frame.node)
        if self._details is not None:
            page = page_of(self._details.subject)
        url = url_of(os.environ.get(URL_VARIABLE), page)
        if url is None:
            text = "Start `antq web`, and set ANTQ_WEB_URL to where it is, http://127.0.0.1:8420/."
            self._tell(Report(text))
        else:
            self.open_url(url)
            self._tell(Report(f"Opened {url}"))

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
        self.place, self._listed, self._ticked = place, None, frozenset()
        self._turns += 1
        self.look_again()

    def _turn_node(self, step: int) -> None:
        nodes = self._frame.nodes
        if nodes:
            at = nodes.index(self._frame.node) if self._frame.node in nodes else -1
            self.node = nodes[(at + step) % len(nodes)]
            self.look_again()

    # ---- changing -----------------------------------------------------------------------------

    def press_tick(self) -> None:
        """Tick the job that the cursor is on, or take its tick away."""
        chosen = self._chosen_job()
        if chosen is not None and self._details is None and self._listed is not None:
            self._ticked ^= {chosen}
            self._show_listed(self._listed)

    def press_retry(self) -> None:
        """Retry the job, or those that are ticked."""
        ids = self._chosen_jobs()
        if ids:
            self._do(lambda: self._operator.retry(ids))

    def press_cancel(self) -> None:
        """Cancel the job, or those that are ticked; ask first if one of them runs."""
        ids = self._chosen_jobs()
        if not ids:
            return
        do = partial(self._do, partial(self._operator.cancel, ids))
        listed = () if self._listed is None else self._listed.page.items
        running = [item.id for item in listed if item.id in ids and item.status is Status.RUNNING]
        if not running or self._is_read_only:
            do()
            return
        which = f"Job {running[0]} runs" if len(running) == 1 else f"{len(running)} of them run"
        text = self._look.text(f"{which}. Cancel it all the same? That cannot be undone.")
        self.push_screen(Question(text), lambda answer: do() if answer else None)

    def press_pause(self) -> None:
        """Pause or resume the queue."""
        subject = self._details.subject if self._details else None
        row = self._main.query_one(FrameTable).chosen
        queue = subject.key if subject is not None and subject.kind == "queue" else None
        if subject is None and self.tab is Tab.QUEUES and row is not None:
            queue = row.key
        if queue is not None:
            self._do(partial(self._operator.pause_or_resume, queue))

    def press_undo(self) -> None:
        """Undo what was done last."""
        tokens = self._report.undo
        self._do(partial(self._operator.undo, tokens))

    def _chosen_job(self) -> int | None:
        """Return the job that is shown in detail, else the one that the cursor is on."""
        if self._details is not None:
            return self._details.subject.job
        row = self._main.query_one(FrameTable).chosen
        return int(row.key) if self.tab is Tab.JOBS and row is not None else None

    def _chosen_jobs(self) -> list[int]:
        chosen = self._chosen_job()
        if chosen is not None and self._details is None and self._ticked:
            return sorted(self._ticked)
        return [] if chosen is None else [chosen]

    def _do(self, change: Callable[[], Report]) -> None:
        """Change something in the thread of the store, and show what came of it."""
        change_and_tell: Callable[[], Any] = partial(self._change, change)
        self.run_worker(change_and_tell)

    async def _change(self, change: Callable[[], Report]) -> None:
        try:
            report = await asyncio.get_running_loop().run_in_executor(self._lane, change)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
            report = Report(f"{type(error).__name__}: {error}")
        self._ticked = frozenset()
        self._tell(report)

    def _tell(self, report: Report) -> None:
        """Show what came of a key, for as long as it can be undone."""
        self._report, self._reported_at = report, time.monotonic()
        with suppress(*ENDING):
            self._show_status()
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
        found = target_of(target)
        if found is None:
            return
        tab, subject, filter_ = found
        self.go_to(tab)
        if subject is not None:
            self._open(subject)
        elif tab is Tab.JOBS:
            self._go_in_list(Place(filter_))


def watch(app: AntQ, look: Look, interval: float, *, is_read_only: bool, user: str | None) -> int:
    """Show an application's store until that is ended; return the exit code.

    *user*: who is named in the audit.
    """
    program = TopApp(app, look, interval, is_read_only=is_read_only, user=user)
    program.run()
    return program.return_code or 0

"""The keys of the terminal view, and what they do: one table for the program and for its help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from antq_actors.top.look import QUIET, STRONG
from antq_actors.top.tabs import Tab

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.text import Text

    from antq_actors.top.look import Look


class Key(NamedTuple):
    """A key that is shown in the help."""

    name: str
    does: str
    tabs: tuple[Tab, ...] = ()
    """Where the line of keys has it, too."""
    changes: bool = False
    """Whether it changes anything, so that it is not there with ``--read-only``."""


LEADS_TO: Final[Mapping[str, Tab]] = {
    "o": Tab.OVERVIEW,
    "j": Tab.JOBS,
    "q": Tab.QUEUES,
    "t": Tab.TREE,
    "n": Tab.NODES,
}
"""Where a key leads after "g"."""

PLAIN: Final[Mapping[str, str]] = {
    "g": "lead",
    "j": "down",
    "k": "up",
    "o": "browser",
    "q": "quit",
    "t": "theme",
    "x": "tick",
    "r": "retry",
    "c": "cancel",
    "p": "pause",
    "u": "undo",
}
"""The action of a letter that is pressed alone."""

KEYS: Final = (
    Key("1-5", "change the tab"),
    Key("g o|j|q|t|n", "the same: to overview, jobs, queues, tree or nodes"),
    Key("/", "filter jobs, such as status:failed queue:mail arg.user.id:42", (Tab.JOBS,)),
    Key("Enter", "open what the row is about", tuple(Tab)),
    Key("Esc", "go back; end the filter"),
    Key("j k", "move down and up, as the arrows do"),
    Key("[ ]", "newer and older jobs; the node before and after", (Tab.JOBS, Tab.TREE)),
    Key(".", "show the jobs that are new", (Tab.JOBS,)),
    Key("x", "tick a job, to change several at once", (Tab.JOBS,), changes=True),
    Key("r", "retry the job, or those that are ticked", (Tab.JOBS,), changes=True),
    Key("c", "cancel the job, or those that are ticked", (Tab.JOBS,), changes=True),
    Key("p", "pause the queue, or resume it", (Tab.QUEUES,), changes=True),
    Key("u", "undo that, for 10 seconds", (Tab.JOBS, Tab.QUEUES), changes=True),
    Key("o", "open the same in the browser, where ANTQ_WEB_URL says"),
    Key("t", "change between dark and light"),
    Key("Ctrl+K", "all commands, to search"),
    Key("?", "these keys", tuple(Tab)),
    Key("q", "end", tuple(Tab)),
)
"""All keys, in the order in which the help has them."""

_IN_DETAIL: Final = frozenset({"Esc", "j k", "r", "c", "p", "u", "?", "q"})
_SHORT: Final = {
    "/": "filter",
    "Enter": "open",
    "[ ]": "pages",
    ".": "new",
    "Esc": "back",
    "j k": "move",
    "x": "tick",
    "r": "retry",
    "c": "cancel",
    "p": "pause or resume",
    "u": "undo",
    "?": "keys",
}


def keys_of(tab: Tab | None, look: Look, *, is_read_only: bool) -> Text:
    """Return the line of keys below a tab; None: below what is shown in detail."""
    names = {key.name for key in KEYS if tab in key.tabs} if tab else _IN_DETAIL
    shown = [key for key in KEYS if key.name in names and not (key.changes and is_read_only)]
    return look.joined(
        *(
            look.text(key.name, STRONG).append(f" {_SHORT.get(key.name, key.does)}", QUIET)
            for key in shown
        )
    )


def lead_line(look: Look) -> Text:
    """Return where the letters lead that may follow "g"."""
    leads = LEADS_TO.items()
    return look.joined(*(look.text(key, STRONG).append(f" {tab}", QUIET) for key, tab in leads))


def key_lines(look: Look, *, is_read_only: bool) -> Iterator[Text]:
    """Yield the help: every key and what it does."""
    yield look.text("Keys", STRONG)
    for key in KEYS:
        if not (key.changes and is_read_only):
            yield look.text(f"  {key.name:<13}", STRONG).append_text(look.text(key.does))

"""Words that no name is made of and no docstring begins with, and what to write instead."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
FILES = sorted(
    file
    for folder in ("antq_actors", "tests", "benchmarks", "examples", "docs")
    for file in (PROJECT / folder).rglob("*.py")
)

# A name is compared in its words, so that `TimerThread` is also `_timer_thread`; a row with a
# capital letter is one name as it is written. A star stands for any words, or none.
NAMES = {
    "absence": "reconnect_timeout",
    "absorb": "exit_filter",
    "add_order": "set_concurrency_command",
    "Arrival": "ImportedJob",
    "arriving": "atomic_directory",
    "Ask": "FetchRequest",
    "AskFrom": "ReplyTo",
    "assignment": "attempt",
    "*_book": "QueueState",
    "borrow": "run inline",
    "burdened": "busy_jobs",
    "BY_CANCEL": "CANCEL",
    "BY_STOP": "STOP",
    "BY_TIMEOUT": "TIMEOUT",
    "CannotTravel": "Failed",
    "clockwork": "TimerThread",
    "Clockwork": "TimerThread",
    "conclude": "finish",
    "*_condemn_*": "mark_damaged",
    "conversation": "ProcessSession",
    "Course": "Transition",
    "crew": "process_pool_harness",
    "crews": "process_pool_harness",
    "deed": "job_actions",
    "*_detached_*": "RemoteActor",
    "Detached": "RemoteActor",
    "Died": "NotRun",
    "*_doomed_*": "killed_with_parent",
    "doomed": "killed_with_parent",
    "Ear": "SignalWaiter",
    "errand": "inline",
    "errands": "inline",
    "GRACE": "…_GRACE_SECONDS",
    "Holder": "cleanup hook",
    "in_the_way": "find_conflict",
    "is_at_hand": "is_uncontended",
    "is_told_to_end": "stop_requested",
    "kept_args": "snapshot_args",
    "*_last_chance_*": "isolated",
    "*_lean_server": "TaskActor",
    "LeanServer": "TaskActor",
    "leave_turn": "inline",
    "Leftovers": "Unanswered",
    "lend": "run inline",
    "*_lending": "inline",
    "lends": "runs_inline",
    "lends_its_place": "runs_inline",
    "let_through": "propagate",
    "Link": "ParentConnection",
    "Live": "Runtime",
    "looking": "audited_display",
    "lookout": "PollingTimer",
    "Lookout": "PollingTimer",
    "Lookup": "JobQueries",
    "Lost": "NotRun",
    "MERCY": "TERM_GRACE_SECONDS",
    "Move": "Transition",
    "Moves": "BulkUpdate",
    "next_ask": "next_fetch",
    "NotBegun": "TimeoutError",
    "NotTaken": "None, before it began",
    "*_one_shot_*": "TaskActor",
    "OneShot": "TaskActor",
    "onlooker": "Observer",
    "onlookers": "observers",
    "order_concurrency": "set_concurrency_command",
    "plays": "executor_harness",
    "proven": "has_booted",
    "ring": "find_cycle",
    "Runs": "RunningAttempts",
    "Seal": "Signer",
    "see_off": "reap",
    "show_args": "display_args",
    "soundness": "file_check",
    "SPARE": "…_SECONDS",
    "spawn_copy": "spawn",
    "standin": "parent_proxy",
    "standins": "parent_proxy",
    "steady": "map_lock",
    "superfluous": "Stop",
    "take_in": "import_jobs",
    "termination": "shutdown",
    "unreported": "NotRun",
    "Victim": "Target",
    "*_vouched_*": "verified",
}

DIALECT = re.compile(r"(Answer|Say|Tell|Hear)s?\b")
"""No docstring begins so: "Return …", "Return whether …", "Log …", "Notify …", "Receive …"."""
QUOTED_DIALECT = re.compile(rf"[\"'](?:\\\n|\s)*{DIALECT.pattern}")
IMPERATIVE = ("antq_actors", "benchmarks", "docs", "examples", "tests")
"""The folders of which that is true."""


def matches(row, name):
    if row in AS_WRITTEN:
        return name.strip("_") == row
    return re.fullmatch(pattern(row), words(name)) is not None


def pattern(row):
    return row.replace("*_", "(?:.*_)?").replace("_*", "(?:_.*)?")


AS_WRITTEN = frozenset(row for row in NAMES if row != row.lower())
ANY_WORDS = re.compile("|".join(pattern(row) for row in NAMES if row not in AS_WRITTEN))


def words(name):
    """Return *name* in snake case, without the underscores around it."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return spaced.strip("_").lower()


IDENTIFIER = re.compile(r"[^\W\d]\w*")


@cache
def replacement(name):
    if name.strip("_") not in AS_WRITTEN and not ANY_WORDS.fullmatch(words(name)):
        return None  # most names: they are not compared with each row
    return next((instead for row, instead in NAMES.items() if matches(row, name)), None)


@cache
def text_of(file):
    return file.read_text(encoding="utf-8")


def names(file):
    """Yield each name that *file* gives to something that others see, and its line."""
    yield file.stem, 1
    if not any(map(replacement, set(IDENTIFIER.findall(text_of(file))))):
        return  # most files: to parse all of them takes long
    module = ast.parse(text_of(file))
    for node in ast.walk(module):
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.name, node.lineno
            case ast.arg():
                yield node.arg, node.lineno
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr, node.lineno
    for scope in [module, *(node for node in ast.walk(module) if isinstance(node, ast.ClassDef))]:
        for node in scope.body:
            targets = getattr(node, "targets", [getattr(node, "target", None)])
            for target in targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.lineno


def docstrings(file):
    """Yield each docstring of *file*, and its line."""
    if not QUOTED_DIALECT.search(text_of(file)):
        return  # nearly all files, as above
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(ast.parse(text_of(file))):
        if isinstance(node, documented) and (text := ast.get_docstring(node)):
            yield text, node.body[0].lineno


def where(file, line):
    return f"{file.relative_to(PROJECT)}:{line}"


def test_no_name_has_a_word_that_was_replaced():
    found = [
        f"{where(file, line)}: {name}; write {replacement(name)}"
        for file in FILES
        for name, line in names(file)
        if replacement(name)
    ]

    assert found == []


def test_no_docstring_begins_in_the_old_dialect():
    found = [
        f"{where(file, line)}: {text[:40]!r}"
        for file in FILES
        if file.relative_to(PROJECT).parts[0] in IMPERATIVE
        for text, line in docstrings(file)
        if DIALECT.match(text)
    ]

    assert found == []


@pytest.mark.parametrize(
    ("row", "name", "matched"),
    [
        ("brief", "brief", True),
        ("brief", "_brief", True),
        ("brief", "Brief", True),
        ("brief", "brief_error", False),
        ("*_brief_*", "brief", True),
        ("*_brief_*", "TheBriefOne", True),
        ("*_brief_*", "briefly", False),
        ("Ask", "_Ask", True),
        ("Ask", "ask", False),
    ],
)
def test_a_row_matches_whole_words(row, name, matched):
    assert matches(row, name) is matched


def test_no_text_has_what_git_leaves_of_a_conflict():
    texts = [*FILES, *PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")]
    found = [
        where(file, number)
        for file in texts
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if line.startswith(("<" * 7 + " ", ">" * 7 + " "))
    ]

    assert not found, "\n".join(found)

"""Write docs/reference.md: every public name of ``antq_actors``, from its docstring.

``make docs`` runs it. With ``--check`` it writes nothing, and exits with 1 when the page is not
what it would write. griffe reads the sources; nothing is imported.
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from typing import TYPE_CHECKING, Final

import griffe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT: Final = Path(__file__).parent.parent
PAGE: Final = ROOT / "docs" / "reference.md"

GROUPS: Final = {
    "The application": [
        "AntQ",
        "QueueConfig",
        "QueueHandle",
        "QueueStatus",
        "Upcoming",
        "Breakpoint",
        "AuditEntry",
        "Imported",
        "BulkOutcome",
    ],
    "Nodes": ["NodeInfo", "QueueInfo", "Health", "Progress"],
    "Workers": [
        "Worker",
        "worker",
        "FunctionWorker",
        "EnqueueWith",
        "WorkerOptions",
        "JobOptions",
        "Unique",
        "Backoff",
        "Fail",
        "Cancel",
        "Snooze",
        "RateLimited",
        "Result",
    ],
    "Middleware": ["Middleware", "JobDraft"],
    "Periodic jobs": ["Cron", "Every", "CronHandle", "CronInfo"],
    "Batches": ["Batch", "BatchStatus"],
    "Workflows": ["Workflow", "chain", "group", "Node", "Group", "WorkflowRun", "WorkflowStatus"],
    "Limits": ["Concurrency", "RateLimit", "LimitHandle", "LimitInfo", "GateStatus"],
    "Jobs": [
        *("Job", "AttemptError", "Status", "ACTIVE", "current_job", "Explanation", "Transition"),
    ],
}
"""The sections of the page and what they show, in this order. Errors need no entry here."""

NOT_MADE_BY_USERS: Final = {
    *(
        "QueueHandle",
        "QueueStatus",
        "Upcoming",
        "Breakpoint",
        "AuditEntry",
        "FunctionWorker",
        "EnqueueWith",
        "JobDraft",
    ),
    *("CronHandle", "CronInfo", "LimitHandle", "LimitInfo", "GateStatus"),
    *("Batch", "BatchStatus"),
    *("Node", "Group", "WorkflowRun", "WorkflowStatus"),
}
"""Classes of which users are given objects. How to make one is not shown."""

FIELDS_ALONE: Final = {"Cron", "Every"}
"""Classes whose methods only the package uses."""

HEAD: Final = """\
# Reference

Every public name of `antq_actors`, generated from the docstrings by `make docs`. Import these names
from `antq_actors`. The errors are also in `antq_actors.errors`, and the errors of supervision in
`antq_actors.otp`.

Durations are seconds (`float`) or `timedelta`. Times are `datetime` values with a time zone. A
wrong type is a `TypeError`, and a value out of range a `ValueError`. Both are raised in the caller,
before anything is started or stored.

[Supervision](supervision.md) describes `antq_actors.otp`.
[Running](running.md#the-store-as-a-whole) describes the operations on a store that no application
has open.
"""

FENCED: Final = re.compile(r"```python no-run\n(.*?)```\n", re.DOTALL)
"""A signature on the page."""

WIDTH_CHARACTERS: Final = 120
"""Where lines wrap, as on all other pages."""

STAYS: Final = re.compile(r"[-*#|>] |\d+\. |```| ")
"""How a block of Markdown begins that is no paragraph."""

ERRORS: Final = "antq_actors.errors"
SUPERVISION_ERRORS: Final = ("antq_actors.otp.kernel.errors", "antq_actors.otp.messaging.names")


class UngroupedName(Exception):
    """A public name that :data:`GROUPS` does not mention."""


@dataclass(frozen=True)
class Entry:
    """One public name and where it is defined."""

    name: str
    definition: griffe.Object

    @property
    def is_error(self) -> bool:
        """Whether it is defined in a module of errors."""
        return self.definition.module.path in {ERRORS, *SUPERVISION_ERRORS}


def page() -> str:
    """Return the text of docs/reference.md. Raises UngroupedName."""
    package = griffe.load("antq_actors", search_paths=[ROOT], allow_inspection=False)
    entries = {name: Entry(name, _definition(package[name])) for name in _exported(package)}
    errors = [
        Entry(name, _definition(each))
        for name, each in package["errors"].classes.items()
        if not each.is_alias
    ]
    grouped = {name for names in GROUPS.values() for name in names}
    ungrouped = {name for name in entries if not entries[name].is_error} - grouped
    if ungrouped:
        names = ", ".join(sorted(ungrouped))
        raise UngroupedName(f"GROUPS in docs/reference.py has no place for {names}")

    sections = [(title, [entries[name] for name in names]) for title, names in GROUPS.items()]
    sections.append(("Errors", errors))
    sections.append(("Errors of supervision", _errors_of_supervision(package)))
    parts = [_wrap_paragraphs(HEAD)]
    anchors: set[str] = set()
    for title, members in sections:
        links = " · ".join(f"[{entry.name}](#{_anchor(entry.name, anchors)})" for entry in members)
        parts.append(f"## {title}\n\n{_wrap(links)}\n")
        parts.extend("\n".join(_describe(entry)) for entry in members)
    return _format_signatures("\n".join(parts))


def _errors_of_supervision(package: griffe.Object | griffe.Alias) -> list[Entry]:
    """Return the exceptions of ``antq_actors.otp``; some have names that jobs use, too."""
    exported = {str(name).strip("'\"") for name in package["otp"].exports or []}
    return [
        Entry(f"otp.{name}", _definition(each))
        for module in SUPERVISION_ERRORS
        for name, each in package[module.removeprefix("antq_actors.")].classes.items()
        if name in exported and not each.is_alias and each.bases
    ]


def _exported(package: griffe.Object | griffe.Alias) -> list[str]:
    return [str(name).strip("'\"") for name in package.exports or []]


def _definition(found: griffe.Object | griffe.Alias) -> griffe.Object:
    return found.final_target if isinstance(found, griffe.Alias) else found


def _anchor(heading: str, taken: set[str]) -> str:
    """Return the anchor of the next heading, as GitHub makes it; ``worker`` follows ``Worker``."""
    anchor = heading.lower().replace(".", "")
    if anchor in taken:
        anchor += "-1"
    taken.add(anchor)
    return anchor


def _describe(entry: Entry) -> Iterator[str]:
    definition = entry.definition
    yield f"### {entry.name}\n"
    if isinstance(definition, griffe.Class):
        yield from _describe_class(entry, definition)
    elif isinstance(definition, griffe.Function):
        yield _signature(definition)
        yield _text(definition)
    else:
        yield _text(definition)


def _describe_class(entry: Entry, definition: griffe.Class) -> Iterator[str]:
    members = dict(_public_members(definition))
    init = definition.members.get("__init__")
    bases = [str(base) for base in definition.bases]
    if entry.is_error:
        yield f"Bases: {', '.join(f'`{base}`' for base in bases)}\n"
    elif isinstance(init, griffe.Function) and not (
        _is_enum(bases) or entry.name in NOT_MADE_BY_USERS
    ):
        yield _signature(init, name=entry.name)
    yield _text(definition)
    if isinstance(init, griffe.Function) and init.docstring:
        yield _text(init)
    fields = [_field(member) for member in members.values() if isinstance(member, griffe.Attribute)]
    if fields:
        yield "\n".join(fields) + "\n"
    for name, member in members.items():
        if isinstance(member, griffe.Function) and entry.name not in FIELDS_ALONE:
            yield f"#### {entry.name}.{name}\n"
            yield _signature(member)
            yield _text(member)


def _public_members(definition: griffe.Class) -> Iterator[tuple[str, griffe.Object]]:
    """Yield what users may use: own and inherited members, in the order of the source."""
    seen: set[str] = set()
    for cls in (definition, *definition.mro()):
        for name, member in cls.members.items():
            is_internal = name.startswith(("_", "antq_"))
            if not is_internal and not member.is_alias and name not in seen:
                seen.add(name)
                yield name, _definition(member)


def _is_enum(bases: Iterable[str]) -> bool:
    return any(base.endswith("Enum") for base in bases)


def _field(member: griffe.Attribute) -> str:
    declared = member.name if member.annotation is None else f"{member.name}: {member.annotation}"
    has_default = "class-attribute" in member.labels and "field(" not in str(member.value)
    if has_default and member.value is not None:
        declared += f" = {member.value}"
    text = " ".join(_text(member).split())
    return _wrap(f"- `{declared}`" + (f": {text}" if text else ""), indent="  ")


def _signature(function: griffe.Function, name: str | None = None) -> str:
    if function.overloads:
        # Of those with the same parameters the last is the general one; the others are for types.
        general = {tuple(p.name for p in each.parameters): each for each in function.overloads}
        return _code("\n".join(f"def {each.signature()}: ..." for each in general.values()))
    word = "async def" if "async" in function.labels else "def"
    decorator = "@classmethod\n" if "classmethod" in function.labels else ""
    signature = function.signature(name=name or function.name, return_type=name is None)
    signature = signature.replace("(/, ", "(", 1)  # left behind where only self is positional
    return _code(f"{decorator}{word} {signature}: ...")


def _code(source: str) -> str:
    return f"```python no-run\n{source}\n```\n"


def _text(thing: griffe.Object) -> str:
    """Return a docstring as Markdown: its roles and literals as code, its examples in fences."""
    if thing.docstring is None:
        return ""
    text = re.sub(r":[a-z]+:`~?([^`]+)`", r"`\1`", thing.docstring.value)
    text = text.replace("``", "`")
    text = re.sub(r"(?m)^>>>(?:.*\n?)+?(?=^\s*$|\Z)", _fenced, text).strip()
    return _wrap_paragraphs(text)


def _wrap_paragraphs(text: str) -> str:
    """Return Markdown with its paragraphs wrapped anew; lists, examples and tables stay."""
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join(each if STAYS.match(each) else _wrap(each) for each in paragraphs) + "\n"


def _wrap(paragraph: str, indent: str = "") -> str:
    return textwrap.fill(
        " ".join(paragraph.split()),
        WIDTH_CHARACTERS,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _fenced(example: re.Match[str]) -> str:
    return f"```pycon\n{example.group().rstrip()}\n```\n"


def _format_signatures(text: str) -> str:
    """Return the page with its signatures as the formatter writes them, in one run of it."""
    separator = "\n# next signature\n"
    command = [sys.executable, "-m", "ruff", "format", "--line-length", "100", "-"]
    formatted = subprocess.run(  # noqa: S603 - the formatter, on our own sources
        command, input=separator.join(FENCED.findall(text)), stdout=PIPE, text=True, check=True
    ).stdout.split(separator.strip())
    shown = map(_without_body, formatted)
    text = FENCED.sub(lambda _: f"```python no-run\n{next(shown)}\n```\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def _without_body(definition: str) -> str:
    """Return only the head of a definition; a class is called, so its head is the call."""
    head = re.sub(r":\s*\.\.\.$", "", definition.strip(), flags=re.MULTILINE)
    return re.sub(r"^def (?=[A-Z])", "", head)


def main() -> int:
    """Write the page or, with ``--check``, compare it; return the exit code."""
    text = page()
    if "--check" not in sys.argv:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        sys.stderr.write("docs/reference.md is not what the docstrings say; run: make docs\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

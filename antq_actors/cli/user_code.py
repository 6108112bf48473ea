"""The user's own code in a command: modules that it names, and what is in them.

What that code raises is shown as Python would show it, but without the frames of this package and
of the import system: those say nothing about the mistake.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import typer

import antq_actors
from antq_actors.cli import output
from antq_actors.errors import AntqError

if TYPE_CHECKING:
    from collections.abc import Iterator

_OURS: Final = str(Path(antq_actors.__file__).parent)
_NOT_THE_USERS: Final = (_OURS, importlib.__file__, "<frozen importlib")


class Place(NamedTuple):
    """What ``MODULE:NAME`` names."""

    module: str
    name: str
    """May have dots."""


def parse(target: str, form: str, example: str) -> Place:
    """Split *target*, which has to be of this *form*; else it is wrong usage."""
    module, _, name = target.partition(":")
    if module.endswith(".py"):
        path = Path(module.removesuffix(".py"))
        right = ":".join(filter(None, (".".join(path.parts), name)))
        raise wrong(f"'{target}' names a file; write its module: {right}", form)
    if not (name and all(module.split(".")) and "/" not in module):
        raise wrong(f"'{target}' is not {form}; write for example {example}", form)
    return Place(module, name)


def wrong(message: str, form: str) -> typer.BadParameter:
    """Return the error of wrong usage for the argument of this *form*."""
    return typer.BadParameter(message, param_hint=form)


def import_module(name: str, form: str, *, with_traceback: bool = True) -> Any:
    """Import a module, looked for in the current directory first.

    There being none is wrong usage. Raises AntqError for what its code raises, which is shown.
    """
    directory = str(Path.cwd())
    if directory not in sys.path:
        sys.path.insert(0, directory)
    with shown(f"the import of '{name}'", with_traceback=with_traceback):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            # Only when the module itself is missing, and not one that it imports.
            if error.name and f"{name}.".startswith(f"{error.name}."):
                raise wrong(
                    f"there is no module '{error.name}' in {directory} or on sys.path", form
                ) from None
            raise


def attribute(module: Any, name: str) -> Any:
    """Return what a module has under a dotted name. Raises AttributeError."""
    return attrgetter(name)(module)


@contextmanager
def shown(what: str, *, with_traceback: bool = True) -> Iterator[None]:
    """Show what the user's code raises, and raise AntqError: *what* it was that failed."""
    try:
        yield
    except typer.BadParameter:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the user's code raises
        if with_traceback:
            output.note(output.printable(traceback_of(error)))
        raise AntqError(f"{what} failed") from None


def traceback_of(error: BaseException) -> str:
    """Return the traceback of *error* and of its causes, with the user's frames alone."""
    found = traceback.TracebackException.from_exception(error, compact=True)
    _cut(found)
    return "".join(found.format()).rstrip()


def _cut(found: traceback.TracebackException | None) -> None:
    if found is None:
        return
    found.stack[:] = [
        frame for frame in found.stack if not frame.filename.startswith(_NOT_THE_USERS)
    ]
    for each in (found.__cause__, found.__context__, *(found.exceptions or ())):
        _cut(each)

"""Import the user's modules and find names in them.

An error in the user's code is shown as Python shows it, but without the frames of this package and
of the import system, which do not help to find the mistake.
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
    """The parts of ``MODULE:NAME``."""

    module: str
    name: str
    """It may have dots."""


def parse_target(target: str, form: str, example: str) -> Place:
    """Return module and name of a command's *target*; another *form* is wrong usage."""
    module, _, name = target.partition(":")
    if module.endswith(".py"):
        path = Path(module.removesuffix(".py"))
        right = ":".join(filter(None, (".".join(path.parts), name)))
        raise wrong_usage(f"'{target}' names a file; write its module: {right}", form)
    if not (name and all(module.split(".")) and "/" not in module):
        raise wrong_usage(f"'{target}' is not {form}; write for example {example}", form)
    return Place(module, name)


def wrong_usage(message: str, form: str) -> typer.BadParameter:
    """Return the error of wrong usage for the command's argument of this *form*."""
    return typer.BadParameter(message, param_hint=form)


def import_module(name: str, form: str, *, with_traceback: bool = True) -> Any:
    """Import the module that a command names, searched for in the current directory first.

    A missing module is wrong usage. Raises AntqError when its code raises, after showing the
    traceback.
    """
    directory = search_current_directory()
    with errors_shown(f"the import of '{name}'", with_traceback=with_traceback):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            # Only when the module itself is missing, and not a module that it imports.
            if error.name and f"{name}.".startswith(f"{error.name}."):
                raise wrong_usage(
                    f"there is no module '{error.name}' in {directory} or on sys.path", form
                ) from None
            raise


def search_current_directory() -> str:
    """Have modules of the user searched for in the current directory first; return its path."""
    directory = str(Path.cwd())
    if directory not in sys.path:
        sys.path.insert(0, directory)
    return directory


def find_attribute(module: Any, name: str) -> Any:
    """Return what a command names in the user's module, with dots. Raises AttributeError."""
    return attrgetter(name)(module)


@contextmanager
def errors_shown(what: str, *, with_traceback: bool = True) -> Iterator[None]:
    """Print the traceback of the user's code when it raises, and raise AntqError for *what*."""
    try:
        yield
    except typer.BadParameter:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code can raise anything
        if with_traceback:
            output.write_stderr(output.printable(traceback_of(error)))
        raise AntqError(f"{what} failed") from None


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an *error* in code that a command runs, without our frames."""
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

"""``antq start module:app``: run the queues of an application until a signal ends them."""

import importlib
import inspect
import logging
import sys
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any

import typer

from antq_actors import AntQ, AntqError


def start(
    target: Annotated[
        str,
        typer.Argument(metavar="MODULE:APP", help="An AntQ, or a function that returns one."),
    ],
) -> None:
    """Run the queues of an application.

    SIGINT or SIGTERM stops it: nothing more is claimed, and what runs may end. A second signal
    does not wait. MODULE is looked for in the current directory first.

    \b
    Examples:
      antq start shop.jobs:app
      antq start shop.jobs:make_app
    """
    app = load(target)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    typer.echo(f"antq: running {target}; Ctrl-C stops it", err=True)
    try:
        app.run()
    except RuntimeError as error:
        # The tree gave up; the log has told the whole story.
        raise AntqError(str(error)) from None


def load(target: str) -> AntQ:
    """Import what *target* names; wrong usage when that is no application."""
    module_name, separator, path = target.partition(":")
    if not (separator and module_name and path):
        raise _wrong(f"'{target}' is not MODULE:APP; write for example shop.jobs:app")

    found = _attribute(_import(module_name), module_name, path)
    app = found() if _callable_as_is(found) else found
    if not isinstance(app, AntQ):
        raise _wrong(f"'{target}' is {app!r}; an AntQ is needed, or a function that returns one")
    return app


def _import(module_name: str) -> Any:
    directory = str(Path.cwd())
    if directory not in sys.path:
        sys.path.insert(0, directory)
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # Only when the module itself is missing: one that it imports is the user's to see.
        if error.name and f"{module_name}.".startswith(f"{error.name}."):
            raise _wrong(
                f"there is no module '{error.name}' in {directory} or on sys.path"
            ) from None
        raise


def _attribute(module: Any, module_name: str, path: str) -> Any:
    try:
        return attrgetter(path)(module)
    except AttributeError:
        apps = [name for name, value in vars(module).items() if isinstance(value, AntQ)]
        hint = f"; did you mean {module_name}:{apps[0]}?" if apps else ""
        raise _wrong(f"module '{module_name}' has no '{path}'{hint}") from None


def _callable_as_is(found: Any) -> bool:
    if isinstance(found, AntQ) or not callable(found):
        return False
    try:
        inspect.signature(found).bind()
    except (TypeError, ValueError):
        return False
    return True


def _wrong(message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint="MODULE:APP")

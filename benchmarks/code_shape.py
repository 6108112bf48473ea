"""The shape of the code, read from its source: files, circles of imports, docstrings, lines.

Nothing here depends on the name of a file or folder, so it measures any state of the project:
`PROJECT` is the one whose package is installed where it runs.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grimp

import antq_actors

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE: Final = Path(antq_actors.__file__).parent
PROJECT: Final = PACKAGE.parent
NAME: Final = antq_actors.__name__

SMALL_LINES: Final = 60
"""A file with fewer is small."""
DIALECT: Final = re.compile(r"(Answer|Say|Tell|Hear)s?\b")
"""How no docstring begins."""
BY_PYTHON: Final = {"__getattr__", "__dir__"}
"""What an ``__init__`` may define and still only re-export."""


@dataclass(frozen=True)
class Shape:
    """What the source looks like."""

    circles: list[list[str]]
    """Files that import each other, in whatever roundabout way; the largest circle first."""
    files: int
    """Of the package, without each ``__init__.py``."""
    small_files: list[str]
    """Those of them with fewer lines than ``SMALL_LINES``."""
    docstrings: list[str]
    """``file:line first words`` of each docstring of a module, class or function that begins with
    Answer, Say, Tell or Hear."""
    package_lines: int
    test_lines: int


def measure_shape() -> Shape:
    """Return the shape of the code as it is."""
    files = [file for file in _python_files(PACKAGE) if file.name != "__init__.py"]
    return Shape(
        circles=find_circles(),
        files=len(files),
        small_files=[_relative(file) for file in files if _lines(file) < SMALL_LINES],
        docstrings=find_dialect(),
        package_lines=sum(map(_lines, _python_files(PACKAGE))),
        test_lines=sum(map(_lines, _python_files(PROJECT / "tests"))),
    )


def folders() -> dict[str, tuple[int, int]]:
    """Return each folder of the package with its files (without ``__init__.py``) and its lines."""
    found: dict[str, tuple[int, int]] = {}
    for file in _python_files(PACKAGE):
        files, lines = found.get(folder_of(_relative(file)), (0, 0))
        files += file.name != "__init__.py"
        found[folder_of(_relative(file))] = (files, lines + _lines(file))
    return found


def folder_of(file: str) -> str:
    """Return the folder of a file of the package: ``otp/ref.py`` → ``otp/``."""
    folder, slash, _ = file.rpartition("/")
    return folder + slash or "./"


def find_circles() -> list[list[str]]:
    """Return the circles of imports: the strongly connected sets of two or more modules.

    All imports count, also those for types only and those within functions. An ``__init__`` that
    only re-exports is left out.
    """
    graph = grimp.build_graph(NAME, cache_dir=None)
    for file in PACKAGE.rglob("__init__.py"):
        if _only_re_exports(file):
            module = ".".join((NAME, *file.parent.relative_to(PACKAGE).parts))
            for imported in graph.find_modules_directly_imported_by(module):
                graph.remove_import(importer=module, imported=imported)
    circles: set[frozenset[str]] = set()
    for module in graph.modules:
        before, after = graph.find_downstream_modules(module), graph.find_upstream_modules(module)
        circles.add(frozenset({module, *(before & after)}))
    found = [sorted(circle) for circle in circles if len(circle) > 1]
    return sorted(found, key=lambda circle: (-len(circle), circle))


def _only_re_exports(file: Path) -> bool:
    return all(
        isinstance(node, ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign | ast.Expr)
        or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        or (isinstance(node, ast.FunctionDef) and node.name in BY_PYTHON)
        for node in _tree(file).body
    )


def find_dialect() -> list[str]:
    """Return the docstrings of the package that begin with a word of the old dialect."""
    return [
        f"{_relative(file)}:{line} {' '.join(text.split()[:4])}"
        for file in _python_files(PACKAGE)
        for line, text in _docstrings(file)
        if DIALECT.match(text)
    ]


def _docstrings(file: Path) -> Iterator[tuple[int, str]]:
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(_tree(file)):
        if isinstance(node, documented) and (text := ast.get_docstring(node)):
            yield node.body[0].lineno, text


def _python_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def _relative(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


@cache
def _lines(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines())


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))

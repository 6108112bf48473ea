"""The shape of the code, read from its source: files, circles of imports, docstrings, lines.

Nothing here depends on the name of a file or folder, so it measures any state of the project:
`PROJECT` is the one whose package is installed where it runs.
"""

from __future__ import annotations

import ast
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

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


OUTCOME: Final = "Outcome"
"""The alias of all outcomes of an attempt. Every other union that names it, or two of its members,
says how an attempt ended as well; so does every class in such a union."""
BY_PERFORM: Final = {"Fail", "Cancel", "Snooze"}
"""What ``perform`` may return to say how its attempt ended."""
OUTSIDE_OF_UNIONS: Final = {"StopCause"}
"""Further classes that say how an attempt ended: why a queue had one stopped."""


@dataclass(frozen=True)
class Shape:
    """What the source looks like."""

    end_names: list[str]
    """Classes that say how an attempt ended, or that it was not run."""
    end_unions: list[str]
    """The different unions of them, in annotations and aliases."""
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
    end_names, end_unions = find_ends()
    return Shape(
        end_names=end_names,
        end_unions=end_unions,
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


def find_ends() -> tuple[list[str], list[str]]:
    """Return the classes that say how an attempt ended, and the unions of them.

    ``None`` in a union counts as nothing, and a union of one class is none.
    """
    found = {frozenset(_members(node) - {"None"}) for node in _unions()}
    defined = {
        node.name
        for file in _python_files(PACKAGE)
        for node in _nodes(file)
        if isinstance(node, ast.ClassDef)
    }
    alias = next(_members(node.value) for node in _aliases() if node.target.id == OUTCOME)
    names, counted = set(alias), {frozenset(alias)}
    while True:
        more = {union for union in found - counted if _says_an_end(union, names)}
        if not more:
            break
        counted |= more
        names |= {name for union in more for name in union if name in defined} - {OUTCOME}
    missing = (BY_PERFORM | OUTSIDE_OF_UNIONS) - defined
    if missing:
        raise LookupError(f"no such classes any more, so correct the list here: {missing}")
    names |= BY_PERFORM | OUTSIDE_OF_UNIONS
    return sorted(names), sorted(" | ".join(sorted(union)) for union in counted)


def _says_an_end(union: frozenset[str], names: set[str]) -> bool:
    return len(union) > 1 and (OUTCOME in union or len(union & names) > 1)


def _aliases() -> Iterator[Any]:
    for file in _python_files(PACKAGE):
        for node in _nodes(file):
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "TypeAlias":
                yield node


def _unions() -> Iterator[ast.expr]:
    """Yield what is annotated, and what aliases stand for; of ``A | B | C`` the whole."""
    for file in _python_files(PACKAGE):
        annotated: list[ast.expr | None] = []
        for node in _nodes(file):
            if isinstance(node, ast.AnnAssign):
                is_alias = ast.unparse(node.annotation) == "TypeAlias"
                annotated.append(node.value if is_alias else node.annotation)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                annotated.append(node.returns)
            elif isinstance(node, ast.arg):
                annotated.append(node.annotation)
        for annotation in filter(None, annotated):
            yield from _outermost_unions(annotation)


def _outermost_unions(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp):
        yield node
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        with suppress(SyntaxError):  # of Literal["some text"]
            yield from _outermost_unions(ast.parse(node.value, mode="eval").body)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _outermost_unions(child)


def _members(node: ast.AST) -> set[str]:
    if isinstance(node, ast.BinOp):
        return _members(node.left) | _members(node.right)
    return {ast.unparse(node).rpartition(".")[2].strip("'")}


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
    for node in _nodes(file):
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


@cache
def _nodes(file: Path) -> list[ast.AST]:
    """Return the nodes of *file* that anything here asks for: one walk for all of them."""
    definitions = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    asked_for = definitions | ast.AnnAssign | ast.arg
    return [node for node in ast.walk(_tree(file)) if isinstance(node, asked_for)]

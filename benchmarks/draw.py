"""Functions drawn at random, as a reader who has never seen the code gets them.

    python benchmarks/draw.py 1            the questions: 25 functions, each by name and docstring
    python benchmarks/draw.py 1 --answers  where each is, to compare with what the reader says

The reader also gets the table of rooms of docs/contributing.md.

The reader says of each what it does, in which folder it is, and what it may touch (threads, disk,
clock, processes, or nothing). A function counts when all three are right. The package is readable
when 24 of 25 are, for each of three seeds. Private functions without a docstring are left out: they
are read where they are called.
"""

from __future__ import annotations

import argparse
import ast
import random
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parent.parent / "antq_actors"


class Drawn(NamedTuple):
    """A function or a method of the package."""

    place: str
    signature: str
    docstring: str

    def question(self) -> str:
        """Return what the reader is shown."""
        return "\n".join([self.signature, *(f"    {line}" for line in self.docstring.splitlines())])


def functions() -> list[Drawn]:
    """Return all functions of the package that have a docstring, file by file."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        place = str(path.relative_to(PACKAGE))
        found += _functions_in(ast.parse(path.read_text(encoding="utf-8")), place, ())
    return found


def _functions_in(node: ast.AST, place: str, outer: tuple[str, ...]) -> list[Drawn]:
    found = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            found += _functions_in(child, place, (*outer, child.name))
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(child)
            if docstring is not None:
                returns = f" -> {ast.unparse(child.returns)}" if child.returns else ""
                name = ".".join((*outer, child.name))
                signature = f"{name}({ast.unparse(child.args)}){returns}"
                found.append(Drawn(place, signature, docstring))
        elif isinstance(child, ast.If):
            found += _functions_in(child, place, outer)
    return found


def main() -> None:
    """Print what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seed", type=int)
    parser.add_argument("--count", type=int, default=25)
    parser.add_argument("--answers", action="store_true", help="print where each function is")
    args = parser.parse_args()
    drawn = random.Random(args.seed).sample(functions(), args.count)
    for number, each in enumerate(drawn, 1):
        if args.answers:
            print(f"{number}. {each.place}: {each.signature.split('(')[0]}")
        else:
            print(f"{number}. {each.question()}\n")


if __name__ == "__main__":
    main()

"""How large the house is: what one job crosses, and the shape of the code.

    python benchmarks/house.py                 the figures
    python benchmarks/house.py --by-room       and files, lines and calls per folder and file
    python benchmarks/house.py --details       and every circle, small file, docstring and concept
    python benchmarks/house.py --json FILE     and all of it as JSON

`job_path.py` and `code_shape.py` say what exactly is counted.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from code_shape import SMALL_LINES, Shape, folder_of, folders, measure_shape
from job_path import JobPath, measure_path

if TYPE_CHECKING:
    from collections.abc import Iterator

JOBS: Final = 24
"""Among so many, several have no call of a service."""


def rows(path: JobPath, shape: Shape) -> Iterator[tuple[str, str, str]]:
    """Return what is measured, its value, and what it should be."""
    yield "files that one lone durable job crosses", f"{path.files}", "≤ 30"
    yield "Python calls of it", f"{path.calls} ({path.fewest_calls} to {path.most_calls})", "≤ 500"
    yield "concepts: classes that its path takes part in", f"{len(path.concepts)}", "≤ 35"
    names, unions = len(shape.end_names), len(shape.end_unions)
    yield "names for how an attempt ended / unions of them", f"{names} / {unions}", "12 / 2"
    sizes = ", ".join(str(len(circle)) for circle in shape.circles)
    circles = f"{len(shape.circles)}{sizes and f' (files: {sizes})'}"
    yield "circles of imports, those for types as well", circles, "0"
    yield "files, without __init__.py", f"{shape.files}", "≤ 150"
    yield f"files under {SMALL_LINES} lines", f"{len(shape.small_files)}", "≤ 20"
    docstrings = f"{len(shape.docstrings)}"
    yield "docstrings that begin with Answer, Say, Tell, Hear", docstrings, "0"
    yield "lines of the package", f"{shape.package_lines:,}", "fewer"
    yield "lines of the tests", f"{shape.test_lines:,}", "fewer"


def show_rooms(path: JobPath) -> None:
    """Print files, lines and calls of each folder, then the calls of each file."""
    calls: Counter[str] = Counter()
    for file, times in path.by_file.items():
        calls[folder_of(file)] += times
    print(f"\n{'':32}{'files':>8}{'lines':>8}{'calls':>8}{'crossed':>9}")
    for folder, (files, lines) in folders().items():
        crossed = sum(folder_of(file) == folder for file in path.by_file)
        print(f"{folder:32}{files:8}{lines:8,}{calls[folder]:8}{crossed:9}")
    print()
    for file, times in path.by_file.items():
        print(f"{times:6}  {file}")


def show_details(path: JobPath, shape: Shape) -> None:
    """Print what is behind each number."""
    print("\nhow an attempt ended:", *shape.end_names, sep="\n  ")
    print("\nunions:", *shape.end_unions, sep="\n  ")
    for circle in shape.circles:
        print(f"\ncircle of {len(circle)} files:", *circle, sep="\n  ")
    print("\nsmall files:", *shape.small_files, sep="\n  ")
    print("\ndocstrings:", *shape.docstrings, sep="\n  ")
    print("\nconcepts:", *path.concepts, sep="\n  ")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--by-room", action="store_true", help="files and calls per folder and file"
    )
    parser.add_argument("--details", action="store_true", help="what is behind each number")
    parser.add_argument("--jobs", type=int, default=JOBS, help=f"jobs measured ({JOBS})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    given = parser.parse_args()
    path, shape = measure_path(given.jobs), measure_shape()
    for name, value, aim in rows(path, shape):
        print(f"{name:56}{value:44}{aim}")
    if given.by_room:
        show_rooms(path)
    if given.details:
        show_details(path, shape)
    if given.json is not None:
        found = {"path": {**asdict(path), "files": path.files}, "shape": asdict(shape)}
        given.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()

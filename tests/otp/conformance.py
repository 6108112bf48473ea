"""Make docs/otp/conformance.md from rules.toml and the marks of the tests.

Run as a program, it writes the page. It does not import the tests: it reads their marks from their
syntax trees.
"""

import ast
import sys
import textwrap
import tomllib
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent
TESTS = HERE.parent
PAGE = TESTS.parent / "docs" / "otp" / "conformance.md"
COMMAND = "python tests/otp/conformance.py"
INTRODUCTION = (
    "This page lists OTP's rules of supervision one by one, how they apply here, and the tests that"
    f" prove it. `{COMMAND}` generates the page from `tests/otp/rules.toml` and from the tests that"
    " are marked with the number of a rule. A test checks that it is up to date. To run the tests"
    " of one rule: `pytest tests/otp --rule 28`."
)
MARKS = ("rule", "deviation", "table_row")


def rules_file():
    return tomllib.loads((HERE / "rules.toml").read_text(encoding="utf-8"))


def rules_of(data):
    """Return all rules, in the order of the file."""
    return [rule for section in data["section"] for rule in section["rule"]]


def known(data):
    """Return the names that each mark may have."""
    return {
        "rule": [rule["number"] for rule in rules_of(data)],
        "deviation": [deviation["number"] for deviation in data["deviation"]],
        "table_row": [name for table in data["table"] for name in table["rows"]],
    }


# ---- the marks of the tests -------------------------------------------------------------------


def proofs(folder=TESTS):
    """Return, for each mark and each of its names, the tests that have it, as "file.py::test"."""
    found = {mark: defaultdict(list) for mark in MARKS}
    for file in sorted(folder.rglob("test_*.py"), key=lambda file: file.name):
        text = file.read_text(encoding="utf-8")
        if not any(f".{mark}(" in text for mark in MARKS):
            continue  # most files: to parse all of them takes long
        module = ast.parse(text)
        for test in _tests(module):
            for mark, names in _marks([*_pytestmark(module), *test.decorator_list]):
                for name in names:
                    found[mark][name].append(f"{file.name}::{test.name}")
    return found


def _tests(module):
    functions = (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef))
    return [function for function in functions if function.name.startswith("test_")]


def _pytestmark(module):
    """Yield the marks that apply to all tests of a module."""
    for node in module.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="pytestmark")], value=ast.List(elts=marks)):
                yield from marks
            case ast.Assign(targets=[ast.Name(id="pytestmark")], value=mark):
                yield mark


def _marks(decorators):
    for decorator in decorators:
        match decorator:
            case ast.Call(
                func=ast.Attribute(
                    value=ast.Attribute(value=ast.Name(id="pytest"), attr="mark"), attr=mark
                ),
                args=names,
            ) if mark in MARKS:
                yield mark, [ast.literal_eval(name) for name in names]


# ---- the page ---------------------------------------------------------------------------------


def page(data, found):
    lines = [
        "# Conformance",
        "",
        f"<!-- Made by `{COMMAND}` from tests/otp/rules.toml and the marks of the tests. -->",
        "",
        *textwrap.wrap(INTRODUCTION, 120),
        "",
        *textwrap.wrap(_summary(rules_of(data)), 120),
    ]
    for section in data["section"]:
        lines += ["", f"## {section['title']}", ""]
        rows = [
            [
                str(rule["number"]),
                rule["says"],
                _here(rule),
                _list(found["rule"][rule["number"]]),
            ]
            for rule in section["rule"]
        ]
        lines += _table(["#", "Rule", "Here", "Proven by"], rows)
    for table in data["table"]:
        lines += ["", f"## {table['title']}", ""]
        rows = [
            [f"`{name}`", *cells, _list(found["table_row"][name])]
            for name, cells in table["rows"].items()
        ]
        lines += _table(["", *table["columns"], "Proven by"], rows)
        lines += ["", table["says"]]
    lines += ["", "## Deviations", "", "Where this differs from OTP, and why.", ""]
    rows = [
        [
            f"Δ{deviation['number']}",
            deviation["says"],
            deviation["why"],
            _list(found["deviation"][deviation["number"]]),
        ]
        for deviation in data["deviation"]
    ]
    lines += _table(["", "Deviation", "Why", "Proven by"], rows)
    return "\n".join(lines) + "\n"


def _summary(rules):
    deviating = sum("deviations" in rule for rule in rules)
    instead = sum("instead" in rule for rule in rules)
    return (
        f"Of {len(rules)} rules, {len(rules) - deviating - instead} hold, {deviating} hold with a"
        f" stated [deviation](#deviations), and for {instead} the column *Here* describes what is"
        " done instead."
    )


def _here(rule):
    if "deviations" in rule:
        return f"{', '.join(f'Δ{number}' for number in rule['deviations'])}: {rule['here']}"
    if "instead" in rule:
        return f"instead: {rule['instead']}"
    return f"holds. {rule['here']}" if "here" in rule else "holds"


def _list(tests):
    return "<br>".join(f"`{test}`" for test in tests)


def _table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(rules_file(), proofs()), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")

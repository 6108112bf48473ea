"""The page docs/otp/conformance.md is what rules.toml and the marks of the tests make of it."""

import pytest
from conformance import COMMAND, MARKS, PAGE, known, page, proofs, rules_file, rules_of

DATA = rules_file()


@pytest.fixture(scope="module")
def found():
    """What the marks of all tests say: it is read when it is asked for, and not by each program."""
    return proofs()


def test_the_page_is_up_to_date(found):
    is_up_to_date = PAGE.exists() and PAGE.read_text(encoding="utf-8") == page(DATA, found)

    assert is_up_to_date, f"docs/otp/conformance.md is out of date; write it anew: {COMMAND}"


def test_the_rules_are_numbered_from_1_to_86_and_the_deviations_from_1_to_12():
    assert known(DATA)["rule"] == list(range(1, 87))
    assert known(DATA)["deviation"] == list(range(1, 13))


@pytest.mark.parametrize("mark", MARKS)
def test_each_rule_deviation_and_row_of_a_table_is_proven_by_a_test(mark, found):
    assert [name for name in known(DATA)[mark] if not found[mark][name]] == []


@pytest.mark.parametrize("mark", MARKS)
def test_no_test_is_marked_with_what_does_not_exist(mark, found):
    tests = {name: tests for name, tests in found[mark].items() if name not in known(DATA)[mark]}

    assert tests == {}


def test_a_rule_that_deviates_names_deviations_that_exist_and_says_how():
    deviating = [rule for rule in rules_of(DATA) if "deviations" in rule]

    assert {n for rule in deviating for n in rule["deviations"]} <= set(known(DATA)["deviation"])
    assert [rule["number"] for rule in deviating if "here" not in rule] == []
    assert [rule["number"] for rule in deviating if "instead" in rule] == []


def test_the_rows_of_each_table_have_a_cell_for_each_column():
    for table in DATA["table"]:
        widths = {name: len(cells) for name, cells in table["rows"].items()}
        assert widths == dict.fromkeys(table["rows"], len(table["columns"]))


def test_marks_are_read_as_pytest_reads_them(tmp_path):
    (tmp_path / "test_made_up.py").write_text(
        "import pytest\n\n"
        "pytestmark = pytest.mark.rule(3)\n\n"
        "@pytest.mark.rule(1, 2)\n"
        '@pytest.mark.table_row("permanent")\n'
        "@pytest.mark.parametrize('x', [1])\n"
        "def test_this(x):\n    pass\n\n\n"
        "def test_that():\n    pass\n"
    )

    found = proofs(tmp_path)

    this, that = ["test_made_up.py::test_this"], ["test_made_up.py::test_that"]
    assert dict(found["rule"]) == {1: this, 2: this, 3: this + that}
    assert dict(found["table_row"]) == {"permanent": this}
    assert dict(found["deviation"]) == {}

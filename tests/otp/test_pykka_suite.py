"""pykka's own tests pass with our actors in the place of its own, but for what differs by design.

The tests come from pykka's source distribution; pip fetches it once. Without it these tests are
skipped, and fail where nothing may be left out (CI=true).
"""

import json
import os
from importlib.metadata import version
from pathlib import Path

import pytest
from pykka_suite import differences
from pykka_suite.source import CACHE, Unavailable, fetched, is_ci
from support.programs import run_python

ROOT = Path(__file__).parents[2]
VERSION = version("pykka")


@pytest.fixture(scope="module")
def source():
    return fetched_or_not(CACHE)


def fetched_or_not(cache):
    try:
        return fetched(VERSION, cache)
    except Unavailable as why:
        if is_ci():
            pytest.fail(str(why))
        pytest.skip(str(why))


def outcomes_of(folder, stand_in, outcomes):
    """Run pykka's tests; answer for each "passed", or how it failed."""
    environment = os.environ | {
        "PYKKA_SUITE_STAND_IN": stand_in,
        "PYKKA_SUITE_OUTCOMES": str(outcomes),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
        "PYTEST_ADDOPTS": "",
    }
    # With its own settings: pytest would find ours further up.
    settings = ["-c", "pyproject.toml", "--timeout", "30", "-p", "no:cacheprovider"]
    suite = ("-m", "pytest", *settings, "-p", "pykka_suite.stand_in", "tests", "-q")
    run = run_python(*suite, cwd=folder, env=environment, timeout=100)
    assert outcomes.exists(), f"pykka's tests did not run to their end:\n{run.stdout}{run.stderr}"
    return json.loads(outcomes.read_text(encoding="utf-8"))


def complaints(outcomes, expected, number):
    """Return what of *outcomes* is not as *expected*; nothing if all is well."""
    for test, outcome in outcomes.items():
        if outcome != "passed" and test not in expected:
            yield f"{test} failed, and no difference is meant:\n{outcome}"
    for test in expected:
        if test not in outcomes:
            yield f"{test} is in differences.py, and pykka has no such test"
        elif outcomes[test] == "passed":
            yield f"{test} passes: take it out of differences.py"
    if number is None:
        yield (
            f"differences.py does not know pykka {VERSION}, which has {len(outcomes)} tests;"
            " what to do is in docs/otp/pykka_suite.md"
        )
    elif len(outcomes) != number:
        yield f"pykka {VERSION} has {number} tests, of which {len(outcomes)} ran"


@pytest.mark.parametrize("stand_in", ["GenServer", "supervised"])
def test_pykkas_own_tests_pass_but_for_what_differs_by_design(source, stand_in, tmp_path):
    outcomes = outcomes_of(source, stand_in, tmp_path / "outcomes.json")

    wrong = list(complaints(outcomes, differences.expected(), differences.TESTS.get(VERSION)))

    assert not wrong, "\n\n".join(wrong)


def test_with_pykkas_own_actors_all_of_its_tests_pass(source, tmp_path):
    outcomes = outcomes_of(source, "pykka", tmp_path / "outcomes.json")

    assert list(complaints(outcomes, {}, differences.TESTS.get(VERSION))) == []


# ---- the comparison, and the way to the tests ---------------------------------------------------


@pytest.mark.parametrize(
    ("outcomes", "expected", "number", "words"),
    [
        ({"a": "passed", "b": "boom"}, {"b": "by design"}, 2, []),
        ({"a": "passed", "b": "boom"}, {}, 2, ["b failed, and no difference is meant:\nboom"]),
        ({"a": "passed"}, {"a": "by design"}, 1, ["a passes: take it out of differences.py"]),
        ({"a": "passed"}, {}, 2, ["has 2 tests, of which 1 ran"]),
        ({"a": "passed"}, {}, None, ["does not know pykka"]),
        ({}, {"a": "by design"}, 0, ["a is in differences.py, and pykka has no such test"]),
    ],
)
def test_what_is_not_as_expected_is_told(outcomes, expected, number, words):
    told = list(complaints(outcomes, expected, number))

    assert len(told) == len(words)
    assert all(word in each for word, each in zip(words, told, strict=True))


@pytest.mark.parametrize(
    ("ci", "outcome"),
    [
        ("true", pytest.fail.Exception),
        ("false", pytest.skip.Exception),
        ("", pytest.skip.Exception),
    ],
)
def test_without_the_registry_ci_fails_and_others_skip(monkeypatch, tmp_path, ci, outcome):
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    with pytest.raises(outcome, match=r"(?s)source of pykka .* could not be fetched\. pip said: "):
        fetched_or_not(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_what_was_fetched_is_used_again(monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    there = tmp_path / f"pykka-{VERSION}" / "tests" / "conftest.py"
    there.parent.mkdir(parents=True)
    there.touch()

    assert fetched_or_not(tmp_path) == tmp_path / f"pykka-{VERSION}"


def test_the_page_lists_the_differences():
    page = (ROOT / "docs" / "otp" / "pykka_suite.md").read_text(encoding="utf-8")
    listed = page.partition("<!-- differences -->\n")[2].partition("\n<!-- end -->")[0]

    assert listed == differences.as_markdown()

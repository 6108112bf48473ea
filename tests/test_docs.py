"""Everything shown in README.md and docs/ is run, and every link leads somewhere.

The python blocks of a page are one program, run as a script of its own. A block whose fence says
``python no-run`` is left out.
"""

import re
from pathlib import Path

import pytest
from support.programs import run_python

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def program(page: Path) -> str:
    """Return the page with everything but its python blank, so that line numbers are the page's."""
    lines, fence = [], None
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            fence = line.removeprefix("```").strip() if fence is None else None
            lines.append("")
        else:
            lines.append(line if fence == "python" else "")
    return "\n".join(lines)


def anchors(page: Path) -> set[str]:
    """Return the anchors of the page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    found: list[str] = []
    for heading in headings:
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.append(anchor)
    # The second of equal headings ends in -1.
    return {f"{each}-{n}" if (n := found[:i].count(each)) else each for i, each in enumerate(found)}


WITH_PYTHON = [page for page in PAGES if program(page).strip()]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_the_page_run(page, tmp_path):
    script = tmp_path / f"{page.stem}.py"
    script.write_text(program(page), encoding="utf-8")

    done = run_python(script, cwd=tmp_path)

    assert done.returncode == 0, f"line numbers are those of {page.name}\n{done.stderr}"


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: str(page.relative_to(ROOT))
)
def test_every_link_of_the_page_leads_somewhere(page):
    dead = []
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)

    assert dead == []


def excerpts(page: Path) -> list[tuple[str, str]]:
    """Return the blocks whose first line names a file in examples/: that name, and the rest."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```[^\n]*\n# (examples/\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(name, block.strip("\n")) for name, block in blocks]


WITH_EXCERPTS = [page for page in PAGES if excerpts(page)]


@pytest.mark.parametrize("page", WITH_EXCERPTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_the_page_shows_of_an_example_stands_there(page):
    for name, shown in excerpts(page):
        source = (ROOT / name).read_text(encoding="utf-8").rstrip("\n")
        assert f"\n{shown}\n" in f"\n{source}\n", f"{page.name} shows another {name}"


SHOWING_PERFORM = [
    page
    for page in WITH_PYTHON + WITH_EXCERPTS
    if re.search(r"def perform\(|^@worker", page.read_text(encoding="utf-8"), re.MULTILINE)
    and page.name != "workers.md"
]


@pytest.mark.parametrize("page", SHOWING_PERFORM, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_that_shows_perform_says_that_it_must_be_idempotent(page):
    assert "workers.md#idempotent" in page.read_text(encoding="utf-8")


def linked_from(index: Path) -> set[Path]:
    """Return what the links of *index* lead to."""
    links = LINK.findall(index.read_text(encoding="utf-8"))
    return {(index.parent / link.partition("#")[0]).resolve() for link in links}


def test_every_page_of_a_folder_is_reached_from_the_index_there_and_that_from_the_first():
    docs = ROOT / "docs"
    pages = {page for page in PAGES if page.is_relative_to(docs)}

    for page in pages - {docs / "index.md"}:
        is_index = page.name == "index.md"
        index = (page.parent.parent if is_index else page.parent) / "index.md"
        assert page in linked_from(index), f"{index} has no link to {page.name}"


WIDTH_CHARACTERS = 120


def overlong_lines(text: str) -> list[str]:
    """Return the lines of a page that should have been wrapped.

    Tables, blocks of code and lines without a place to wrap, such as a long link, may be longer.
    """
    prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    bullet = re.compile(r"\s*([-*>]|\d+\.) ")
    return [
        line
        for line in prose.splitlines()
        if len(line) > WIDTH_CHARACTERS
        and not line.startswith("|")
        and " " in bullet.sub("", line).strip()
    ]


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: str(page.relative_to(ROOT))
)
def test_the_lines_of_the_page_wrap_at_one_width(page):
    assert overlong_lines(page.read_text(encoding="utf-8")) == []


def test_a_line_that_should_have_been_wrapped_is_found():
    long, word = "many words " * 12, "word" * 31

    assert overlong_lines(f"# A page\n\n{long}\n\n- {long}\n") == [long, f"- {long}"]
    assert overlong_lines(f"```\n{long}\n```\n\n| {long} |\n\n- {word}\n  {word}\n") == []

"""The changelog is in the order of Keep a Changelog, and says each thing once."""

import re
from pathlib import Path

TEXT = (Path(__file__).parent.parent / "CHANGELOG.md").read_text(encoding="utf-8")
ORDER = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
OPENING_WORDS = 6


def releases() -> list[str]:
    return re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]


def sections(release: str) -> dict[str, str]:
    titled = re.split(r"^### (\w+)\n", release, flags=re.MULTILINE)[1:]
    return dict(zip(titled[::2], titled[1::2], strict=True))


def repeated(entries: list[str]) -> list[str]:
    openings = [" ".join(entry.split()[:OPENING_WORDS]) for entry in entries]
    return [each for number, each in enumerate(openings) if each in openings[:number]]


def test_sections_have_the_titles_of_keep_a_changelog_in_their_order():
    for release in releases():
        titles = re.findall(r"^### (.*)$", release, re.MULTILINE)
        assert titles == [title for title in ORDER if title in titles]


def test_entries_of_a_section_follow_each_other_without_blank_lines():
    for release in releases():
        for title, text in sections(release).items():
            assert text.startswith("\n- "), title
            assert "\n\n" not in text.strip("\n"), title


def test_no_two_entries_of_a_release_begin_with_the_same_words():
    for release in releases():
        assert repeated(re.findall(r"^- (.*)$", release, re.MULTILINE)) == []


def test_two_entries_that_begin_alike_are_found():
    assert repeated(["a b c d e f g", "b c", "a b c d e f h"]) == ["a b c d e f"]

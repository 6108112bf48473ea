"""Every test that docs/production.md names is there, and every row of its table names one."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")
NAME = re.compile(r"`(tests/[\w/]+\.py::test_\w+)`")


def test_every_test_that_the_page_names_can_be_collected():
    named = sorted(set(NAME.findall(PAGE)))

    collected = subprocess.run(  # noqa: S603 - our own tests
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *named],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert collected.returncode == 0, collected.stdout + collected.stderr
    found = {line.partition("[")[0] for line in collected.stdout.splitlines() if "::" in line}
    assert found == set(named)


def test_every_row_of_what_can_go_wrong_names_a_test():
    section = PAGE.partition("## What happens when")[2].partition("\n## ")[0]
    _, _, *rows = [line for line in section.splitlines() if line.startswith("|")]

    assert len(rows) >= 12
    assert [row for row in rows if not NAME.search(row)] == []


def test_every_line_of_a_log_that_the_page_tells_of_is_written_by_the_code():
    section = PAGE.partition("## What to watch")[2].partition("\nTwo numbers")[0]
    lines = [
        line
        for row in section.splitlines()
        if row.startswith("| `")
        for line in re.findall(r"`([^`]*)`", row.split("|")[1])
    ]
    sources = (ROOT / "antq_actors").rglob("*.py")
    code = "\n".join(source.read_text(encoding="utf-8") for source in sources)
    code = re.sub(r"%[rsdg]|%\.1f", "…", re.sub(r'"\s+"', "", code))

    assert len(lines) >= 14
    assert [line for line in lines if line.strip("… #") not in code.replace("#…", "…")] == []

"""What a test that failed prints: enough to see why, and never a flood."""

from typing import Final

MOST_CHARACTERS: Final = 16_000
"""Of one text: a traceback, or what was logged or printed meanwhile."""


def shortened(text, most=MOST_CHARACTERS):
    """Return *text*, or its beginning and its end with how much is left out between them."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n… {len(text) - 2 * half:,} characters left out …\n{text[-half:]}"


def shorten(report):
    """Shorten all that *report* prints."""
    report.sections = [(title, shortened(text)) for title, text in report.sections]
    if report.failed and len(text := str(report.longrepr)) > MOST_CHARACTERS:
        report.longrepr = shortened(text)

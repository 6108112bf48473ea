"""Instants of periodic jobs as people write them."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def at(*moment):
    """Return the instant of a moment in UTC, which is given as for datetime."""
    return (datetime(*moment, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


def next_instants(entry, after, n):
    """Return the *n* instants after the moment *after*, as ISO 8601 without the offset."""
    found = []
    instant = at(*after)
    while len(found) < n:
        instant = entry.next_after(instant)
        found.append((EPOCH + timedelta(microseconds=instant)).isoformat()[:-6])
    return found

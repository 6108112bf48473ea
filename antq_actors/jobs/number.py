"""Numbers as users give them, such as numpy's, as plain Python numbers; a bool is none."""

from __future__ import annotations

import math
import operator
from numbers import Real
from typing import SupportsIndex


def whole(value: object) -> int | None:
    """Return *value* as an int if it is a whole number, else None.

    >>> whole(5), whole(5.0), whole(True)
    (5, None, None)
    """
    if type(value) is int:
        return value
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        return None
    try:
        return operator.index(value)
    except TypeError:  # a bool of numpy, or an array of several numbers
        return None


def real(value: object) -> int | float | None:
    """Return *value* as an int or a float if it is a real number, else None.

    >>> real(5), real(0.5), real("5")
    (5, 0.5, None)
    """
    if type(value) is float:
        return value
    number = whole(value)
    if number is not None or isinstance(value, bool) or not isinstance(value, Real):
        return number
    try:
        return float(value)
    except OverflowError:
        return -math.inf if operator.index(math.floor(value)) < 0 else math.inf

"""What a worker may say about its attempts on a Ray cluster: checked without Ray, which need not be
installed where a worker is defined.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from antq_actors.checks import did_you_mean, real, short_repr

if TYPE_CHECKING:
    from collections.abc import Callable

RayOptions: TypeAlias = tuple[tuple[str, Any], ...]
"""Options of ``ray.remote`` and their values, by name."""

SMALLEST_SHARE: Final = 0.0001
"""Ray counts in ten-thousandths."""

_OURS: Final = {
    "max_retries": "attempts of a job are max_attempts, and Ray repeats none",
    "retry_exceptions": "attempts of a job are max_attempts, and Ray repeats none",
    "name": "Ray shows an attempt under the name of its worker",
    "num_returns": "an attempt has one outcome",
}


def check_ray(value: object) -> RayOptions:
    """Return *value* by name if it says what Ray understands; else raise TypeError or ValueError.

    >>> check_ray({"num_gpus": 0.25, "num_cpus": 1})
    (('num_cpus', 1), ('num_gpus', 0.25))
    """
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        raise TypeError(
            f"ray must map resources to numbers, {{'num_cpus': 1}}, got {short_repr(value)}"
        )
    for name in value:
        if not isinstance(name, str):
            raise TypeError(f"the names in ray are str, got {short_repr(name)}")
        if name in _OURS:
            raise TypeError(f"{name!r} is no option of ray here: {_OURS[name]}")
        if name not in _CHECKS:
            raise TypeError(f"unknown option {name!r} in ray{did_you_mean(name, _CHECKS)}")
    return tuple((name, _CHECKS[name](value[name], name)) for name in sorted(value))


def _amount(value: object, name: str) -> int | float:
    amount = real(value)
    if amount is None:
        raise TypeError(f"{name} in ray must be a number, got {short_repr(value)}")
    if not math.isfinite(amount) or amount < 0:
        raise ValueError(f"{name} in ray must be 0 or more and finite, got {short_repr(value)}")
    if 0 < amount < SMALLEST_SHARE:
        raise ValueError(
            f"{name} in ray is 0 or at least {SMALLEST_SHARE}, got {short_repr(value)}"
        )
    return amount


def _gpus(value: object, name: str) -> int | float:
    amount = _amount(value, name)
    if amount > 1 and amount != int(amount):
        raise ValueError(
            f"{name} in ray must be a share of one GPU or whole GPUs, got {short_repr(value)}"
        )
    return amount


def _bytes(value: object, name: str) -> int:
    amount = _amount(value, name)
    if amount != int(amount):
        raise ValueError(f"{name} in ray must be whole bytes, got {short_repr(value)}")
    return int(amount)


def _resources(value: object, name: str) -> dict[str, int | float]:
    resources = _mapping(value, name)
    for own, option in (("CPU", "num_cpus"), ("GPU", "num_gpus"), ("memory", "memory")):
        if own in resources:
            raise ValueError(f"{own} stands beside {name} in ray: write {{{option!r}: …}}")
    return {each: _amount(amount, f"{name}[{each!r}]") for each, amount in resources.items()}


def _labels(value: object, name: str) -> dict[str, str]:
    labels = _mapping(value, name)
    for label in labels.values():
        _text(label, name)
    return labels


def _mapping(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise TypeError(
            f"{name} in ray must be a mapping from names (str), got {short_repr(value)}"
        )
    return dict(value)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} in ray must be text (str), got {short_repr(value)}")
    return value


def _strategy(value: object, name: str) -> str:
    strategy = _text(value, name)
    if strategy not in ("DEFAULT", "SPREAD"):
        raise ValueError(f"{name} in ray must be 'DEFAULT' or 'SPREAD', got {short_repr(value)}")
    return strategy


_CHECKS: Final[Mapping[str, Callable[[object, str], Any]]] = {
    "num_cpus": _amount,
    "num_gpus": _gpus,
    "memory": _bytes,
    "resources": _resources,
    "accelerator_type": _text,
    "label_selector": _labels,
    "runtime_env": _mapping,
    "scheduling_strategy": _strategy,
}

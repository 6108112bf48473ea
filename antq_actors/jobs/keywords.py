"""Which keywords a function takes: those are the arguments of its jobs.

What is called is what decorators made of the function. One that passes on whatever it is given may
supply arguments itself, or take some out, so behind it nothing can be demanded; only a name that
looks misspelt is found.
"""

from __future__ import annotations

import inspect
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any, Final

from antq_actors.checks import did_you_mean
from antq_actors.jobs.job_parameter import job_parameter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping


_VARIABLE: Final = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


class Keywords:
    """The keywords of *function*.

    The parameter that is given the job is none of them. Raises TypeError for a method, for
    positional-only and ``*`` parameters, and for two that are given the job.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        called = inspect.signature(function, follow_wrapped=False)
        self._call = f"{function.__qualname__}{_shown(function, called)}"
        _refuse_method(function, called)
        self.job = job_parameter(function)
        without = None if self.job is None else self.job.name
        self._called = _by_keyword(function, called, without)
        self._behind = _behind(function, without)

    def check(self, args: Mapping[str, Any]) -> None:
        """Raise TypeError, naming what is missing or unexpected, if *args* do not fit."""
        if self.job is not None and self.job.name in args:
            raise TypeError(
                f"{self._call} is given its job as {self.job.name!r} when it is performed;"
                " that is no argument, so leave it out"
            )
        try:
            self._called.bind(**args)
        except TypeError as error:
            # Of a misspelt argument, bind reports only that the right one is missing.
            known = self._called.parameters
            if known and not _takes_any(self._called):
                self._refuse_unexpected(args, known)
            raise TypeError(f"{self._call}: {error}") from None
        if self._behind is not None and not self._behind.keys() >= args.keys():
            self._refuse_misspelt(args, self._behind)

    def names(self) -> Collection[str]:
        """Return the names of the arguments, as far as they are known."""
        known = self._called.parameters if self._behind is None else self._behind
        return [name for name, each in known.items() if each.kind not in _VARIABLE]

    def may_have(self, name: str) -> bool:
        """Return whether an argument can have this *name*, as far as that is known."""
        return self._behind is None or name in self._behind

    def check_names(self, names: Collection[str], option: str) -> None:
        """Raise ValueError if *option* names an argument that no job of the function can have."""
        known = self._called.parameters
        if _takes_any(self._called):
            return
        for name in names:
            if name not in known:
                hint = did_you_mean(name, known) if known else ""
                raise ValueError(
                    f"{option} names {name!r}, which is no argument of {self._call}{hint}"
                )

    def _refuse_unexpected(self, args: Collection[str], known: Collection[str]) -> None:
        for name in args:
            if name not in known:
                hint = did_you_mean(name, known)
                raise TypeError(f"{self._call} has no argument {name!r}{hint}") from None

    def _refuse_misspelt(self, args: Collection[str], known: Collection[str]) -> None:
        missing = [name for name in known if name not in args]
        for name in args:
            if name not in known and missing:
                hint = did_you_mean(name, missing)
                if hint.endswith("?"):
                    raise TypeError(f"{self._call} has no argument {name!r}{hint}")


def _shown(function: Callable[..., Any], called: Signature) -> Signature:
    """Return the signature of what is decorated, which says more than ``(*args, **kwargs)``."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # of something in C
        return called


def _refuse_method(function: Callable[..., Any], called: Signature) -> None:
    first = next(iter(_shown(function, called).parameters), None)
    if first in {"self", "cls"} and "." in function.__qualname__.rpartition("<locals>.")[2]:
        raise TypeError(
            f"@worker is for functions, and {function.__qualname__} is a method, which a job cannot"
            f" call without its {first!r}; write a function, or a subclass of Worker"
        )


def _by_keyword(function: Callable[..., Any], called: Signature, without: str | None) -> Signature:
    """Return *called* without the parameter *without*, and without ``*args`` of a decorator.

    It takes those for whom it calls.
    """
    is_decorated = hasattr(function, "__wrapped__")
    parameters = []
    for parameter in called.parameters.values():
        if parameter.name == without:
            continue
        if parameter.kind is Parameter.VAR_POSITIONAL and is_decorated:
            continue
        if parameter.kind in (Parameter.POSITIONAL_ONLY, Parameter.VAR_POSITIONAL):
            raise TypeError(
                f"worker {function.__qualname__}: the parameter '{parameter}' cannot be given by"
                " keyword, and the keywords are the arguments of a job; make it an ordinary one"
            )
        parameters.append(parameter)
    return called.replace(parameters=parameters)


def _behind(function: Any, without: str | None) -> dict[str, Parameter] | None:
    """Return all parameters that decorators may pass keywords on to; None: any name may be one."""
    known: dict[str, Parameter] = {}
    while True:
        try:
            called = inspect.signature(function, follow_wrapped=False)
        except (TypeError, ValueError):
            return None
        known.update({name: each for name, each in called.parameters.items() if name != without})
        if not _takes_any(called):
            return known
        if not hasattr(function, "__wrapped__"):
            return None
        function = function.__wrapped__


def _takes_any(called: Signature) -> bool:
    return any(each.kind is Parameter.VAR_KEYWORD for each in called.parameters.values())

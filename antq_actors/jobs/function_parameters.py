"""The parameters of a function worker: the keywords that are arguments, and the one for the job.

The job goes to the parameter that is annotated `Job`. An annotation may be text, and name what
exists only while types are checked. So each one is looked at alone, and no further than it takes to
see whether it says `Job`: what else it names is neither needed nor run.

What is called is what decorators made of the function. One that passes on whatever it is given may
supply arguments itself, or take some out, so behind it nothing can be demanded; only a name that
looks misspelt is found.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import types
import typing
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Annotated, Any, Final, ForwardRef, NamedTuple, Union
from typing import get_args as args_of
from typing import get_origin as origin_of

from antq_actors.checks import did_you_mean
from antq_actors.jobs.job import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

_OURS: Final = "antq_actors"
_FORMS: Final = ("Annotated", "Optional", "Union")
_UNKNOWN: Final = object()
_VARIABLE: Final = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


class JobParameter(NamedTuple):
    """The parameter that is given the job."""

    name: str
    is_positional: bool
    """Whether it cannot be given by its name: then it is the first one."""


def job_parameter(function: Callable[..., Any]) -> JobParameter | None:
    """Return the parameter of *function* that is annotated `Job`, or `Job | None`, if it has one.

    Of a decorated function, what it decorates counts as well, if the outermost one passes it on.
    Raises TypeError for two of them.
    """
    called = inspect.signature(function, follow_wrapped=False).parameters
    passes_on = any(each.kind is Parameter.VAR_KEYWORD for each in called.values())
    found: dict[str, JobParameter] = {}
    for each, parameter in _annotated(function):
        name = parameter.name
        if not (name in called or passes_on) or not _Annotations(each, function).is_job(parameter):
            continue
        outermost = called.get(name, parameter)
        found.setdefault(name, JobParameter(name, outermost.kind is Parameter.POSITIONAL_ONLY))
    if len(found) > 1:
        both = " and ".join(map(repr, found))
        raise TypeError(
            f"worker {function.__qualname__}: the parameters {both} are both annotated Job, and a"
            " job is given once; leave one out"
        )
    return next(iter(found.values()), None)


def _annotated(function: Any) -> Iterator[tuple[Any, Parameter]]:
    """Yield *function* and all that it decorates, the outermost first, with their parameters."""
    while True:
        try:
            parameters = inspect.signature(function, follow_wrapped=False).parameters.values()
        except (TypeError, ValueError):  # of something in C
            return
        for parameter in parameters:
            if parameter.annotation is not Parameter.empty and parameter.kind not in _VARIABLE:
                yield function, parameter
        if not hasattr(function, "__wrapped__"):
            return
        function = function.__wrapped__


class _Annotations:
    """What the names in an annotation of *function* mean.

    `functools.wraps` copies annotations as they are, so those of a decorator may be text of the
    module of what it decorates.
    """

    def __init__(self, function: Any, outermost: Any) -> None:
        self._functions = [inspect.unwrap(outermost), function]

    def is_job(self, parameter: Parameter) -> bool:
        """Return whether *parameter* is annotated `Job`, in any of the ways to say so."""
        return self._says_job(parameter.annotation)

    def _says_job(self, annotation: object) -> bool:
        if isinstance(annotation, ForwardRef):
            annotation = annotation.__forward_arg__
        if isinstance(annotation, str):
            return self._text_says_job(annotation)
        origin = origin_of(annotation)
        if origin is Annotated:
            return self._says_job(args_of(annotation)[0])
        if origin is Union or origin is types.UnionType:
            others = [each for each in args_of(annotation) if each is not type(None)]
            return len(others) == 1 and self._says_job(others[0])
        if type(annotation).__name__ == "TypeAliasType":  # Python 3.12's `type`
            return self._says_job(_attribute(annotation, "__value__"))
        return annotation is Job

    def _text_says_job(self, text: str) -> bool:
        try:
            return self._node_says_job(ast.parse(text.strip(), mode="eval").body)
        except (SyntaxError, ValueError, RecursionError):
            return False

    def _node_says_job(self, node: ast.expr) -> bool:
        match node:
            case ast.Name() | ast.Attribute():
                meant = self._meaning(node)
                return self._says_job(meant) and not isinstance(meant, str)
            case ast.Constant(str(text)):
                return self._text_says_job(text)
            case ast.BinOp(left, ast.BitOr(), right):
                return self._one_says_job([left, right])
            case ast.Subscript(of, content):
                parts = content.elts if isinstance(content, ast.Tuple) else [content]
                form = self._form(of)
                if form == "Annotated":
                    return self._node_says_job(parts[0])
                return form in ("Optional", "Union") and self._one_says_job(parts)
        return False

    def _form(self, node: ast.expr) -> str:
        """Return the name of a typing form in an annotation, such as ``Optional``, even renamed."""
        meant = self._meaning(node)
        known = next((form for form in _FORMS if getattr(typing, form) is meant), None)
        return known or ast.unparse(node).rpartition(".")[2]

    def _one_says_job(self, nodes: list[ast.expr]) -> bool:
        """Return whether all but None of these parts of a parameter's annotation mean `Job`."""
        others = [each for each in nodes if not _is_none(each)]
        return bool(others) and all(map(self._node_says_job, others))

    def _meaning(self, node: ast.expr) -> object:
        """Return the object that a dotted name in an annotation means, as far as that is known."""
        names = ast.unparse(node).split(".")
        for function in self._functions:
            value = _variable(function, names[0])
            for name in names[1:]:
                value = _attribute(value, name)
            if value is not _UNKNOWN:
                return value
        return Job if self._is_imported_job(names) else None

    def _is_imported_job(self, names: list[str]) -> bool:
        """Return whether a dotted name in an annotation is our `Job`, imported for typing only."""
        function = self._functions[0]
        imported = _imported_names(getattr(function, "__code__", None))
        origin = imported.get(names[0])
        if origin is None:
            return not imported and ".".join(names) in ("Job", f"{_OURS}.Job")
        dotted = ".".join([origin, *names[1:]])
        return dotted.partition(".")[0] == _OURS and dotted.endswith(".Job")


def _variable(function: Any, name: str) -> object:
    """Return the value of the variable *name* where a worker's *function* is defined."""
    code = getattr(function, "__code__", None)
    closure = getattr(function, "__closure__", None) or ()
    for variable, cell in zip(getattr(code, "co_freevars", ()), closure, strict=False):
        if variable == name:
            try:
                return cell.cell_contents
            except ValueError:  # not yet assigned
                return _UNKNOWN
    return getattr(function, "__globals__", {}).get(name, _UNKNOWN)


def _attribute(value: object, name: str) -> object:
    try:
        return _UNKNOWN if value is _UNKNOWN else getattr(value, name, _UNKNOWN)
    except Exception:  # noqa: BLE001 - a module's own __getattr__ may raise anything
        return _UNKNOWN


def _imported_names(code: types.CodeType | None) -> Mapping[str, str]:
    """Read the source of a worker's *code*; return what it imports, by its names there, or {}.

    Also what is imported only ``if TYPE_CHECKING``, which is why it is looked for here.
    """
    source = "" if code is None else "".join(linecache.getlines(code.co_filename))
    try:
        module = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    names: dict[str, str] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom):
            beginning = f"{'.' * node.level}{node.module or ''}"
            names |= {each.asname or each.name: f"{beginning}.{each.name}" for each in node.names}
        elif isinstance(node, ast.Import):
            for each in node.names:
                first = each.name.partition(".")[0]
                names[each.asname or first] = each.name if each.asname else first
    return names


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


class FunctionKeywords:
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
        named = self._called.parameters
        self._needed = {name for name, each in named.items() if each.default is Parameter.empty}
        self._known = frozenset(() if _takes_any(self._called) else named)

    def check(self, args: Mapping[str, Any]) -> None:
        """Raise TypeError, naming what is missing or unexpected, if a job's *args* do not fit."""
        if self._needed <= args.keys() <= self._known:
            return  # nearly always; what is left costs much more
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
        """Return the names of the function's arguments, as far as they are known."""
        known = self._called.parameters if self._behind is None else self._behind
        return [name for name, each in known.items() if each.kind not in _VARIABLE]

    def may_have(self, name: str) -> bool:
        """Return whether the function may take an argument *name*; True while that is not known."""
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
    """Return the signature of a decorated worker, which says more than ``(*args, **kwargs)``."""
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
    """Return *called*, the signature of a worker's function, as its jobs' arguments must fit it.

    That is without the parameter *without*, and without the ``*args`` of decorators, which take
    whatever the decorated function takes.
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
    """Return all parameters that a worker's decorators may pass keywords to; None: of any name."""
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

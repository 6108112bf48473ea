"""Which parameter of a function worker is given the job: the one that is annotated `Job`.

An annotation may be text, and name what exists only while types are checked. So each one is looked
at alone, and no further than it takes to see whether it says `Job`: what else it names is neither
needed nor run.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import types
import typing
from inspect import Parameter
from typing import TYPE_CHECKING, Annotated, Any, Final, ForwardRef, NamedTuple, Union
from typing import get_args as args_of
from typing import get_origin as origin_of

from antq_actors.jobs.job import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

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
        if not (name in called or passes_on) or not _Names(each, function).is_job(parameter):
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
    """Yield each function that is decorated, the outermost first, with its annotated parameters."""
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


class _Names:
    """What the names in an annotation of *function* mean.

    `functools.wraps` copies annotations as they are, so those of a decorator may be text of the
    module of what it decorates.
    """

    def __init__(self, function: Any, outermost: Any) -> None:
        self._functions = [inspect.unwrap(outermost), function]

    def is_job(self, parameter: Parameter) -> bool:
        """Whether *parameter* is annotated `Job`, in any of the ways to say so."""
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
        """Return the name of a special form such as ``Optional``, also where it has another one."""
        meant = self._meaning(node)
        known = next((form for form in _FORMS if getattr(typing, form) is meant), None)
        return known or ast.unparse(node).rpartition(".")[2]

    def _one_says_job(self, nodes: list[ast.expr]) -> bool:
        """Whether all but None of *nodes* say `Job`."""
        others = [each for each in nodes if not _is_none(each)]
        return bool(others) and all(map(self._node_says_job, others))

    def _meaning(self, node: ast.expr) -> object:
        """Return what a dotted name means, as far as that is known while the program runs."""
        names = ast.unparse(node).split(".")
        for function in self._functions:
            value = _variable(function, names[0])
            for name in names[1:]:
                value = _attribute(value, name)
            if value is not _UNKNOWN:
                return value
        return Job if self._is_imported_job(names) else None

    def _is_imported_job(self, names: list[str]) -> bool:
        """Whether a dotted name that means nothing here is imported from us for type checkers."""
        function = self._functions[0]
        imported = _imported_names(getattr(function, "__code__", None))
        origin = imported.get(names[0])
        if origin is None:
            return not imported and ".".join(names) in ("Job", f"{_OURS}.Job")
        dotted = ".".join([origin, *names[1:]])
        return dotted.partition(".")[0] == _OURS and dotted.endswith(".Job")


def _variable(function: Any, name: str) -> object:
    """Return what *name* means where *function* is defined."""
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
    """Return what the source of *code* imports, by the names that it has there; {} without source.

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

"""What ``dir()`` and ``help()`` show of the public modules and classes.

A string below a field explains it to readers of the source, to editors, and in the reference.
Python does not keep it. So the docstring of the class adds it when it is read, from the source:
importing the class costs nothing more.
"""

# ruff: noqa: PLC0415 - every command imports this module, and few need the source

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    import ast
    from collections.abc import Iterator, Mapping

T = TypeVar("T")

_INDENT: Final = "    "
_WIDTH: Final = 88

NOT_SHOWN: Final = {"is shown": False}
"""The ``metadata`` of a field of a dataclass that is no key of its JSON."""


def explain_fields(cls: type[T]) -> type[T]:
    """Have the docstring of *cls* list its fields, read from the source: a class decorator."""
    cls.__doc__ = _Docstring(cls.__doc__ or "")
    return cls


class _Docstring(str):
    """The docstring of a class, completed each time it is looked at."""

    __slots__ = ()

    def __get__(self, _: object, cls: type) -> str:
        import inspect

        return "\n".join([inspect.cleandoc(self), "", "Fields:", "", *_fields(cls)])


def _fields(cls: type) -> Iterator[str]:
    import ast
    import textwrap

    for field, text in _explained(cls):
        value = "" if field.value is None else f" = {ast.unparse(field.value)}"
        yield f"{ast.unparse(field.target)}: {ast.unparse(field.annotation)}{value}"
        yield from textwrap.wrap(
            " ".join(text.split()), _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT
        )


def _explained(cls: type) -> Iterator[tuple[ast.AnnAssign, str]]:
    """Yield the fields of a documented *cls* with the strings below them in its source file."""
    import ast
    import inspect
    import textwrap

    try:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    for statement, below in zip(body, [*body[1:], ast.Pass()], strict=True):
        if isinstance(statement, ast.AnnAssign):
            yield statement, _text_of(below)


def _text_of(statement: ast.stmt) -> str:
    """Return the string that a statement below a documented field is; "" for any other."""
    import ast

    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return str(statement.value.value)
    return ""


def shown(module: Mapping[str, Any], *more: str) -> list[str]:
    """Return what ``dir()`` of a public *module* shows: ``__all__``, *more*, and what Python sets.

    >>> shown({"__all__": ["open"], "os": None, "__doc__": ""}, "errors")
    ['__all__', '__doc__', 'errors', 'open']
    """
    of_python = (name for name in module if name.startswith("__") and name.endswith("__"))
    return sorted({*module["__all__"], *more, *of_python})

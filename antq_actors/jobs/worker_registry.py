"""The workers defined in this process, by their stored names, and those that may still come.

Entered where a worker is defined, read where a job is run. They are held for good: a class made
inside a function must still answer for its jobs after the function returned.

A job knows its worker by its stored name alone, so two definitions may not share one. The same
definition may run again, though: its module is reloaded, its cell is run again, its function is
called again. Then the new worker takes the name over.

A script may start its application above its classes. What waited in the store is claimed at once,
and must not fail because its class statement has not been reached: it waits until ``__main__`` has
defined its worker, or has nothing more to define. An interactive one, at a prompt or in a notebook,
always has.
"""

from __future__ import annotations

import dis
import functools
import inspect
import logging
import sys
import threading
from contextlib import contextmanager
from types import CodeType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias
from weakref import WeakValueDictionary

from antq_actors.checks import short_repr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType


DefinedWorker: TypeAlias = Any
"""A class or function that jobs can name: `AnyWorker`, which is defined above this file."""


class WorkerOrigin(NamedTuple):
    """What defined a worker."""

    qualname: str
    module: str
    code: CodeType | None
    """The code of a function, or the code that ran the class statement."""
    line: int
    namespace: dict[str, Any]
    """The globals of its module, and …"""
    spec: object
    """… its ``__spec__`` at that time: both are the same until the module is run again."""

    @property
    def path(self) -> str:
        """The stored name that the worker has by default."""
        return default_name(self.module, self.qualname)

    @property
    def file(self) -> str:
        """The file of the code that defined the worker."""
        return "?" if self.code is None else self.code.co_filename

    def __str__(self) -> str:
        return f"{self.path} ({self.file}:{self.line})"


class _Definition(NamedTuple):
    worker: DefinedWorker
    origin: WorkerOrigin


_defined: Final[dict[str, DefinedWorker]] = {}

# Looked up three times for each job, so there is no function around it.
defined: Final[Callable[[str], DefinedWorker | None]] = _defined.get
"""Return the worker last defined under a name in this process, or None."""

_definitions: Final[dict[str, _Definition]] = {}
_replaced: Final[WeakValueDictionary[int, DefinedWorker]] = WeakValueDictionary()
"""Workers whose jobs another one would run, by their ids: a class need not be hashable."""

# IPython, Jupyter and the interactive interpreter name each cell anew.
_CELLS: Final = ("<ipython-input-", "<python-input-", "<stdin>", "<console>")
_JUPYTER_FOLDER: Final = "ipykernel_"
_LAMBDA: Final = "<lambda>"
_MAKES_CLASSES: Final = frozenset({"__init_subclass__", "__new__", "__init__", "__call__"})
_UNPICKLES: Final = "cloudpickle.cloudpickle"


def default_name(module: str, qualname: str) -> str:
    """Return the stored name of a worker that is defined as *qualname* in *module*.

    A spawned child of multiprocessing knows its parent's script as ``__mp_main__``; what is
    defined there is the same worker.
    """
    return f"{'__main__' if module == '__mp_main__' else module}:{qualname}"


def register(worker: DefinedWorker, origin: WorkerOrigin) -> None:
    """Register *worker* for the jobs stored under its name, and under its path if that is free.

    Raises ValueError when another definition has the name. Then nothing is changed.
    """
    name, new = worker.antq_name, _Definition(worker, origin)
    earlier = _current(name)
    if earlier is not None and not _is_same(earlier.origin, origin):
        raise ValueError(_both(name, earlier.origin, origin))
    if earlier is not None and _hides(new, earlier):
        _replaced[id(earlier.worker)] = earlier.worker
    for each in {name, origin.path}:
        holder = _current(each)
        if each == name or holder is None or _may_go(holder, each, origin):
            _defined[each] = worker
            _definitions[each] = new


def define(name: str, worker: DefinedWorker) -> None:
    """Register *worker* for the jobs stored under *name*, as another process decided."""
    _definitions.pop(name, None)
    _replaced.pop(id(worker), None)
    _defined[name] = worker


def names() -> list[str]:
    """Return the names under which workers are defined in this process."""
    return list(_defined)


def workers() -> list[DefinedWorker]:
    """Return the workers that are defined in this process, each once."""
    return list({id(worker): worker for worker in list(_defined.values())}.values())


def is_made_by_a_function(worker: DefinedWorker) -> bool:
    """Return whether *worker* is a class that a function made by calling ``type``, say."""
    definition = _current(worker.antq_name)
    if definition is None or definition.worker is not worker or not isinstance(worker, type):
        return False
    code = definition.origin.code
    return code is not None and bool(code.co_flags & inspect.CO_OPTIMIZED)


def check_current(worker: DefinedWorker) -> None:
    """Raise ValueError when a later definition would run the jobs of *worker*.

    Raises TypeError for what is no worker.
    """
    name: str | None = getattr(worker, "antq_name", None)
    if name is None or hasattr(type(worker), "antq_name"):  # `Worker`, or an instance of a subclass
        raise not_a_worker(worker)
    if _defined.get(name) is worker or _replaced.get(id(worker)) is not worker:
        return
    later = _definitions.get(name)
    where = "" if later is None else f", at {later.origin.file}:{later.origin.line},"
    raise ValueError(
        f"the worker {name!r} was replaced by a later definition of that name{where} which would"
        " run its jobs; give each definition a name of its own: name='…'"
    )


def not_a_worker(thing: object) -> TypeError:
    """Return the error about a *thing* that is no worker."""
    return TypeError(
        f"{short_repr(thing)} is no worker; give a subclass of Worker or a function decorated"
        " with @worker"
    )


def origin_of_function(function: Callable[..., Any]) -> WorkerOrigin:
    """Return what defined the function of a worker; of a decorated one, what it decorates."""
    inner = inspect.unwrap(function)
    namespace = getattr(inner, "__globals__", {})
    code = getattr(inner, "__code__", None)
    line = 0 if code is None else code.co_firstlineno
    spec = namespace.get("__spec__")
    return WorkerOrigin(function.__qualname__, function.__module__, code, line, namespace, spec)


def origin_of_class(cls: type) -> WorkerOrigin | None:
    """Return what defines the worker class *cls* at this moment, None while it is unpickled."""
    called_by = None
    for frame in _frames():
        if frame.f_globals.get("__name__") == _UNPICKLES:
            return None
        if frame.f_code.co_name in _MAKES_CLASSES:
            continue
        called_by = called_by or frame
        if frame.f_globals.get("__name__") == cls.__module__:
            called_by = frame
            break
    code, line = (None, 0) if called_by is None else (called_by.f_code, called_by.f_lineno)
    module = sys.modules.get(cls.__module__)
    if called_by is not None and called_by.f_globals.get("__name__") == cls.__module__:
        namespace = called_by.f_globals
    else:
        namespace = {} if module is None else vars(module)
    spec = namespace.get("__spec__")
    return WorkerOrigin(cls.__qualname__, cls.__module__, code, line, namespace, spec)


def origin_before(name: str, cls: type, origin: WorkerOrigin) -> WorkerOrigin:
    """Return *origin* with the place of the worker class *name*, if *cls* is that, made again."""
    earlier = _current(name)
    if earlier is None or earlier.worker.__module__ != cls.__module__:
        return origin
    qualname = earlier.origin.qualname
    is_it = qualname.rpartition(".")[2] == cls.__name__
    return origin._replace(qualname=qualname) if is_it else origin


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - only it knows who defines a class
    while frame is not None:
        yield frame
        frame = frame.f_back


def _current(name: str) -> _Definition | None:
    definition = _definitions.get(name)
    if definition is None or _defined.get(name) is not definition.worker:
        return None
    return definition


def _may_go(holder: _Definition, path: str, origin: WorkerOrigin) -> bool:
    """Return whether a worker has the name *path* only because it was defined there once."""
    return holder.worker.antq_name != path or _is_same(holder.origin, origin)


def _is_same(earlier: WorkerOrigin, new: WorkerOrigin) -> bool:
    """Return whether the definition *new* of a worker is *earlier*, run again."""
    if _is_run_again(earlier, new):
        return True
    if earlier.path != new.path:
        # A module that is imported under two names, such as a script by one of its own modules.
        is_in_file = earlier.file == new.file and not new.file.startswith("<")
        return is_in_file and earlier.qualname == new.qualname and earlier.module != new.module
    if not new.qualname.endswith(_LAMBDA):
        return True
    # All lambdas of a module have one path: what tells them apart is where they are written.
    is_in_file = earlier.file == new.file or (_is_cell(earlier.file) and _is_cell(new.file))
    return is_in_file and _positions(earlier) == _positions(new)


def _is_run_again(earlier: WorkerOrigin, new: WorkerOrigin) -> bool:
    """Return whether a later run of the module that defined the worker *earlier* defines *new*."""
    return earlier.module == new.module and (
        earlier.namespace is not new.namespace or earlier.spec is not new.spec
    )


def _hides(new: _Definition, earlier: _Definition) -> bool:
    """Return whether someone who does not mean the worker *new* can still enqueue *earlier*.

    What a module or a cell defines is meant by its name. Not so what the same code makes again and
    again, in a function or a loop: each may be of another closure.
    """
    if getattr(earlier.worker, "function", earlier.worker) is getattr(new.worker, "function", None):
        return False
    if "<locals>" in earlier.origin.qualname:
        return True
    code = earlier.origin.code
    return (
        code is not None
        and code is new.origin.code
        and not _is_run_again(earlier.origin, new.origin)
    )


def _is_cell(file: str) -> bool:
    return file.startswith(_CELLS) or _JUPYTER_FOLDER in file


def _positions(origin: WorkerOrigin) -> tuple[Any, ...]:
    code = origin.code
    return () if code is None else (code.co_code, code.co_consts, *code.co_positions())


def _both(name: str, earlier: WorkerOrigin, new: WorkerOrigin) -> str:
    return (
        f"two workers have the stored name {name!r}: {earlier} and {new}. Jobs know their worker"
        " by that name alone, so the second would run those of the first; give it another one:"
        " name='…'"
    )


log: Final = logging.getLogger("antq_actors.jobs")

SHORTEST_WAIT_SECONDS: Final = 0.05
LONGEST_WAIT_SECONDS: Final = 30.0

_MAIN: Final = ("__main__", "__mp_main__")

_awaited: Final[dict[str, float]] = {}
"""Since when jobs wait for a worker, on the monotonic clock."""

_in_run: Final[list[bool]] = []


def may_define(name: str) -> bool:
    """Return whether ``__main__`` may still define the worker with this stored name."""
    if _in_run:
        return False
    if name.startswith("__main__:") and (hasattr(sys, "ps1") or sys.flags.interactive):
        return True
    return any(_comes_to(frame.f_code, frame.f_lasti, name) for frame in _main_frames())


def wait_seconds(name: str, job_id: int, now: float) -> float:
    """Return for how long a job waits until its undefined worker is looked for again.

    As long as that has been awaited, within limits: so a script of a second costs it little, and
    many jobs that wait for long take little of their queue's time. *now*: on the monotonic clock.
    """
    since = _awaited.get(name)
    if since is None:
        since = _awaited[name] = now
        log.warning(
            "job #%d waits for __main__ to define its worker %r; start the application below its"
            " workers, and no job has to wait",
            job_id,
            name,
        )
    return min(max(now - since, SHORTEST_WAIT_SECONDS), LONGEST_WAIT_SECONDS)


@contextmanager
def nothing_more_defined() -> Iterator[None]:
    """Note, for a ``with`` block, that ``__main__`` waits there and defines no more workers."""
    _in_run.append(True)
    try:
        yield
    finally:
        _in_run.pop()


def _main_frames() -> Iterator[FrameType]:
    """Return the stack frames of ``__main__``: its own code, and its functions that run."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001
    while frame is not None:
        if frame.f_globals.get("__name__") in _MAIN:
            yield frame
        frame = frame.f_back


@functools.lru_cache(maxsize=64)
def _comes_to(code: CodeType, position: int, name: str) -> bool:
    """Return whether *code* names the worker, or what it is defined in, after this *position*."""
    module, _, qualname = name.partition(":")
    wanted = set()
    if module == "__main__":
        wanted.add(qualname.partition(".")[0])
        inner = f"{code.co_qualname}.<locals>."
        if qualname.startswith(inner):
            wanted.add(qualname.removeprefix(inner).partition(".")[0])
    for instruction in dis.get_instructions(code):
        if instruction.offset > position:
            value = instruction.argval
            if isinstance(value, CodeType):
                if _has_constant(value, name):
                    return True
            elif value == name or not wanted.isdisjoint(_names_in(value)):
                return True
    return False


def _names_in(value: object) -> tuple[object, ...]:
    # Of two variables, where one instruction handles both.
    if isinstance(value, tuple) and all(isinstance(each, str) for each in value):
        return value
    return (value,) if isinstance(value, str) else ()


def _has_constant(code: CodeType, text: str) -> bool:
    return any(
        _has_constant(each, text) if isinstance(each, CodeType) else each == text
        for each in code.co_consts
    )

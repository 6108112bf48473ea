"""What an application is told at its start, checked before anything starts."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from antq_actors.app import signing_keys
from antq_actors.app.crons import check_crons
from antq_actors.checks import LONGEST_SECONDS, did_you_mean, real, short_repr, to_seconds, whole
from antq_actors.errors import ConfigError
from antq_actors.flow.cron import Cron, Every
from antq_actors.flow.cron_options import JOB_OPTIONS, OWN_OPTIONS, SCHEDULES
from antq_actors.flow.limit_options import Concurrency, RateLimit
from antq_actors.introspection import explain_fields
from antq_actors.jobs.limits import check_limits, check_rate_limit
from antq_actors.jobs.middleware import Pipeline, check_middleware
from antq_actors.jobs.options import (
    LONGEST_TIMEOUT_SECONDS,
    Options,
    check_executor,
    check_queue_name,
    job_options,
)
from antq_actors.queues.messages import check_concurrency, check_global_concurrency
from antq_actors.storage.format.cipher import cipher_of
from antq_actors.storage.format.encoding import Signer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from antq_actors.app.clock import TestClock
    from antq_actors.app.crons import Entry
    from antq_actors.jobs.middleware import Middleware
    from antq_actors.jobs.options import ExecutorName
    from antq_actors.storage.format.cipher import Cipher

T = TypeVar("T")


class WrongSetting(ConfigError, TypeError):
    """A setting that does not exist, or has a value of the wrong type."""


@explain_fields
@dataclass(frozen=True, slots=True)
class QueueConfig:
    """How one queue works on this node.

    Raises TypeError for a value of the wrong type, ConfigError (a ValueError) for one out of
    range; each names the setting.

    >>> QueueConfig(concurrency=0)
    Traceback (most recent call last):
        ...
    antq_actors.errors.ConfigError: concurrency must be at least 1, got 0; to stop a queue, pause it
    """

    concurrency: int = 5
    """Jobs performed at once."""
    check_interval: float | timedelta = 5.0
    """Longest time between two looks for jobs; a new job never waits for it. Kept as seconds."""
    executor: ExecutorName | None = None
    """What runs ``perform`` of workers that name none: thread, async, process or ray. None: the
    event loop for coroutines, else a thread."""
    max_jobs: int | None = None
    """Jobs after which an OS process of this queue is replaced; None: never."""
    max_memory: int | None = None
    """Bytes of memory above which an OS process of this queue is replaced after its job."""
    max_abandoned: int = 20
    """Threads of timed-out or cancelled jobs that do not end, above which nothing is claimed."""
    global_concurrency: int | None = None
    """Jobs performed at once in all processes; None: the sum of what each may."""
    rate_limit: RateLimit | None = None
    """How many of its jobs start in a span of time, in all processes; None: any number."""
    limits: Sequence[Concurrency | RateLimit] = ()
    """Limits that all its jobs share with others; each has a name."""

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {
            "concurrency": _setting(check_concurrency, self.concurrency),
            "check_interval": _seconds(self.check_interval, "check_interval", endless=False),
            "max_abandoned": _limit(self.max_abandoned, "max_abandoned"),
            "rate_limit": _setting(check_rate_limit, self.rate_limit),
            "limits": _setting(check_limits, self.limits),
        }
        if self.global_concurrency is not None:
            checked["global_concurrency"] = _setting(
                check_global_concurrency, self.global_concurrency
            )
        if self.executor is not None:
            checked["executor"] = _setting(check_executor, self.executor)
        for setting in ("max_jobs", "max_memory"):
            value = getattr(self, setting)
            if value is not None:
                checked[setting] = _limit(value, setting, none=" or None")
        for setting, value in checked.items():
            object.__setattr__(self, setting, value)


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of an application, as AntQ takes them."""

    path: Path | None = None
    """The directory of a durable store; None: volatile."""
    queues: Mapping[str, QueueConfig] = field(default_factory=lambda: {"default": QueueConfig()})
    start_queues: bool = True
    retention: float | None = 14 * 86_400.0
    """Seconds an ended job is kept; None: for ever."""
    max_interruptions: int = 3
    signing_key_file: Path | None = None
    """Where the keys are that jobs are signed with; None: in the environment, or nowhere."""
    signing_keys: tuple[bytes, ...] = field(default=(), repr=False)
    encryption_key_file: Path | None = None
    """Where the keys are that jobs are encrypted with; None: as those that sign."""
    cipher: Cipher | None = field(default=None, repr=False)
    """What encrypts; None: nothing is encrypted."""
    encrypt: str = "all"
    """Which jobs: all of them, or those of workers with ``encrypted=True``."""
    has_own_queues: bool = True
    """Whether *queues* were given, and are not the default."""
    crons: tuple[Entry, ...] = ()
    middleware: Pipeline | None = None
    """What is called around jobs; None: nothing."""
    clock: TestClock | None = None
    """Tells the time in tests; None: the system's clock."""

    @property
    def signer(self) -> Signer:
        """What signs and encrypts in the store."""
        return Signer(self.signing_keys, self.cipher)


_SETTINGS: Final = tuple(
    f.name
    for f in fields(Config)
    if f.name not in {"signing_keys", "cipher", "has_own_queues", "clock"}
)
"""What AntQ and a settings file take. Keys and clocks are for no settings file."""

_CRON_SETTINGS: Final = frozenset(
    {
        *("expression", "every", "anchor"),
        *OWN_OPTIONS,
        *JOB_OPTIONS,
        *SCHEDULES,  # a Cron says why it has none
    }
)
"""What the section of a periodic entry takes."""


def check(
    path: str | os.PathLike[str] | None,
    queues: Mapping[str, int | QueueConfig] | None,
    *,
    start_queues: object,
    retention: float | timedelta | None,
    max_interruptions: object,
    signing_key_file: str | os.PathLike[str] | None = None,
    encryption_key_file: str | os.PathLike[str] | None = None,
    encrypt: object = "all",
    crons: object = (),
    middleware: object = (),
    clock: object = None,
) -> Config:
    """Check the arguments of AntQ and return them as a Config.

    Raises TypeError for a value of the wrong type, ConfigError for one out of range.
    """
    if not isinstance(start_queues, bool):
        raise WrongSetting(f"start_queues must be True or False, got {start_queues!r}")
    most = _limit(max_interruptions, "max_interruptions")
    key_file = _path(signing_key_file, "signing_key_file", "a file's path", is_secret=True)
    chosen = _encrypt(encrypt)
    encryption_file = _path(
        encryption_key_file, "encryption_key_file", "a file's path", is_secret=True
    )
    checked_queues = _queues(queues)
    return Config(
        path=_path(path, "path", "a directory's path"),
        queues=checked_queues,
        start_queues=start_queues,
        retention=None if retention is None else _seconds(retention, "retention"),
        max_interruptions=most,
        signing_key_file=key_file,
        signing_keys=signing_keys.load(key_file),
        encryption_key_file=encryption_file,
        cipher=cipher_of(
            signing_keys.load(encryption_file, kind=signing_keys.ENCRYPTION),
            encrypts_all=chosen != MARKED,
        ),
        encrypt=chosen,
        has_own_queues=queues is not None,
        crons=check_crons(crons, checked_queues, runs_queues=start_queues),
        middleware=_middleware(middleware),
        clock=None if clock is None else _clock(clock),
    )


def read_toml(file: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the arguments of AntQ from a TOML file; relative paths are relative to it.

    Raises ConfigError for a file that cannot be read, is no TOML, or has an unknown setting.
    """
    import tomllib  # noqa: PLC0415 - most programs give their settings as arguments

    source = Path(file)
    try:
        document = tomllib.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the settings in {source}: {error}") from error
    if "antq" not in document:
        raise ConfigError(f"{source} has no [antq] section; the settings of antq stand there")
    settings = _table(document["antq"], "[antq]")
    _refuse_unknown(settings, _SETTINGS, "[antq]")
    for name in ("path", "signing_key_file", "encryption_key_file"):
        if isinstance(settings.get(name), str) and settings[name]:
            settings[name] = source.absolute().parent / settings[name]
    if "queues" in settings:
        settings["queues"] = {
            name: _toml_queue(name, table)
            for name, table in _table(settings["queues"], "[antq.queues]").items()
        }
    if "crons" in settings:
        tables = _table(settings["crons"], "[antq.crons]")
        settings["crons"] = [_toml_cron(name, table) for name, table in tables.items()]
    return settings


def _toml_cron(name: str, table: object) -> Entry:
    where = f"[antq.crons.{name}]"
    settings = _table(table, where)
    _refuse_unknown(settings, _CRON_SETTINGS, where)
    given = [kind for kind in ("expression", "every") if kind in settings]
    if len(given) != 1:
        raise ConfigError(f"{where} needs either an expression or every, seconds")
    if "worker" not in settings:
        raise ConfigError(f'{where} needs a worker, such as worker = "shop.reports:Nightly"')
    if not isinstance(settings["worker"], str):
        raise WrongSetting(f"{where}: worker is its name, got {short_repr(settings['worker'])}")
    when = settings.pop(given[0])
    options: dict[str, Any] = {each: settings[each] for each in JOB_OPTIONS if each in settings}
    try:
        job_options(options, Options(), owner="a periodic job")
        return (Cron if given == ["expression"] else Every)(when, **{"name": name, **settings})
    except TypeError as error:
        raise WrongSetting(f"{where}: {error}") from error
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def _toml_queue(name: str, table: object) -> int | QueueConfig:
    concurrency = whole(table)
    if concurrency is not None:
        return concurrency
    where = f"[antq.queues.{name}]"
    settings = _table(table, where)
    _refuse_unknown(settings, {f.name for f in fields(QueueConfig)}, where)
    try:
        if "rate_limit" in settings:
            settings["rate_limit"] = _toml_rate_limit(settings["rate_limit"])
        return QueueConfig(**settings)
    except ConfigError as error:
        raise type(error)(f"{where}: {error}") from None


def _toml_rate_limit(table: object) -> RateLimit:
    """Return the rate limit that a table of a settings file describes. Raises ConfigError."""
    where = "rate_limit"
    settings = _table(table, where)
    _refuse_unknown(settings, {f.name for f in fields(RateLimit)}, where)
    for name in ("limit", "per"):
        if name not in settings:
            raise ConfigError(f"{where} needs {name}, such as {{limit = 5, per = 1}}")
    return _setting(lambda _: RateLimit(**settings), None)


def _path(path: object, setting: str, what: str, *, is_secret: bool = False) -> Path | None:
    """Check the *path* of a setting of an application and make it absolute; show no secret."""
    if path is None:
        return None
    try:
        given = Path(path)  # type: ignore[arg-type]
    except TypeError:
        shown = f"a {type(path).__name__}" if is_secret else repr(path)
        raise WrongSetting(f"{setting} must be {what} or None, got {shown}") from None
    if not str(path):
        raise ConfigError(f"{setting} must be {what} or None, got an empty one")
    if "\0" in str(given):
        shown = "one with it" if is_secret else short_repr(path)
        raise ConfigError(f"{setting} must be {what} without NUL, got {shown}")
    if not _is_encodable(given):
        shown = "another" if is_secret else short_repr(path)
        raise ConfigError(f"{setting} must be {what} that the file system can have, got {shown}")
    return given.absolute()


def _is_encodable(path: Path) -> bool:
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True


def with_middleware(config: Config, middleware: Middleware) -> Config:
    """Return a description of an application with one more middleware, the outermost."""
    own = config.middleware
    given = () if own is None else own.given
    return replace(config, middleware=check_middleware([middleware, *given]))


MARKED: Final = "marked"


def _encrypt(value: object) -> str:
    if not isinstance(value, str):
        raise WrongSetting(f"encrypt must be 'all' or {MARKED!r}, got {short_repr(value)}")
    if value not in ("all", MARKED):
        raise ConfigError(f"encrypt must be 'all' or {MARKED!r}, got {short_repr(value)}")
    return value


def _middleware(middleware: object) -> Pipeline | None:
    try:
        return check_middleware(middleware)
    except TypeError as error:
        raise WrongSetting(str(error)) from None


def _clock(clock: object) -> TestClock | None:
    from antq_actors.app.clock import check_clock  # noqa: PLC0415 - only tests need it

    return _setting(check_clock, clock)


def _queues(queues: object) -> Mapping[str, QueueConfig]:
    if queues is None:
        return {"default": QueueConfig()}
    if not isinstance(queues, Mapping):
        raise WrongSetting(
            f"queues must map names to concurrencies, such as {{'mail': 10}}, got {queues!r}"
        )
    if not queues:
        raise ConfigError(
            "queues must name at least one queue; to run none, call app.start(queues=False)"
        )
    return {_queue_name(name): _queue(name, value) for name, value in queues.items()}


def _queue_name(name: object) -> str:
    try:
        return check_queue_name(name)
    except TypeError as error:
        raise WrongSetting(f"queues: {error}") from None
    except ValueError as error:
        raise ConfigError(f"queues: {error}") from None


def _queue(name: str, value: object) -> QueueConfig:
    if isinstance(value, QueueConfig):
        return value
    concurrency = whole(value)
    if concurrency is None:
        raise WrongSetting(
            f"queue {name!r}: give a concurrency or a QueueConfig, such as 10, got {value!r}"
        )
    try:
        return QueueConfig(concurrency=concurrency)
    except ConfigError as error:
        raise type(error)(f"queue {name!r}: {error}") from None


def _setting(check: Callable[[object], T], value: object) -> T:
    try:
        return check(value)
    except TypeError as error:
        raise WrongSetting(str(error)) from None
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _limit(value: object, setting: str, *, none: str = "") -> int:
    number = whole(value)
    if number is None:
        raise WrongSetting(f"{setting} must be a whole number{none}, got {short_repr(value)}")
    if number < 1:
        raise ConfigError(f"{setting} must be at least 1{none}, got {number}")
    return number


def _seconds(value: object, setting: str, *, endless: bool = True) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else real(value)
    if seconds is None:
        none = " or None" if endless else ""
        raise WrongSetting(f"{setting} must be seconds, a timedelta{none}, got {value!r}")
    if not 0 < seconds < math.inf:
        never = "; to keep jobs for ever: None" if endless else ""
        raise ConfigError(
            f"{setting} must be more than 0 seconds and finite, got {short_repr(value)}{never}"
        )
    # Beyond the calendar, and for a timer beyond 31 years, all are the same.
    return float(min(seconds, LONGEST_SECONDS if endless else LONGEST_TIMEOUT_SECONDS))


def _table(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise WrongSetting(f"{where} must be a section of settings, got {value!r}")
    return dict(value)


def _refuse_unknown(settings: Mapping[str, Any], known: Collection[str], where: str) -> None:
    for setting in settings:
        if setting not in known:
            raise WrongSetting(
                f"unknown setting {setting!r} in {where}{did_you_mean(setting, known)}"
            )


def described(config: Config) -> dict[str, Any]:
    """Return the arguments of AntQ that describe *config*. No keys: only where they are."""
    # A job process fires nothing, and its entries may have workers that cannot be sent there. It
    # has its middleware otherwise.
    left_out = {"crons", "middleware"}
    arguments = {name: getattr(config, name) for name in _SETTINGS if name not in left_out}
    if not config.has_own_queues:
        arguments["queues"] = None
    return arguments


def check_timeout(timeout: object) -> float:
    """Return the seconds that a stop of an application may wait. Raises TypeError, ValueError."""
    return to_seconds(timeout, "timeout")


def check_runs_queues(queues: object) -> None:
    """Raise TypeError for what cannot say whether ``start`` runs the queues."""
    if queues is not None and not isinstance(queues, bool):
        raise TypeError(
            f"queues must be True, False or None, got {short_repr(queues)}; the queues themselves"
            " are given to AntQ(queues=…)"
        )

"""What an application is told at its start, checked before anything starts."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from antq_actors import signing_keys
from antq_actors.errors import ConfigError
from antq_actors.jobs.duration import LONGEST, brief, to_seconds
from antq_actors.jobs.options import LONGEST_TIMEOUT, check_executor, check_queue_name
from antq_actors.jobs.wording import did_you_mean
from antq_actors.queues.messages import check_concurrency

if TYPE_CHECKING:
    import os
    from collections.abc import Collection


class WrongSetting(ConfigError, TypeError):
    """A setting that does not exist, or has a value of the wrong type."""


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
    check_interval: float = 5.0
    """Longest time in seconds between two looks; a new job never waits for it."""
    executor: str | None = None
    """What runs ``perform`` of workers that do not say: thread, async, process or ray. None: the
    event loop for coroutines, else a thread."""
    max_jobs: int | None = None
    """Jobs after which an OS process of this queue is replaced; None: never."""
    max_memory: int | None = None
    """Bytes of memory above which an OS process of this queue is replaced after its job."""
    max_abandoned: int = 20
    """Threads of timed-out or cancelled jobs that do not end, above which nothing is claimed."""

    def __post_init__(self) -> None:
        try:
            check_concurrency(self.concurrency)
        except TypeError as error:
            raise WrongSetting(str(error)) from None
        except ValueError as error:
            raise ConfigError(str(error)) from None
        object.__setattr__(
            self, "check_interval", _seconds(self.check_interval, "check_interval", endless=False)
        )
        if self.executor is not None:
            try:
                object.__setattr__(self, "executor", check_executor(self.executor))
            except TypeError as error:
                raise WrongSetting(str(error)) from None
            except ValueError as error:
                raise ConfigError(str(error)) from None
        _limit(self.max_jobs, "max_jobs", least=1)
        _limit(self.max_memory, "max_memory", least=1)
        _limit(self.max_abandoned, "max_abandoned", least=1, endless=False)


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


def check(
    path: str | os.PathLike[str] | None,
    queues: Mapping[str, int | QueueConfig] | None,
    *,
    start_queues: object,
    retention: float | timedelta | None,
    max_interruptions: object,
    signing_key_file: str | os.PathLike[str] | None = None,
) -> Config:
    """Answer the arguments of AntQ as a Config.

    Raises TypeError for a value of the wrong type, ConfigError for one out of range.
    """
    if not isinstance(start_queues, bool):
        raise WrongSetting(f"start_queues must be True or False, got {start_queues!r}")
    if isinstance(max_interruptions, bool) or not isinstance(max_interruptions, int):
        raise WrongSetting(f"max_interruptions must be a whole number, got {max_interruptions!r}")
    if max_interruptions < 1:
        raise ConfigError(f"max_interruptions must be at least 1, got {max_interruptions}")
    key_file = _path(signing_key_file, "signing_key_file", "a file's path")
    return Config(
        path=_path(path, "path", "a directory's path"),
        queues=_queues(queues),
        start_queues=start_queues,
        retention=None if retention is None else _seconds(retention, "retention"),
        max_interruptions=max_interruptions,
        signing_key_file=key_file,
        signing_keys=signing_keys.load(key_file),
    )


def read_toml(file: str | os.PathLike[str]) -> dict[str, Any]:
    """Answer the arguments of AntQ that a TOML file gives; relative paths are relative to it.

    Raises ConfigError for a file that cannot be read, is no TOML, or has an unknown setting.
    """
    source = Path(file)
    try:
        document = tomllib.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the settings in {source}: {error}") from error
    if "antq" not in document:
        raise ConfigError(f"{source} has no [antq] section; the settings of antq stand there")
    settings = _table(document["antq"], "[antq]")
    known = {f.name for f in fields(Config)} - {"signing_keys"}  # those are for no settings file
    _refuse_unknown(settings, known, "[antq]")
    for name in ("path", "signing_key_file"):
        if isinstance(settings.get(name), str) and settings[name]:
            settings[name] = source.absolute().parent / settings[name]
    if "queues" in settings:
        settings["queues"] = {
            name: _toml_queue(name, table)
            for name, table in _table(settings["queues"], "[antq.queues]").items()
        }
    return settings


def _toml_queue(name: str, table: object) -> int | QueueConfig:
    if isinstance(table, int) and not isinstance(table, bool):
        return table
    where = f"[antq.queues.{name}]"
    settings = _table(table, where)
    _refuse_unknown(settings, {f.name for f in fields(QueueConfig)}, where)
    try:
        return QueueConfig(**settings)
    except ConfigError as error:
        raise type(error)(f"{where}: {error}") from None


def _path(path: object, setting: str, what: str) -> Path | None:
    if path is None:
        return None
    try:
        given = Path(path)  # type: ignore[arg-type]
    except TypeError:
        raise WrongSetting(f"{setting} must be {what} or None, got {path!r}") from None
    if not str(path):
        raise ConfigError(f"{setting} must be {what} or None, got an empty one")
    if "\0" in str(given):
        raise ConfigError(f"{setting} must be {what} without NUL, got {brief(path)}")
    return given.absolute()


def _queues(queues: object) -> Mapping[str, QueueConfig]:
    if queues is None:
        return {"default": QueueConfig()}
    if not isinstance(queues, Mapping):
        raise WrongSetting(
            f"queues must map names to concurrencies, such as {{'mail': 10}}, got {queues!r}"
        )
    if not queues:
        raise ConfigError("queues must name at least one queue; to run none: start_queues=False")
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
    if isinstance(value, bool) or not isinstance(value, int):
        raise WrongSetting(
            f"queue {name!r}: give a concurrency or a QueueConfig, such as 10, got {value!r}"
        )
    try:
        return QueueConfig(concurrency=value)
    except ConfigError as error:
        raise type(error)(f"queue {name!r}: {error}") from None


def _limit(value: object, setting: str, *, least: int, endless: bool = True) -> None:
    if value is None and endless:
        return
    none = " or None" if endless else ""
    if isinstance(value, bool) or not isinstance(value, int):
        raise WrongSetting(f"{setting} must be a whole number{none}, got {brief(value)}")
    if value < least:
        raise ConfigError(f"{setting} must be at least {least}{none}, got {value}")


def _seconds(value: object, setting: str, *, endless: bool = True) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        none = " or None" if endless else ""
        raise WrongSetting(f"{setting} must be seconds, a timedelta{none}, got {value!r}")
    if not 0 < seconds < math.inf:
        never = "; to keep jobs for ever: None" if endless else ""
        raise ConfigError(
            f"{setting} must be more than 0 seconds and finite, got {brief(value)}{never}"
        )
    # Beyond the calendar, and for a timer beyond 31 years, all are the same.
    return float(min(seconds, LONGEST if endless else LONGEST_TIMEOUT))


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
    return {f.name: getattr(config, f.name) for f in fields(config) if f.name != "signing_keys"}


def check_timeout(timeout: object) -> float:
    """Answer the seconds that a stop may wait. Raises TypeError or ValueError."""
    return to_seconds(timeout, "timeout")

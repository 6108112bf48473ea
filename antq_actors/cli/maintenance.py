"""The commands for a store as a whole.

``antq verify``, ``info``, ``backup``, ``restore``, ``compact``, ``migrate``, ``reseal``; and
``export`` and ``import`` of its jobs as lines of JSON.
"""

import sys
from pathlib import Path
from typing import Annotated, BinaryIO, TypeAlias

import typer

from antq_actors import AntqError, Status
from antq_actors.app import signing_keys
from antq_actors.cli import output
from antq_actors.cli.listing import Queue, Statuses, hints_printed
from antq_actors.cli.store import StorePath, application_for, check_exists, open_store, started
from antq_actors.storage.admin import maintenance

FINDINGS = 1
"""The exit code when a store is damaged."""

_MIB = 2**20
_MOST_SHOWN = 100

KeyFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--signing-key-file",
        help=f"File with the keys that sign jobs; without it, {signing_keys.VARIABLE} is used.",
    ),
]
EncryptionKeyFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--encryption-key-file",
        help=f"File with the keys that encrypt; else {signing_keys.ENCRYPTION.variable} is used.",
    ),
]


def verify(path: StorePath, *, key_file: KeyFile = None) -> int:
    """Compare every index, count and unique key with the jobs.

    Applications may be running. Exit code 0: all is well; 1: the store is damaged, and each
    finding is one line.

    \b
    Example:
      antq verify --path jobs
    """
    check_exists(path)
    findings = maintenance.verify(path, signing_keys=signing_keys.load(key_file))
    for finding in findings[:_MOST_SHOWN]:
        output.report(finding)
    if len(findings) > _MOST_SHOWN:
        output.report(f"… and {len(findings) - _MOST_SHOWN} more")
    if findings:
        output.write_stderr(
            f"{len(findings)} findings. Damaged jobs fail when their turn comes; restore a backup,"
            " or `antq export` the readable jobs and import them into a new store."
        )
        return FINDINGS
    output.report(f"{path}: all is well.")
    return 0


def backup(
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="The directory to create.")],
    path: StorePath,
) -> None:
    """Copy the current state of a store to a new directory, while applications run.

    \b
    Example:
      antq backup backups/monday --path jobs
    """
    check_exists(path)
    copy = maintenance.backup(path, target)
    size = (copy / maintenance.DATA_FILE).stat().st_size
    output.report(f"{copy}: {size / _MIB:.1f} MiB.")


def restore(
    source: Annotated[
        Path, typer.Argument(metavar="BACKUP", help="A directory that backup has made.")
    ],
    path: StorePath,
) -> None:
    """Create a store from a backup, after verifying the backup.

    The path must not have a store. Jobs that were running are enqueued; this counts neither as
    an attempt nor as an interruption.

    \b
    Example:
      antq restore backups/monday --path jobs
    """
    output.report(f"{path}: {maintenance.restore(source, path)} jobs.")


def compact(path: StorePath) -> None:
    """Return the space of deleted data to the disk.

    Stop the applications that use the store first.

    \b
    Example:
      antq compact --path jobs
    """
    check_exists(path)
    before, after = maintenance.compact(path)
    output.report(f"{path}: {before / _MIB:.1f} MiB before, {after / _MIB:.1f} MiB now.")


def migrate(
    path: StorePath, *, key_file: KeyFile = None, encryption_key_file: EncryptionKeyFile = None
) -> None:
    """Convert a store to the format of this release.

    An application also does this when it starts. With this command you can do it beforehand, for
    example for a large store. If it is interrupted, repeat it. If jobs are signed, give the key:
    those without it run as before, but their arguments cannot be shown. Stop the applications that
    use the store, and make a backup first.

    \b
    Examples:
      antq migrate --path jobs
      antq migrate --path jobs --signing-key-file /etc/shop/antq.key
    """
    check_exists(path)
    keys = signing_keys.load(key_file)
    ciphering = signing_keys.load(encryption_key_file, kind=signing_keys.ENCRYPTION)
    maintenance.migrate(path, keys, encryption_keys=ciphering)
    output.report(f"{path}: up to date.")


def reseal(
    path: StorePath, *, key_file: KeyFile = None, encryption_key_file: EncryptionKeyFile = None
) -> None:
    """Sign and encrypt all jobs in a store with the first keys.

    It trusts all jobs that are in the store. Use it when you start to sign jobs, or before you
    remove an old key. Without a key it removes the signatures. With encryption keys, it decrypts
    with whichever fits and encrypts all with the first; a signed store needs its signing key, too.
    Stop the applications that use the store first.

    \b
    Example:
      antq reseal --path jobs --signing-key-file /etc/shop/antq.key
      antq reseal --path jobs --encryption-key-file /etc/shop/encryption.key
    """
    check_exists(path)
    keys = signing_keys.load(key_file)
    ciphering = signing_keys.load(encryption_key_file, kind=signing_keys.ENCRYPTION)
    count = maintenance.reseal(path, keys, encryption_keys=ciphering)
    done = "signed" if keys else "without signature"
    output.report(f"{path}: {count} jobs {done}{', encrypted' if ciphering else ''}.")


def export_jobs(
    path: StorePath,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A new file; without it, standard output.")
    ] = None,
    *,
    status: Statuses = None,
    queue: Queue = None,
) -> None:
    """Write jobs as lines of JSON, while applications run.

    \b
    Examples:
      antq export failed.jsonl --path jobs --status failed
      antq export --path jobs | jq 'select(.attempts > 1)'
    """
    chosen: list[Status] | None = status or None
    with open_store(path) as app:
        lines = app.export_jobs(status=chosen, queue_name=queue)
        with hints_printed():
            app.count_jobs(status=chosen, queue=queue)
        if file is None:
            output.write_lines(lines)
            return
        with _new(file) as out:
            file.chmod(0o600)
            count = 0
            for line in lines:
                out.write(line + b"\n")
                count += line.startswith(b'{"id":')  # others are of limits, groups and crons
    output.report(f"{file}: {count} jobs.")


def import_jobs(
    path: StorePath,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="A file that export wrote; without it, standard input."
        ),
    ] = None,
    *,
    key_file: KeyFile = None,
) -> None:
    """Import the jobs of an export; use only a file that you trust as you trust code.

    In an empty store the jobs keep their ids. Jobs that were running are enqueued. A unique job is
    left out if the store has a job that conflicts with it. If an import is killed, import the same
    lines again: it goes on where it was, so no job comes twice.

    \b
    Example:
      antq import failed.jsonl --path jobs
    """
    with started(application_for(path, key_file)) as app:
        if file is None:
            if sys.stdin is None:
                raise AntqError("standard input is closed: give FILE, or pipe an export into it")
            stored, duplicates = app.import_jobs(sys.stdin.buffer)
        else:
            with _existing(file) as lines:
                stored, duplicates = app.import_jobs(lines)
        left_out = f", {duplicates} duplicates left out" if duplicates else ""
        # Not after the stop: killed in it, this command would seem not to have imported anything.
        output.report(f"{path}: {stored} jobs imported{left_out}.")


def _new(file: Path) -> BinaryIO:
    try:
        return file.open("xb")
    except FileExistsError:
        raise AntqError(f"{file} exists and is not overwritten; give another file") from None


def _existing(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except FileNotFoundError:
        raise AntqError(f"there is no file {file}") from None

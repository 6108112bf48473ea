"""What comes of a job, encrypted: its errors, its result, what it keeps and reports.

Each ciphertext is bound to its job: the salt of the job's own one (``cipher``) is authenticated
with it, so it cannot be given to another job. That is not the job's id, which changes in an import,
and an import needs no key.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from antq_actors.storage.format.cipher import (
    DAMAGES,
    SHOWN,
    Undecipherable,
    is_sealed,
    needed,
    salt_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.jobs.state import ErrorEntry, JobSpec
    from antq_actors.storage.format.cipher import Cipher

ERROR: Final = b"error"
RESULT: Final = b"result"
VALUE: Final = b"value"
"""Of a step or a checkpoint."""
NAME: Final = b"name"
"""Of a step."""
PROGRESS: Final = b"progress"


class _ErrorText(msgspec.Struct, frozen=True, array_like=True):
    """What is encrypted of an error."""

    error: str
    stack_trace: str | None = None
    error_type: str | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode_error = msgspec.msgpack.Decoder(_ErrorText).decode


class JobCipher(NamedTuple):
    """Encrypts and decrypts what comes of one job."""

    cipher: Cipher | None
    """None: there is no key."""
    salt: bytes
    """Of the job's ciphertext; none where the job is not encrypted."""

    def seal(self, plain: bytes, purpose: bytes, place: bytes = b"") -> bytes:
        """Return *plain* as a ciphertext, for one *place* of many; one stays as it is."""
        if is_sealed(plain):
            return plain
        return needed(self.cipher).seal(plain, purpose, self.salt + place)

    def open(self, stored: bytes, purpose: bytes, place: bytes = b"") -> bytes:
        """Return what is stored, decrypted if it is encrypted. Raises Undecipherable."""
        if not is_sealed(stored):
            return stored
        return needed(self.cipher).open(stored, purpose, self.salt + place)

    def renewed(self, stored: bytes, purpose: bytes, place: bytes = b"") -> bytes:
        """Return what is stored as it is stored under the first key.

        What no key fits stays as it is, and so does what comes of a job that is not encrypted.
        """
        if self.cipher is None or not self.salt:
            return stored
        with suppress(Undecipherable):
            return self.seal(self.open(stored, purpose, place), purpose, place)
        return stored

    def seal_error(self, entry: ErrorEntry) -> ErrorEntry:
        """Return an entry of the job's errors as it is stored; an encrypted one stays as it is."""
        if entry.sealed is not None:
            return entry
        text = _ErrorText(entry.error, entry.stack_trace, entry.error_type)
        sealed = self.seal(_encode(text), ERROR)
        return entry._replace(error=SHOWN, stack_trace=None, error_type=None, sealed=sealed)

    def open_error(self, entry: ErrorEntry) -> ErrorEntry:
        """Return a stored entry of the job's errors as it was. Raises Undecipherable."""
        if entry.sealed is None:
            return entry
        try:
            text = _decode_error(self.open(entry.sealed, ERROR))
        except DAMAGES as error:
            raise Undecipherable(f"what is encrypted of it is damaged: {error}") from error
        return entry._replace(
            error=text.error,
            stack_trace=text.stack_trace,
            error_type=text.error_type,
            sealed=None,
        )


def job_cipher(spec: JobSpec, cipher: Cipher | None) -> JobCipher:
    """Return what encrypts what comes of a job with this stored spec."""
    return JobCipher(cipher, salt_of(spec))


def sealed_errors(
    spec: JobSpec, errors: Sequence[ErrorEntry], cipher: Cipher | None
) -> Sequence[ErrorEntry]:
    """Return the errors of a job that is encrypted now, and stored with this spec."""
    if cipher is None:
        return errors
    return [job_cipher(spec, cipher).seal_error(each) for each in errors]

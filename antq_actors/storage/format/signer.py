"""What stands before a job's spec on disk and vouches for it: a checksum, or a signature.

    0xC1  1  CRC-32, 4 bytes        spec       found damage
    0xC1  2  HMAC-SHA256, 32 bytes  spec       found damage, and jobs planted by who has no key

No msgpack begins with 0xC1, so a spec of the first format, which stands bare, is told apart. What
is signed is all that a job was enqueued with: its worker, arguments, time and options.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from struct import Struct
from typing import TYPE_CHECKING, Final
from zlib import crc32

from antq_actors.errors import DamagedRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

_SUM: Final = b"\xc1\x01"
_SIGNED: Final = b"\xc1\x02"
_summed: Final = Struct(">2sI").pack
_SUM_END: Final = 2 + 4
_SIGNED_END: Final = 2 + sha256().digest_size
_PURPOSE: Final = b"antq_actors job\0"
"""Signed along, so that a signature made for something else with the same key is none here."""


class Signer:
    """Signs and verifies the specs of a store.

    With *keys* it signs with the first, accepts a signature of any, and nothing unsigned; so a
    new key is put before the old one, which goes when no job signed with it is left. Raises
    TypeError for a key that is no bytes.
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        for key in keys:
            if not isinstance(key, bytes):
                raise TypeError(
                    f"signing keys are a list of bytes, as signing_keys.load(file) answers, and"
                    f" one is a {type(key).__name__}"
                )
        self._keys = tuple(keys)

    def __repr__(self) -> str:
        return f"<Signer with {len(self._keys)} keys>"

    def sign(self, spec: bytes) -> bytes:
        """Return the record that holds *spec*."""
        if self._keys:
            return _SIGNED + _signature(self._keys[0], spec) + spec
        return _summed(_SUM, crc32(spec)) + spec

    def verify(self, record: bytes) -> bytes:
        """Return the spec in *record*.

        Raises DamagedRecord when it is not what was signed, or its signature is of no key here.
        """
        if not self._keys:
            return contents(record)
        if record[:2] != _SIGNED:
            raise DamagedRecord(
                "it is not signed, and this application runs signed jobs only: it was enqueued"
                " without the signing key, or not by an application of yours"
            )
        spec, signature = record[_SIGNED_END:], record[2:_SIGNED_END]
        if not any(hmac.compare_digest(signature, _signature(key, spec)) for key in self._keys):
            raise DamagedRecord(
                "its signature is wrong: it was signed with a key that this application does not"
                " have, or changed on disk"
            )
        return spec


def is_protected(record: bytes) -> bool:
    """Return whether *record* begins with a checksum or a signature.

    One without is of the first format.
    """
    return record[:1] == b"\xc1"


def contents(record: bytes) -> bytes:
    """Return the spec in *record* for who only looks: no signature is checked.

    Raises DamagedRecord when its checksum is wrong.
    """
    spec = record[_SUM_END:]
    if record[:_SUM_END] == _summed(_SUM, crc32(spec)):
        return spec
    if not is_protected(record):
        return record
    if record[:2] != _SIGNED:
        raise DamagedRecord("the spec of a job is damaged on disk: its checksum is wrong")
    return record[_SIGNED_END:]


def _signature(key: bytes, spec: bytes) -> bytes:
    return hmac.digest(key, _PURPOSE + spec, "sha256")

"""What is encrypted of a job: its arguments; what comes of it is in ``job_cipher``.

    0xC1  3  the key's id, 4 bytes  salt, 16 bytes  nonce, 12 bytes  ciphertext, tag

AES-256-GCM, with a key of its own for each salt: it is derived from the application's key and the
salt by HKDF-SHA256, so random nonces never meet. No msgpack, arguments or result begin so.

Of a spec, the arguments, *meta* and the digest of a unique job are in one ciphertext, in the place
of the arguments. Its worker and options are authenticated with it: it is no other worker's. What
stands for the digest is its HMAC, as a plain one could be found by trying arguments out. Its salt
says which job it is: it stays when the ciphertext is made anew or goes to another store, where ids
change.
"""

from __future__ import annotations

import hmac
import os
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from antq_actors.errors import ConfigError, DamagedRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.jobs.state import JobSpec

SHOWN: Final = "<encrypted>"
"""What is shown to who has no key."""
MARK: Final = b"\xc1\x03"
"""What is encrypted begins with this."""
ARGS: Final = b"args"

_KEY_ID_BYTES: Final = 4
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_SALT_AT: Final = len(MARK) + _KEY_ID_BYTES
_NONCE_AT: Final = _SALT_AT + _SALT_BYTES
_TEXT_AT: Final = _NONCE_AT + _NONCE_BYTES
_DIGEST_BYTES: Final = 16


class Undecipherable(DamagedRecord):
    """What is encrypted cannot be read here: its key is missing, or it was changed."""


class Encrypted(dict[str, Any]):
    """Stands for arguments, or for what is kept beside them, that cannot be read here.

    >>> Encrypted(), Encrypted() == {}
    (<encrypted>, True)
    """

    def __repr__(self) -> str:
        return SHOWN


class _Secrets(msgspec.Struct, frozen=True, array_like=True):
    """What is encrypted of a spec."""

    args: bytes
    meta: dict[str, str] | None = None
    digest: bytes | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode_secrets = msgspec.msgpack.Decoder(_Secrets).decode
DAMAGES: Final = (msgspec.MsgspecError, UnicodeDecodeError)


def is_sealed(encoded: bytes) -> bool:
    """Return whether this is a ciphertext."""
    return encoded[:2] == MARK


class Cipher:
    """Encrypts with the first of *keys*, and decrypts with any.

    Raises TypeError for a key that is no bytes, and ConfigError without ``cryptography``.
    """

    __slots__ = ("_aead", "_keys", "_unique_keys", "encrypts_all")

    def __init__(self, keys: Sequence[bytes], *, encrypts_all: bool = True) -> None:
        self.encrypts_all = encrypts_all
        """Whether what comes in without being marked is encrypted as well."""
        for key in keys:
            if not isinstance(key, bytes):
                raise TypeError(
                    f"encryption keys are a list of bytes, and one is a {type(key).__name__}"
                )
        # Not installed with the project itself: only who encrypts needs it.
        try:
            from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an extra
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415
        except ImportError:
            raise ConfigError(
                "there are encryption keys, and the library that encrypts is missing: pip install"
                " 'antq-actors[encryption]'"
            ) from None
        self._aead = AESGCM, InvalidTag
        self._keys = {_derived(key, b"key id", size=_KEY_ID_BYTES): key for key in keys}
        self._unique_keys = tuple(_derived(key, b"unique") for key in keys)

    def __repr__(self) -> str:
        return f"<Cipher with {len(self._keys)} keys>"

    # ---- bytes ----------------------------------------------------------------------------

    def seal(self, plain: bytes, purpose: bytes, about: bytes, salt: bytes = b"") -> bytes:
        """Return *plain* as a ciphertext for a *purpose*; *about* is authenticated with it.

        *salt*: that of the ciphertext in whose place it comes, if it is to stay.
        """
        aead, _ = self._aead
        key_id, key = next(iter(self._keys.items()))
        salt, nonce = salt or os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
        text = aead(_derived(key, b"job", salt)).encrypt(nonce, plain, purpose + b"\0" + about)
        return b"".join((MARK, key_id, salt, nonce, text))

    def open(self, sealed: bytes, purpose: bytes, about: bytes) -> bytes:
        """Return what was encrypted. Raises Undecipherable: no key fits, or it was changed."""
        aead, wrong = self._aead
        key = self._keys.get(sealed[len(MARK) : _SALT_AT])
        if key is None or not is_sealed(sealed):
            raise Undecipherable(
                "it is encrypted with a key that this application does not have: start it with"
                " that key, too; a job that was refused can be retried then"
            )
        own = aead(_derived(key, b"job", sealed[_SALT_AT:_NONCE_AT]))
        nonce = sealed[_NONCE_AT:_TEXT_AT]
        try:
            return own.decrypt(nonce, sealed[_TEXT_AT:], purpose + b"\0" + about)
        except (wrong, ValueError):
            raise Undecipherable(
                "its ciphertext was changed on disk, or is that of another worker, of other options"
                " or of another job"
            ) from None

    # ---- specs ----------------------------------------------------------------------------

    def seal_spec(self, spec: JobSpec, salt: bytes = b"") -> JobSpec:
        """Return a spec as it is stored; one that is not to be encrypted, or is, stays so.

        *salt*: as in :meth:`seal`.
        """
        if not spec.encrypted or is_sealed(spec.args):
            return spec
        digest = spec.unique_digest
        secrets = _encode(_Secrets(spec.args, spec.meta, digest))
        return replace(
            spec,
            args=self.seal(secrets, ARGS, _about(spec), salt),
            meta=None,
            unique_digest=None if digest is None else _hmac(self._unique_keys[0], digest),
        )

    def open_spec(self, spec: JobSpec) -> JobSpec:
        """Return a stored spec as it was before it was encrypted. Raises Undecipherable."""
        if not is_encrypted(spec):
            return spec
        try:
            secrets = _decode_secrets(self.open(spec.args, ARGS, _about(spec)))
        except DAMAGES as error:
            raise Undecipherable(f"what is encrypted of it is damaged: {error}") from error
        return replace(spec, args=secrets.args, meta=secrets.meta, unique_digest=secrets.digest)

    def digests(self, digest: bytes) -> list[bytes]:
        """Return what may stand for a digest in a store: its HMAC by each key, and itself."""
        return [*(_hmac(key, digest) for key in self._unique_keys), digest]


def cipher_of(keys: Sequence[bytes], *, encrypts_all: bool = True) -> Cipher | None:
    """Return what encrypts with these keys; None: there are none. Raises ConfigError."""
    return Cipher(keys, encrypts_all=encrypts_all) if keys else None


def is_encrypted(spec: JobSpec) -> bool:
    """Return whether the arguments of a spec are a ciphertext."""
    return spec.encrypted and is_sealed(spec.args)


def salt_of(spec: JobSpec) -> bytes:
    """Return the salt in the ciphertext of a stored spec; none if it is not encrypted."""
    return spec.args[_SALT_AT:_NONCE_AT] if is_encrypted(spec) else b""


def sealed_spec(spec: JobSpec, cipher: Cipher | None) -> JobSpec:
    """Return a spec as it is stored. Raises Undecipherable: it is to be encrypted without a key.

    *meta* that middleware has given to one that is encrypted already, and stays so, is left out.
    """
    if not spec.encrypted:
        return spec
    if is_sealed(spec.args):
        return spec if spec.meta is None else replace(spec, meta=None)
    return needed(cipher).seal_spec(spec)


def marked_spec(spec: JobSpec, cipher: Cipher | None) -> JobSpec:
    """Return a spec of an import, to be encrypted where all jobs are."""
    if cipher is None or spec.encrypted or not cipher.encrypts_all:
        return spec
    return replace(spec, encrypted=True)


def opened_spec(spec: JobSpec, cipher: Cipher | None) -> JobSpec:
    """Return a stored spec to run its job. Raises Undecipherable where no key fits."""
    return needed(cipher).open_spec(spec) if is_encrypted(spec) else spec


def renewed_spec(spec: JobSpec, cipher: Cipher | None) -> JobSpec:
    """Return a stored spec as it is stored under the first key of *cipher*; None: as it is.

    One that no key fits stays as it is.
    """
    if cipher is None:
        return spec
    with suppress(Undecipherable):
        return cipher.seal_spec(replace(cipher.open_spec(spec), encrypted=True), salt_of(spec))
    return spec


def opened_specs(specs: Sequence[JobSpec], cipher: Cipher | None) -> list[JobSpec] | None:
    """Return what `opened_spec` returns for each; None: one of them cannot be opened."""
    try:
        return [opened_spec(spec, cipher) for spec in specs]
    except Undecipherable:
        return None


def needed(cipher: Cipher | None) -> Cipher:
    """Return *cipher*. Raises Undecipherable: there is none."""
    if cipher is None:
        raise Undecipherable(
            "it is encrypted, and this application has no encryption key: start it with the key; a"
            " job that was refused can be retried then"
        )
    return cipher


def _about(spec: JobSpec) -> bytes:
    """Return what is authenticated with a spec's ciphertext: all that stays as it is.

    Ids and times change in an import, and the texts of limits are added later.
    """
    flow = spec.flow
    limits = () if flow is None else [(ref.gate, ref.weight, ref.is_own) for ref in flow.gates]
    result = None if flow is None else flow.result
    return _encode((spec.worker, spec.timeout, spec.unique, spec.unique_statuses, limits, result))


def _hmac(key: bytes, digest: bytes) -> bytes:
    return hmac.digest(key, digest, "sha256")[:_DIGEST_BYTES]


def _derived(key: bytes, purpose: bytes, salt: bytes = b"", *, size: int = 32) -> bytes:
    """Return what HKDF-SHA256 (RFC 5869) derives from a key: one block of it is enough."""
    extracted = hmac.digest(salt or bytes(sha256().digest_size), key, "sha256")
    return hmac.digest(extracted, b"antq_actors " + purpose + b"\x01", "sha256")[:size]

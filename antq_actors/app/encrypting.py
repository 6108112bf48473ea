"""Which jobs of an application are encrypted, and when enqueuing without a key is refused.

The store knows whether all of its jobs are encrypted: by what the application with a key that
enqueued last says. So one that lacks the key by mistake stores nothing readable there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from antq_actors.app.config import MARKED
from antq_actors.app.signing_keys import ENCRYPTION
from antq_actors.errors import ConfigError
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from antq_actors.app.config import Config
    from antq_actors.jobs.new_job import JobTemplate
    from antq_actors.storage.client import StorageClient


class Encrypting:
    """Decides which jobs of an application are encrypted."""

    def __init__(self, config: Config, store: StorageClient) -> None:
        self._store = store
        self._has_key = config.cipher is not None
        self._is_marked = config.encrypt == MARKED
        self._is_compared = False
        """Whether the store was asked what it knows."""

    def mark(self, template: JobTemplate) -> None:
        """Have the jobs of a template encrypted if they are to be. Raises ConfigError."""
        if self._has_key and not self._is_marked:
            template.encrypted = True
        elif template.encrypted and not self._has_key:
            raise ConfigError(
                f"the worker {template.worker} has encrypted=True, and this application has no"
                f" encryption key, so nothing was stored: {_GIVE_KEY}"
            )

    def compare(self) -> None:
        """Compare with what the store knows, before the first job is stored. Raises ConfigError."""
        if self._is_compared:
            return
        encrypts_all = self._has_key and not self._is_marked
        if encrypts_all is not self._store.read(JobReader.encrypts_all):
            if not self._has_key and not self._is_marked:
                raise ConfigError(
                    "the jobs of this store are encrypted, and this application has no encryption"
                    f" key, so nothing was stored: {_GIVE_KEY}; where jobs are not to be encrypted"
                    f" any more, AntQ(encrypt={MARKED!r}) says so"
                )
            self._store.write(JobStore.note_encryption, encrypts_all=encrypts_all)
        self._is_compared = True


_GIVE_KEY = (
    "give AntQ(encryption_key_file=…), or the keys themselves in the environment as"
    f" {ENCRYPTION.variable}"
)

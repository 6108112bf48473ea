"""What is done to an application by hand: its audit.

Whoever does something for a person, such as a page of the dashboard, calls the ordinary methods of
the application in a block of ``antq_acting``. What is noted then is decided where it is written, in
``storage/jobs/audited.py``: no caller has to know whether anything has changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from antq_actors.checks import check_whole
from antq_actors.jobs.audit import action
from antq_actors.jobs.worker import in_thread

if TYPE_CHECKING:
    from antq_actors.app.remote import RemoteRuntime
    from antq_actors.app.runtime import Runtime
    from antq_actors.jobs.audit import AuditEntry
    from antq_actors.storage.acting import Acting


class AuditVerbs:
    """The audit of an application, once it runs; `AntQ` says how it does."""

    def _runtime(self) -> Runtime | RemoteRuntime:
        raise NotImplementedError

    def audit(self, limit: int = 100) -> list[AuditEntry]:
        """Return what was done by hand, by whom and why: up to *limit* entries, the newest first.

        Actions of the dashboard are noted, in the transaction that does them; what the
        application's own code calls is not, nor what was refused. The newest 10,000 are kept.

        >>> from antq_actors import AntQ
        >>> with AntQ() as app:
        ...     app.audit()
        []

        Raises TypeError or ValueError unless *limit* is a whole number of at least 1.
        """
        return self._runtime().queries.audit(check_whole(limit, "limit", 1))

    async def aaudit(self, limit: int = 100) -> list[AuditEntry]:
        """Do what :meth:`audit` does, without stopping the event loop that awaits it."""
        return await in_thread(self.audit, limit)

    def antq_acting(
        self, name: str | None, verb: str, target: str, reason: str | None = None
    ) -> Acting:
        """Return a ``with`` block: what is changed in it is noted in the audit, as one entry.

        *name* does *verb* to *target* for a *reason*. The entry is written by the first transaction
        of the block that changes anything, so it is there if and only if the change is; those that
        follow add to its count. Where nothing changes in the store, ``note()`` of the block writes
        it. The block's ``count`` is how many things have changed, and ``undo`` is the token for
        :meth:`antq_undo`, None where that is not possible.

        Raises TypeError for what is no text, NotStarted in a process that performs jobs.
        """
        return self._runtime().store.acting(action(name, verb, target, reason))

    def antq_undo(self, token: str, name: str | None = None) -> AuditEntry:
        """Undo an action within ten seconds, once; return the entry of the audit that tells of it.

        *token* is the ``undo`` of its block, whichever process has done it. A pause, a resume, a
        change of concurrency and the cancelling of waiting jobs can be undone: all of it, in one
        transaction, and what it has changed is what it was, with when jobs are due. *name* undoes
        it. Raises NotUndoable, with the reason, if any of that has changed since; then nothing is
        changed. Raises TypeError for what is no text.
        """
        undone = action(name, "undo", token, None)
        return self._runtime().store.undo(undone.target, undone.name)

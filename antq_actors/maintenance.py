"""A store while nothing uses it: verified, copied, compacted, migrated and signed anew.

The names that users import; :mod:`~antq_actors.storage.admin.maintenance` does the work.
"""

from antq_actors.introspection import shown
from antq_actors.storage.admin.maintenance import (
    Compacted,
    backup,
    compact,
    migrate,
    reseal,
    restore,
    verify,
)

__all__ = ["Compacted", "backup", "compact", "migrate", "reseal", "restore", "verify"]


def __dir__() -> list[str]:
    return shown(globals())

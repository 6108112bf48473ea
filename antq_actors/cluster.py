"""One application for a whole Ray cluster, under the name that users import.

:mod:`~antq_actors.integrations.ray.cluster` does the work.
"""

from antq_actors.app.remote import RemoteQueue as QueueClient
from antq_actors.integrations.ray.cluster import NAMESPACE, connect, host
from antq_actors.integrations.ray.cluster import RayClient as Client
from antq_actors.introspection import shown

__all__ = ["NAMESPACE", "Client", "QueueClient", "connect", "host"]


def __dir__() -> list[str]:
    return shown(globals())

"""The executor ``ray``: an attempt is a task on a Ray cluster, on any of its nodes.

executor.py    gives attempts to Ray, what their ends mean, and the actor that keeps the connection
connection.py  Ray started when it is first needed, and shut down if it was started here
task.py        the other side: what runs on a node of the cluster
cluster.py     the Ray actor that hosts an application
client.py      that application, as all other processes hold it
parcel.py      a worker on its way to another process

Nothing here is imported before an executor or a client is wanted, and Ray need not be installed
until then.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Final

from antq_actors.executors.base import NotReady

if TYPE_CHECKING:
    from antq_actors.executors.base import Executor, Settings

NOT_INSTALLED: Final = "Ray is not installed in this environment: pip install 'antq-actors[ray]'"


def make(settings: Settings) -> Executor:
    """Return the Ray executor of a queue. Raises NotReady where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise NotReady(f"executor='ray' cannot run anything: {NOT_INSTALLED}")
    from antq_actors.integrations.ray.executor import RayExecutor  # noqa: PLC0415 - needs Ray

    return RayExecutor(settings)

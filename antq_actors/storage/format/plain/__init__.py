"""Reading what jobs were enqueued with, without running anything: plain data, or an Opaque."""

from antq_actors.storage.format.plain.opaque import Opaque
from antq_actors.storage.format.plain.reader import read_plain

__all__ = ["Opaque", "read_plain"]

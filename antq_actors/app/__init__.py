"""The application: what users hold."""

from antq_actors.app.antq import AntQ
from antq_actors.app.queue_handle import QueueHandle

__all__ = ["AntQ", "QueueHandle"]

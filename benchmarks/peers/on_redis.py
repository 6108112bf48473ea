"""What the peers on Redis have in common."""

from __future__ import annotations

import redis

from peers.contract import Peer, Setup


class RedisPeer(Peer):
    """Has the server to itself: an empty store is an empty server."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.redis = redis.Redis.from_url(setup.url)

    def open(self, *, perform: bool) -> None:  # noqa: ARG002 - it is all the same
        """Empty the server."""
        self.redis.flushall()

    def fill(self, numbers: range) -> None:
        """Enqueue without waiting for the disk."""
        self.redis.config_set("appendfsync", "no")
        super().fill(numbers)
        self.redis.config_set("appendfsync", "always")

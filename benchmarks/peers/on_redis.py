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
        """Empty the server, and have it be what it says it is."""
        # A run that was killed while it filled has left it without fsync, for all that follow.
        self.redis.config_set("appendfsync", "always")
        self.redis.flushall()

    def fill(self, numbers: range) -> None:
        """Enqueue without waiting for the disk."""
        self.redis.config_set("appendfsync", "no")
        super().fill(numbers)
        self.redis.config_set("appendfsync", "always")

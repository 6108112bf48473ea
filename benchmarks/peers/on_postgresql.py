"""What the peers on PostgreSQL have in common."""

from __future__ import annotations

import psycopg

from peers.contract import Peer


class PostgresqlPeer(Peer):
    """Has the database to itself: an empty store is an empty schema."""

    unfinished: str
    """Selects a row if there is a job that waits or runs."""

    def open(self, *, perform: bool) -> None:  # noqa: ARG002 - it is all the same
        """Empty the database."""
        self.connection = psycopg.connect(self.setup.url, autocommit=True)
        self.connection.execute("drop schema public cascade")
        self.connection.execute("create schema public")

    def is_done(self) -> bool:
        """Ask for a job that waits or runs."""
        return self.connection.execute(self.unfinished).fetchone() is None

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

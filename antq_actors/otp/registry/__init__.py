"""Names with any keys, each registry in an actor of its own."""

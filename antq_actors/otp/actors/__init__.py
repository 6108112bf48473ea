"""The kinds of actors: servers, tasks, and classes of pykka."""

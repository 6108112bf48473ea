"""Connections to other systems; each is imported where it is wanted."""

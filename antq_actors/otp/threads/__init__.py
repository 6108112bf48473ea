"""The threads on which actors take turns."""

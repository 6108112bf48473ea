"""A reader of pickles that runs nothing they name; ``format.display`` is in front of it."""

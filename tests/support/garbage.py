"""What only the garbage collector would free."""

import gc
from contextlib import contextmanager


@contextmanager
def uncollected():
    """Have what only the garbage collector would free in the list, at the end."""
    found = []
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found += gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()

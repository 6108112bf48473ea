"""Reading pickled arguments without running anything they name.

Whoever can write to a store can put any pickle there, and a pickle may call any function, or fill
all memory, or keep a processor busy for ever. So who only looks at jobs reads them here: plain
data becomes itself, everything else an Opaque that says what it would have been.

    simple     is it only lists, dicts and leaves? Then the standard library reads it
    machine    reads all others, as a description: ``tape`` its opcodes, ``calls`` its calls
    makers     makes dates, decimals and the like for it, from what their pickles hold
    hashable   what of it may be hashed
    showable   then, of both: how large would it be, written out?
"""

from __future__ import annotations

import pickle
from typing import Any

from antq_actors.storage.format.plain.machine import Machine
from antq_actors.storage.format.plain.showable import is_small, shown
from antq_actors.storage.format.plain.simple import longest_text


def read_plain(pickled: bytes) -> Any:
    """Return the value, with an Opaque for each part that is no plain data or too much to show.

    The answer can be printed, compared and turned into JSON in bounded time. Raises StorageError
    for bytes that are no pickle.
    """
    longest = longest_text(pickled)
    if longest is not None:
        try:
            value = pickle.loads(pickled)  # noqa: S301 - it names nothing, as was just checked
        except Exception:  # noqa: BLE001 - the machine says in words what is wrong
            longest = None
    if longest is None:
        machine = Machine(pickled)
        value = machine.read()
        longest = machine.longest_text()
    if type(value) is dict and is_small(value, longest):
        return value
    return shown(value, len(pickled))

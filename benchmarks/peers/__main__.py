"""``python -m peers NAME TASK``: measure one thing of one contestant, or be its worker process.

TASK is JSON: ``{"work": 5}`` performs jobs, five at once, until a signal ends it; anything else
names a function of ``measures.py`` and its arguments, and the answer is printed as JSON.
"""

import importlib
import json
import sys

from peers import measures


def main() -> None:
    """Do what the command line says."""
    name, task = sys.argv[1], json.loads(sys.argv[2])
    peer = importlib.import_module(f"peers.{name}").PEER
    if "work" in task:
        peer.work(task["work"])
    else:
        measure = getattr(measures, task.pop("measure"))
        print(json.dumps(measure(peer, **task)))


if __name__ == "__main__":
    main()

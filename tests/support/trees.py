"""Actors of a running application: found by their ids in its tree, and killed."""

from antq_actors import otp


def child(sup, *path):
    """Return the ref of a child, by the ids on the way to it."""
    for id_ in path:
        sup = next(info.ref for info in otp.Supervisor.which_children(sup) if info.id == id_)
    return sup


def kill(ref):
    otp.exit(ref, otp.Killed())

"""Partitions under test: whom a key leads to, and children that know their number."""

from supervised import Child

from antq_actors.otp import ChildSpec, Supervisor, Via, whereis


def a_numbered_child(log, plan=None, **fields):
    """Spec of a child that writes into *log*; *plan* is by the number of its partition."""
    return ChildSpec("numbered", Child.start_link, (log, plan), **fields)


def numbered(args, number):
    return (number, *args)


def refs(sup):
    return [child.ref for child in Supervisor.which_children(sup)]


def at(key, parts="parts"):
    return whereis(Via(parts, key))

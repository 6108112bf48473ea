"""Workers of which no attempt could make an instance, or perform it: refused when enqueued."""

import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass

import pytest

from antq_actors import Worker


class NoPerform(Worker):
    pass


class Nothing(Worker):
    perform = None


class Mixin:
    def perform(self, job): ...


class WrongOrder(Worker, Mixin):
    pass


class Abstract(Worker, ABC):
    @abstractmethod
    def perform(self, job): ...


class AbstractPart(Worker, ABC):
    def perform(self, job): ...

    @abstractmethod
    def part(self): ...


class Needs(Worker):
    def __init__(self, database):
        pass

    def perform(self, job): ...


class NeedsKeyword(Worker):
    def __init__(self, *, database):
        pass

    def perform(self, job): ...


class NeedsNew(Worker):
    def __new__(cls, database):
        return super().__new__(cls)

    def perform(self, job): ...


@dataclass
class Field(Worker):
    database: str

    def perform(self, job): ...


def supply(function):
    @functools.wraps(function)
    def inner(self):
        function(self, "database")

    return inner


class Supplied(Worker):
    @supply
    def __init__(self, database):
        self.database = database

    def perform(self, job): ...


class Defaults(AbstractPart):
    def __init__(self, database="", *args, **kwargs):
        pass

    def part(self): ...


class RightOrder(Mixin, Worker):
    pass


UNRUNNABLE = [
    (NoPerform, "has no perform; write: def perform"),
    (Nothing, "has no perform"),
    (WrongOrder, "has no perform"),
    (Abstract, "is abstract: enqueue a subclass that defines perform"),
    (AbstractPart, "is abstract: enqueue a subclass that defines part"),
    (Needs, r"its __init__\(database\) takes some \(missing a required argument: 'database'"),
    (NeedsKeyword, "missing a required"),
    (NeedsNew, "missing a required argument: 'database'"),
    (Field, "missing a required argument: 'database'"),
]


@pytest.mark.parametrize(("worker", "said"), UNRUNNABLE)
def test_what_cannot_be_run_is_refused_when_it_is_enqueued(light, worker, said):
    with pytest.raises(TypeError, match=f"worker {worker.__name__} .*{said}"):
        worker.perform_async()
    with pytest.raises(TypeError, match=said):
        light.enqueue(worker, {"n": 1})
    with pytest.raises(TypeError, match=said):
        light.enqueue_many(worker, [{}])

    assert light.count_workers() == 0


@pytest.mark.parametrize("worker", [Supplied, Defaults, RightOrder])
def test_what_can_be_made_without_arguments_is_enqueued(light, worker):
    for _ in range(2):
        assert light.enqueue(worker).worker == worker.antq_name


def test_a_subclass_is_judged_by_itself(light):
    class Sub(Defaults):
        def __init__(self, database):
            super().__init__(database)

    light.enqueue(Defaults)

    with pytest.raises(TypeError, match="missing a required argument"):
        light.enqueue(Sub)

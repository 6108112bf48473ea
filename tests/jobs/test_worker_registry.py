"""Two workers with one stored name, and one worker that is defined again."""

import importlib
import runpy
import sys
import textwrap
from dataclasses import dataclass

import pytest
from support.programs import in_a_fork

from antq_actors.jobs import resolver, worker_registry
from antq_actors.jobs.function_worker import worker
from antq_actors.jobs.worker import Worker


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write the source of an importable module, and import it, or reload it."""
    monkeypatch.syspath_prepend(tmp_path)
    written = set()

    def write(name, source):
        (tmp_path / f"{name}.py").write_text(
            "from antq_actors import Worker, worker\n" + textwrap.dedent(source)
        )
        importlib.invalidate_caches()
        # A file of the same second and size is thought to be the same.
        (tmp_path / "__pycache__" / f"{name}.{sys.implementation.cache_tag}.pyc").unlink(
            missing_ok=True
        )
        written.add(name)
        if name in sys.modules:
            return importlib.reload(sys.modules[name])
        return importlib.import_module(name)

    yield write
    for name in written:
        sys.modules.pop(name, None)


@pytest.fixture
def cell():
    """Run cells of a notebook, each in a file of its own."""
    namespace = {"__name__": "__main__", "worker": worker, "Worker": Worker, "__spec__": None}

    def run(number, source, file="<ipython-input-{}-5f3b>"):
        exec(compile(source, file.format(number), "exec"), namespace)  # noqa: S102 - as IPython
        return namespace

    return run


def resolve(name):
    return resolver.resolve(name, job_id=1)


# ---- refused ------------------------------------------------------------------------------------


def define_class(name):
    class Other(Worker, name=name):
        def perform(self, job): ...

    return Other


def define_function(name):
    @worker(name=name)
    def other(): ...

    return other


@pytest.mark.parametrize("second", [define_class, define_function])
def test_a_second_worker_of_one_name_is_refused_naming_both(second):
    name = f"names:first_{second.__name__}"

    class First(Worker, name=name): ...

    with pytest.raises(ValueError, match="two workers have the stored name") as refused:
        second(name)

    said = str(refused.value)
    assert said.count(f"{__file__}:") == 2
    assert "<locals>.First (" in said
    assert "<locals>.O" in said or "<locals>.o" in said
    assert "name='…'" in said
    assert resolve(name) is First


def test_a_refused_worker_leaves_no_trace():
    class Taken(Worker, name="names:taken"): ...

    def clash():
        class Late(Worker, name="names:taken"): ...

    with pytest.raises(ValueError, match="two workers"):
        clash()

    path = f"{__name__}:{clash.__qualname__}.<locals>.Late"
    assert worker_registry.defined(path) is None


def test_a_name_that_is_the_path_of_another_worker_is_refused():
    class Present(Worker): ...

    with pytest.raises(ValueError, match="two workers have the stored name"):

        class Impostor(Worker, name=Present.antq_name): ...

    assert resolve(Present.antq_name) is Present


def test_two_lambdas_are_two_definitions(module):
    with pytest.raises(ValueError, match=r"'names_l1:<lambda>'.*py:3\) and .*py:4\)"):
        module("names_l1", "\na = worker(lambda: 1)\nb = worker(lambda: 2)\n")


def test_two_lambdas_of_one_line_are_two_definitions(module):
    with pytest.raises(ValueError, match="two workers have the stored name"):
        module("names_l2", "both = [worker(lambda: id(1)), worker(lambda: id(1))]")


def test_two_lambdas_of_one_function_are_two_definitions():
    def make():
        return worker(lambda: 1), worker(lambda: 2)

    with pytest.raises(ValueError, match="two workers have the stored name"):
        make()


def test_lambdas_with_names_of_their_own_stand_beside_each_other(module):
    made = module(
        "names_l3",
        "a = worker(name='names:a')(lambda: 1)\nb = worker(name='names:b')(lambda: 2)\n",
    )

    assert (resolve("names:a"), resolve("names:b")) == (made.a, made.b)


def test_two_lambdas_of_two_cells_are_two_definitions(cell):
    cell(1, "a = worker(name='names:cells')(lambda: 1)")

    with pytest.raises(ValueError, match=r"<ipython-input-1-5f3b>:1.*<ipython-input-2-5f3b>:1"):
        cell(2, "b = worker(name='names:cells')(lambda: 2)")


# ---- defined again --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "class Mail(Worker): pass",
        "class Mail(Worker, name='names:Mail'): pass",
        "@worker\ndef Mail(): pass",
        "@worker(name='names:mail')\ndef Mail(): pass",
        "Mail = worker(lambda: 1)",
        "Mail = type('Made', (Worker,), {})",
    ],
)
def test_a_reloaded_module_takes_its_names_over(module, source):
    name = f"names_r{abs(hash(source))}"
    first = module(name, source).Mail

    second = module(name, f"# edited\n\n{source}").Mail

    assert second is not first
    assert resolve(first.antq_name) is second


def test_what_a_reloaded_module_replaced_can_still_be_enqueued(module):
    source = "class Mail(Worker):\n    def perform(self, job): ...\n@worker\ndef send(): ..."
    made = module("names_r1", source)
    mail, send = made.Mail, made.send

    module("names_r1", source)

    assert mail.build().worker == "names_r1:Mail"
    assert send.build().worker == "names_r1:send"


def test_a_worker_that_is_renamed_and_reloaded_keeps_its_name(module):
    module("names_r2", "class Old(Worker, name='names:renamed'): ...")

    made = module("names_r2", "class New(Worker, name='names:renamed'): ...")

    assert resolve("names:renamed") is made.New


def test_a_worker_that_is_given_a_name_answers_to_its_place_as_it_is_now(module):
    module("names_r3", "class Mail(Worker): ...")

    made = module("names_r3", "class Mail(Worker, name='names:given'): ...")

    assert resolve("names_r3:Mail") is resolve("names:given") is made.Mail


def test_a_module_imported_anew_takes_its_names_over(module):
    source = "class Mail(Worker, name='names:anew'): ...\nsend = worker(lambda: 1)"
    module("names_r4", source)
    del sys.modules["names_r4"]

    made = module("names_r4", source)

    assert resolve("names:anew") is made.Mail
    assert resolve("names_r4:<lambda>") is made.send


def test_a_file_run_as_a_script_and_imported_has_two_names(module, tmp_path):
    imported = module(
        "names_r5", "class Mail(Worker): ...\nclass Named(Worker, name='names:twice'): ..."
    )

    run = runpy.run_path(str(tmp_path / "names_r5.py"), run_name="names_main")

    assert resolve("names_r5:Mail") is imported.Mail
    assert resolve("names_main:Mail") is run["Mail"]
    assert resolve("names:twice") is run["Named"]


@pytest.mark.parametrize("file", ["<ipython-input-{}-5f3b>", "/of/ipykernel_12/{}.py", "<stdin>"])
@pytest.mark.parametrize(
    "source",
    [
        "class Cell(Worker): pass",
        "class Cell(Worker, name='names:cell'): pass",
        "@worker\ndef Cell(): pass",
        "Cell = worker(name='names:lambda-{}')(lambda: 1)",
    ],
)
def test_a_cell_that_is_run_again_takes_its_names_over(cell, source, file):
    source = source.replace("{}", str(abs(hash(file))))
    first = cell(1, source, file)["Cell"]

    second = cell(2, source, file)["Cell"]

    assert resolve(second.antq_name) is second
    assert second is not first


def test_what_a_cell_replaced_can_still_be_enqueued(cell):
    source = "class Cell2(Worker):\n    def perform(self, job): ..."
    first = cell(1, source)["Cell2"]

    cell(2, source)

    assert first.build().worker == "__main__:Cell2"


def test_a_slotted_dataclass_is_one_definition():
    @dataclass(slots=True)
    class Slotted(Worker, name="names:slotted"):
        size: int = 5

        def perform(self, job): ...

    assert resolve("names:slotted") is Slotted
    assert Slotted.build().worker == "names:slotted"
    with pytest.raises(ValueError, match="two workers"):
        define_class("names:slotted")


def test_a_subclass_has_a_name_of_its_own():
    class Base(Worker, name="names:base"):
        def perform(self, job): ...

    class Sub(Base): ...

    assert resolve("names:base") is Base
    assert resolve(Sub.antq_name) is Sub


# ---- inside functions -----------------------------------------------------------------------


def make_class(n):
    class Local(Worker):
        def perform(self, job):
            return n

    return Local


def make_function(n):
    @worker
    def local():
        return n

    return local


def make_lambda(n):
    return worker(lambda: n)


def make_by_type(n):
    return type("Made", (Worker,), {"perform": lambda self, job: n})


def make_named(n):
    @worker(name="names:one-for-all")
    def local():
        return n

    return local


@pytest.mark.parametrize("make", [make_class, make_function, make_lambda, make_by_type, make_named])
def test_the_closure_that_was_replaced_is_refused_when_it_is_enqueued(make, light):
    first, second = make(1), make(2)

    with pytest.raises(ValueError, match=r"was replaced by a later definition.*name='…'"):
        light.enqueue(first)
    with pytest.raises(ValueError, match="was replaced"):
        light.enqueue_many(first, [{}])
    with pytest.raises(ValueError, match="was replaced"):
        first.perform_async()

    assert light.count_workers() == 0
    assert light.enqueue(second).worker == second.antq_name
    assert resolve(second.antq_name) is second


def test_a_closure_is_enqueued_while_it_is_the_only_one(light):
    def only():
        @worker
        def alone(): ...

        return alone

    alone = only()

    assert light.enqueue(alone).worker == alone.antq_name


def test_closures_with_names_of_their_own_stand_beside_each_other(light):
    def make(n):
        @worker(name=f"names:closure-{n}")
        def local():
            return n

        return local

    first, second = make(1), make(2)

    assert light.enqueue(first).worker == "names:closure-1"
    assert light.enqueue(second).worker == "names:closure-2"
    assert (resolve("names:closure-1"), resolve("names:closure-2")) == (first, second)


def test_workers_made_in_a_loop_of_a_module_are_refused_but_the_last(module):
    made = module(
        "names_loop",
        """
        made = []
        for n in range(2):
            @worker
            def send(n=n):
                return n
            made.append(send)
        """,
    ).made

    with pytest.raises(ValueError, match="was replaced"):
        made[0].build()
    assert made[1].build().worker == "names_loop:send"


TWO_LOGGED = """
        @worker
        @logged
        def a(): ...

        @worker
        @logged
        def b(): ...
        """


def test_a_decorator_that_hides_names_makes_one_closure_after_the_other(module):
    source = """
        def logged(function):
            def inner():
                return function()
            return inner
        """
    made = module("names_plain", source + TWO_LOGGED)

    with pytest.raises(ValueError, match="was replaced"):
        made.a.build()
    assert made.b.build().worker == "names_plain:logged.<locals>.inner"


def test_functions_behind_functools_wraps_keep_their_own_names(module):
    source = """
        import functools
        def logged(function):
            @functools.wraps(function)
            def inner():
                return function()
            return inner
        """
    made = module("names_wraps", source + TWO_LOGGED)
    a = made.a

    module("names_wraps", source + TWO_LOGGED)

    assert [made.a.build().worker, made.b.build().worker] == ["names_wraps:a", "names_wraps:b"]
    assert a.build().worker == "names_wraps:a"  # replaced by the reloaded module, and not hidden


def test_a_function_made_a_worker_twice_is_one_definition():
    def send(): ...

    first = worker(send)
    second = worker(priority=5)(send)

    assert resolve(second.antq_name) is second
    assert first.build().priority == 0


def test_a_forked_child_keeps_the_names_of_its_parent():
    class Parents(Worker, name="names:parents"): ...

    def define_it_again():
        with pytest.raises(ValueError, match="two workers"):
            define_class("names:parents")
        return resolve("names:parents") is Parents

    assert in_a_fork(define_it_again) == "True"


def test_a_decorated_class_is_found_by_the_code_that_decorates(module):
    made = module(
        "names_deco",
        """
        def job(function):
            return type(
                function.__name__,
                (Worker,),
                {"__module__": function.__module__, "perform": lambda self, job: function()},
            )

        @job
        def first(): ...

        @job
        def second(): ...
        """,
    )

    assert made.first.build().worker == "names_deco:first"
    assert made.second.build().worker == "names_deco:second"


def test_a_class_that_a_function_made_is_imported_only_where_it_is_found(module):
    made = module(
        "names_made",
        """
        def make(name):
            return type(name, (Worker,), {"perform": lambda self, job: None})

        Found = make("Found")
        lost = make("Lost")

        class Plain(Worker):
            def perform(self, job): ...
        """,
    )

    assert resolver.is_importable(made.Found)
    assert resolver.is_importable(made.Plain)
    assert not resolver.is_importable(made.lost)

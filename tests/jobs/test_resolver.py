"""From a stored name to its worker, and what a script may still define."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from antq_actors.errors import NotAWorker, WorkerNotFound
from antq_actors.jobs import resolver, worker_registry
from antq_actors.jobs.worker import Worker


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write the source of an importable module that nobody has imported yet."""
    monkeypatch.syspath_prepend(tmp_path)
    written = []

    def write(name, source):
        (tmp_path / f"{name}.py").write_text(source)
        written.append(name)

    yield write
    for name in written:
        sys.modules.pop(name, None)


def resolve(name, **options):
    return resolver.resolve(name, job_id=4711, **options)


def test_a_class_inside_a_function_is_found_while_its_process_lives():
    def define():
        class Inner(Worker): ...

        return resolver.name_of(Inner)

    name = define()

    assert resolver.name_of(resolve(name)) == name


def test_a_later_definition_of_a_name_takes_its_place():
    first = type("Again", (Worker,), {})
    second = type("Again", (Worker,), {})

    assert resolver.name_of(first) == resolver.name_of(second)
    assert resolve(resolver.name_of(first)) is second


def test_a_worker_with_a_name_of_its_own_answers_to_its_place_as_well():
    class Moved(Worker, name="somewhere.else:Moved"):
        pass

    assert resolve("somewhere.else:Moved") is Moved
    assert resolve(f"{__name__}:{Moved.__qualname__}") is Moved


def test_a_worker_nobody_defined_is_imported(module):
    module(
        "shop_a",
        "from antq_actors.jobs.worker import Worker\nclass Outer:\n    class Mail(Worker): pass\n",
    )

    worker = resolve("shop_a:Outer.Mail")

    assert worker is sys.modules["shop_a"].Outer.Mail


def test_a_worker_that_its_old_module_imports_from_the_new_one_is_found(module):
    module("shop_new", "from antq_actors.jobs.worker import Worker\nclass Post(Worker): pass\n")
    module("shop_old", "from shop_new import Post as Mail\n")

    assert resolve("shop_old:Mail").__qualname__ == "Post"


def test_importing_a_module_may_define_the_name_by_another_class(module):
    module(
        "shop_b",
        "from antq_actors.jobs.worker import Worker\n"
        "class New(Worker, name='shop_b:Old'): pass\n"
        "Old = print\n",
    )

    assert resolve("shop_b:Old").__qualname__ == "New"


def test_a_missing_module_says_what_to_do():
    with pytest.raises(WorkerNotFound) as refused:
        resolve("shop_nowhere.mail:SendReceipt")

    assert str(refused.value) == (
        "job 4711 names the worker 'shop_nowhere.mail:SendReceipt', which cannot be imported:"
        " No module named 'shop_nowhere'\n"
        "This attempt counts as failed. If the class moved, let it answer to its old name, then"
        " retry the job:\n\n"
        '    class SendReceipt(Worker, name="shop_nowhere.mail:SendReceipt"): ...'
    )


def test_a_missing_class_is_named(module):
    module("shop_c", "")

    with pytest.raises(WorkerNotFound, match="module 'shop_c' has no 'Mail'"):
        resolve("shop_c:Mail")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("1 / 0", "ZeroDivisionError"),
        ("import nothing_of_that_name", "No module named 'nothing_of_that_name'"),
        ("class E(Exception):\n    __str__ = None\nraise E", "importing it raised E"),
    ],
)
def test_an_import_that_raises_anything_is_worker_not_found(module, source, said):
    module("shop_d", source)

    with pytest.raises(WorkerNotFound, match=said) as refused:
        resolve("shop_d:Mail")

    assert str(refused.value).endswith("When the module can be imported, retry the job")


def test_an_import_lets_through_what_its_caller_asks_for(module):
    module("shop_e", "raise KeyboardInterrupt")

    with pytest.raises(KeyboardInterrupt):
        resolve("shop_e:Mail", propagate=(KeyboardInterrupt,))


@pytest.mark.parametrize("name", ["", "Mail", "shop:", ":Mail", "..shop:Mail", "a b:c"])
def test_a_name_that_is_none_is_worker_not_found(name):
    with pytest.raises(WorkerNotFound):
        resolve(name)


def test_a_class_of_another_script_says_to_move_it_to_a_module():
    with pytest.raises(WorkerNotFound, match="Move the worker to a module"):
        resolve("__main__:NeverDefinedHere")


def test_a_class_inside_a_function_of_another_process_says_to_move_it():
    with pytest.raises(WorkerNotFound, match="top of a module"):
        resolve("shop:make.<locals>.Mail")


@pytest.mark.parametrize(
    "name", ["os:system", "os:path", "os:PathLike", "antq_actors.jobs.worker:Worker", "sys:argv"]
)
def test_what_is_no_worker_is_refused(name):
    with pytest.raises(NotAWorker, match=f"job 4711 names the worker '{name}'"):
        resolve(name)


def test_nothing_is_called_on_what_is_no_worker(module):
    module(
        "shop_f",
        "calls = []\n"
        "class Spy(type):\n"
        "    def __getattribute__(cls, name):\n"
        "        calls.append(name)\n"
        "        return super().__getattribute__(name)\n"
        "class Trap(metaclass=Spy):\n"
        "    @property\n"
        "    def __class__(self):\n"
        "        calls.append('__class__')\n"
        "        return int\n"
        "thing = Trap()\n",
    )
    for name in ("shop_f:Trap", "shop_f:thing"):
        with pytest.raises(NotAWorker):
            resolve(name)

    assert sys.modules["shop_f"].calls == []


def test_a_descriptor_in_a_class_is_not_run(module):
    module(
        "shop_g",
        "class Trap:\n"
        "    def __get__(self, instance, owner): raise SystemExit\n"
        "class Outer:\n"
        "    Mail = Trap()\n",
    )

    with pytest.raises(NotAWorker, match=r"an instance of .*shop_g\.Trap"):
        resolve("shop_g:Outer.Mail")


def test_a_module_whose_attributes_raise_has_no_such_worker():
    class Raising(ModuleType):
        def __getattr__(self, name):
            raise SystemExit

    sys.modules["shop_h"] = Raising("shop_h")
    try:
        with pytest.raises(WorkerNotFound, match="has no 'Mail'"):
            resolve("shop_h:Mail")
    finally:
        del sys.modules["shop_h"]


def test_a_spawned_child_knows_its_parents_script_by_the_same_name():
    assert worker_registry.default_name("__mp_main__", "Mail") == "__main__:Mail"


@pytest.mark.parametrize("thing", [5, "shop:Mail", Worker, object, print, None])
def test_what_is_no_worker_has_no_name(thing):
    with pytest.raises(TypeError, match="is no worker"):
        resolver.name_of(thing)


# ---- what a script may still define, by where it is ---------------------------------------------


SCRIPT = """
look("start")
class Early: pass
look("below Early")
@str
def late(): pass
class Outer:
    class Inner: pass
look("below Outer")
def main():
    look("in main")
    class Local: pass
    first, second = [], []
    look("below Local")
def plugins():
    class Plugin(name="shop:Moved"): pass
if False:
    class Never: pass
main()
class Named(dict, metaclass=lambda *_, **__: None, name="shop:Old"): pass
while not done():
    look("in a loop")
"""


def places(monkeypatch, name):
    """Run the script; answer at which places the worker called *name* may still come."""
    seen = []

    def look(place):
        if worker_registry.may_define(name):
            seen.append(place)

    namespace = {"__name__": "__main__", "look": look, "done": iter([False, True]).__next__}
    monkeypatch.setattr(sys, "flags", SimpleNamespace(interactive=0))
    exec(compile(SCRIPT, "script.py", "exec"), namespace)  # noqa: S102 - it is a script
    return seen


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("__main__:Early", ["start"]),
        ("__main__:late", ["start", "below Early"]),
        ("__main__:Outer.Inner", ["start", "below Early"]),
        ("__main__:main.<locals>.Local", ["start", "below Early", "below Outer", "in main"]),
        ("__main__:Gone", []),
        ("shop.mail:Early", []),
        ("shop:Old", ["start", "below Early", "below Outer", "in main", "below Local"]),
        ("shop:Moved", ["start", "below Early", "below Outer"]),
        ("__main__", []),
        ("", []),
    ],
)
def test_a_worker_may_come_until_the_script_is_past_it(monkeypatch, name, expected):
    assert places(monkeypatch, name) == expected


def test_nothing_comes_while_the_script_waits_for_the_end_of_its_application(monkeypatch):
    with worker_registry.nothing_more_defined():
        assert places(monkeypatch, "__main__:Early") == []


def test_at_a_prompt_anything_may_come_of_main_and_of_no_module(monkeypatch):
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)

    assert worker_registry.may_define("__main__:Anything")
    assert not worker_registry.may_define("shop.mail:Anything")


def test_a_job_waits_as_long_as_its_worker_has_been_awaited_within_limits(monkeypatch, caplog):
    monkeypatch.setattr(worker_registry, "_awaited", {})

    waits = [worker_registry.wait_seconds("__main__:X", 7, now) for now in (100, 100.2, 103, 4711)]

    assert waits == pytest.approx([0.05, 0.2, 3, 30])
    (record,) = caplog.records
    assert record.getMessage().startswith("job #7 waits for __main__ to define its worker")

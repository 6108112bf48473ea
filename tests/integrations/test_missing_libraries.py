"""What is imported without its library says what to install; nobody else imports any of them."""

from support.programs import run_python

LIBRARIES = {
    "flask": "Flask",
    "quart": "Quart",
    "litestar": "Litestar",
}
NONE_OF_THEM = """
import sys
import antq_actors, antq_actors.cli.start
from antq_actors.integrations import asgi
app = antq_actors.AntQ(sys.argv[1], queues={"default": 1})
with app:
    pass
asgi.lifespan(app)
outside = ["django", "django_tasks", "fastapi", "flask", "litestar", "opentelemetry", "quart"]
outside += ["prometheus_client", "sentry_sdk", "starlette", "watchfiles", "cryptography", "pytest"]
print([name for name in (*outside, "antq_actors.testing") if name in sys.modules])
"""
EACH = """
import importlib, sys
for name in sys.argv[1:]:
    sys.modules[name] = None
    try:
        importlib.import_module(f"antq_actors.integrations.{name}")
    except ImportError as error:
        print(type(error).__name__, error, error.__cause__, sep="|")
sys.modules["fastapi"] = None
from antq_actors.integrations import asgi
try:
    from antq_actors.integrations.asgi import AntQDep
except ImportError as error:
    print(type(error).__name__, error, error.__cause__, sep="|")
try:
    asgi.AntQDeb
except AttributeError as error:
    print(error)
"""


def test_an_application_that_uses_none_of_them_imports_none_of_them(tmp_path):
    done = run_python("-c", NONE_OF_THEM, tmp_path / "jobs", check=True)

    assert done.stdout == "[]\n"


def test_a_module_without_its_library_says_in_one_line_what_to_install():
    done = run_python("-c", EACH, *LIBRARIES, check=True)

    *modules, dependency, typo = done.stdout.splitlines()
    assert modules == [
        f"ImportError|this module needs {library}: pip install 'antq-actors[{name}]'|None"
        for name, library in LIBRARIES.items()
    ]
    assert dependency == "ImportError|AntQDep needs FastAPI: pip install fastapi|None"
    assert typo == "module 'antq_actors.integrations.asgi' has no attribute 'AntQDeb'"

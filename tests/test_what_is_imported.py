"""Libraries that connect an application with others are imported by those who use them alone."""

from importlib.util import find_spec

from support.programs import run_python

LIBRARIES = (
    *("a2wsgi", "cryptography", "django", "fastapi", "flask", "jinja2", "litestar"),
    *("opentelemetry", "prometheus_client", "pytest", "quart", "sentry_sdk", "starlette"),
    *("textual", "uvicorn", "watchfiles"),
)

PROGRAM = f"""
import sys
import antq_actors
from antq_actors import AntQ, Fail, Middleware, worker

antq_actors.telemetry.JobFilter, antq_actors.telemetry.log_events

class Nothing(Middleware):
    pass

@worker(max_attempts=2, retry_delay=0)
def fail():
    return Fail("no")

with AntQ(middleware=[Nothing()]) as app:
    app.wait([fail.perform_async()], timeout=60)
found = {{name.partition(".")[0] for name in sys.modules}} & set({LIBRARIES})
found |= {{name for name in sys.modules if name.startswith("antq_actors.testing")}}
print(*sorted(found))
"""


def test_an_application_that_uses_none_of_them_imports_none_of_them(tmp_path):
    assert any(map(find_spec, LIBRARIES))
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)

    done = run_python(script, cwd=tmp_path)

    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr

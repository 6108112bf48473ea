"""Run the checks of an exercise against a file, and print the result of each."""

import faulthandler
import importlib.util
import logging
import sys
import traceback
from pathlib import Path

from antq_actors.otp import ServerRef

SOLUTION_TIMEOUT_SECONDS = 120
"""After this time a solution that hangs is ended, and a traceback shows where it hangs."""


def run(checks, answer):
    """Run *checks*, functions of the solution, on the file of the command line, or on *answer*."""
    file = Path(sys.argv[1]).resolve() if sys.argv[1:] else Path(__file__).with_name(answer)
    faulthandler.dump_traceback_later(SOLUTION_TIMEOUT_SECONDS, exit=True)
    logging.disable()  # the checks crash actors on purpose
    try:
        solution = _load(file)
    except BaseException:  # noqa: BLE001 - the file of a learner can raise anything
        print(f"{file.name} cannot be imported:\n{_shortened(file)}")
        sys.exit(1)

    passed = sum(_passes(check, solution, file) for check in checks)
    print(f"{passed} of {len(checks)}")
    faulthandler.cancel_dump_traceback_later()
    sys.exit(passed < len(checks))


def started(function, *arguments):
    """Return what *function* of the solution has started, if it is an actor."""
    ref = function(*arguments)
    name = function.__name__
    assert isinstance(ref, ServerRef), f"{name} has returned {ref!r}, not the started actor"
    return ref


def _passes(check, solution, file):
    try:
        check(solution)
    except NotImplementedError:
        print(f"to do  {check.__doc__}")
    except AssertionError as error:
        print(f"no     {check.__doc__}\n       {error}")
    except Exception:  # noqa: BLE001 - a solution can raise anything
        print(f"no     {check.__doc__}\n{_shortened(file)}")
    else:
        print(f"ok     {check.__doc__}")
        return True
    return False


def _load(file):
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return module


def _shortened(file):
    """Return what was raised, with the lines of *file* that led there."""
    kind, error, trace = sys.exc_info()
    frames = [each for each in traceback.extract_tb(trace) if each.filename == str(file)]
    lines = [
        *traceback.format_list(frames),
        *traceback.format_exception_only(kind, error),
    ]
    return "".join("       " + line for text in lines for line in text.splitlines(keepends=True))


if __name__ == "__main__":
    print("Run chat_server_check.py or crawler_check.py instead; they use this file.")

# Output:
# Run chat_server_check.py or crawler_check.py instead; they use this file.

"""The commands of ``antq``: the name, the summary and the function of each.

The module of a command is imported when the command is run or its own help is shown. ``antq
--help`` shows all summaries without importing the modules, so they are repeated here. A test
compares them with the docstrings of the functions.
"""

from typing import Final, NamedTuple


class Command(NamedTuple):
    """One command of ``antq``."""

    place: str
    """Its function, as ``module:name`` in ``antq_actors.cli``."""
    summary: str
    """The first line of its function's docstring."""


COMMANDS: Final = {
    "start": Command("start:start", "Run the queues of an application."),
    "demo": Command("demo:demo", "Send a promotion to every lead in a file."),
    "course": Command("course:course", "List the programs of the OTP course; show and run one."),
    "list": Command("listing:list_jobs", "List jobs by id. A job must match all filters."),
    "show": Command(
        "jobs:show", "Show one job with its errors and stack traces, and where it runs."
    ),
    "count": Command("jobs:count", "Count jobs, as fast with ten million as with ten."),
    "nodes": Command("jobs:nodes", "Show which processes run which queues, and how many jobs."),
    "enqueue": Command("enqueue:enqueue", "Enqueue one job."),
    "cancel": Command("changes:cancel", "Cancel jobs that have not ended."),
    "retry": Command("changes:retry", "Enqueue ended jobs again."),
    "delete": Command("changes:delete", "Delete jobs of any status, for good."),
    "pause": Command(
        "changes:pause",
        "Pause queues in every process on the path; they stay paused after a restart.",
    ),
    "resume": Command("changes:resume", "Resume paused queues, in every process on the path."),
    "verify": Command(
        "maintenance:verify", "Compare every index, count and unique key with the jobs."
    ),
    "backup": Command(
        "maintenance:backup",
        "Copy the current state of a store to a new directory, while applications run.",
    ),
    "restore": Command(
        "maintenance:restore", "Create a store from a backup, after verifying the backup."
    ),
    "compact": Command("maintenance:compact", "Return the space of deleted data to the disk."),
    "migrate": Command("maintenance:migrate", "Convert a store to the format of this release."),
    "reseal": Command("maintenance:reseal", "Sign all jobs in a store with the first signing key."),
    "export": Command(
        "maintenance:export_jobs", "Write jobs as lines of JSON, while applications run."
    ),
    "import": Command(
        "maintenance:import_jobs",
        "Import the jobs of an export; use only a file that you trust as you trust code.",
    ),
}

"""``manage.py antq``: the commands of antq for the application of a backend."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from antq_actors.cli.embedded import run
from antq_actors.integrations.django import site


class Command(BaseCommand):
    """Run the queues of the site, and look after its jobs."""

    help = "Run the queues of this site: start. Or look after its jobs: list, show, retry, …"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Take the alias of a backend, and the command line of antq as it is."""
        parser.add_argument("--backend", help="its alias in TASKS; by default the first one")
        parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="command")

    def handle(self, *_: Any, **options: Any) -> None:
        """Run the command line of antq."""
        known = site.backends()
        alias = options["backend"] or next(iter(known), None)
        if alias not in known:
            raise CommandError(
                "TASKS has no backend antq_actors.integrations.django.AntqBackend"
                + (f" named {alias!r}" if alias else "")
            )
        code = run(known[alias].app, options["arguments"], f"TASKS[{alias!r}]", "manage.py antq")
        if code:
            sys.exit(code)

"""The command line of the kiosk, a Django project with tasks."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kiosk.settings")
    execute_from_command_line(sys.argv)

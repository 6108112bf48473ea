"""The command ``manage.py antq``."""

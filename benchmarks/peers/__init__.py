"""One file for each contestant, all doing the same work; ``contract.py`` says what work.

These run in the virtual environment of the peer, which has the peer and nothing of the suite:
``python -m peers NAME TASK`` with the settings in the environment. The suite is in ``comparison/``.
"""

"""``python -m antq_actors``: the command ``antq``, by the interpreter that is asked."""

from antq_actors.cli import main

main()

"""One application in several processes of the operating system, under a supervisor.

    parent         the program that starts them and passes signals on: the tree, with an actor
                   for each process
    process_group  one process, seen from both ends, and all of them, for signals to all

The tree of the parent, which opens no store and imports no application:

antq               one_for_one
├── process 1      begins alone; the others follow when it is up
└── process 2 …    each an interpreter of its own, with the whole tree of the application
"""

"""One application in several processes of the operating system, under a supervisor.

    parent         the program that starts them and passes signals on: the tree and its end
    process_actor  the child actor that owns one process
    living         the processes that live, for signals that are for all of them
    os_process     one process: started, told to end, heard of when it has ended
    lifeline       the other end: what a process has to do with the one that started it

The tree of the parent, which opens no store and imports no application:

antq               one_for_one
├── process 1      begins alone; the others follow when it is up
└── process 2 …    each an interpreter of its own, with the whole tree of the application
"""

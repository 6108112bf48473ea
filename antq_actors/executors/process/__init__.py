"""The executor ``process``: an OS process for each slot, in which one attempt runs at a time.

pool.py        gives attempts to slots, and starts as many slots as are needed
slot.py        the actor of one OS process: hands it attempts, hears their ends, replaces it
os_process.py  an OS process: started, told to end, killed, and why it ended
stderr.py      what the processes write to their standard error: passed on, and its end kept
wire.py        what goes over the pipe
session.py     what a slot says to its process for one attempt, and hears
child.py       the other end of the pipe: the program that runs there
parent_connection.py  that end, for all threads of the program
calls.py       what a job wants of its application, packed there and done here
logs.py        what a job logs, handled by the parent alone
parent_proxy.py  what stands there for queue, application and log
"""

"""The executor ``process``: an OS process for each slot, in which one attempt runs at a time.

pool.py        gives attempts to slots, and starts as many slots as are needed
slot.py        the actor of one OS process: gives it attempts, receives their outcomes, replaces it
os_process.py  an OS process: started, terminated, killed, and why it ended
stderr.py      what the processes write to their standard error: passed on, and its end kept
wire.py        what goes over the pipe
session.py     what a slot and its process exchange for one attempt
child.py       the other end of the pipe: the program that runs there
parent_connection.py  that end, for all threads of the program
calls.py       what a job calls on its application: packed there, done here
logs.py        what a job logs, handled by the parent alone
parent_proxy.py  stand-ins there for the queue, the application and the log
"""

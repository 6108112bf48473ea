"""The executor ``process``: an OS process for each slot, in which one attempt runs at a time.

executor.py    the executor and its actors: that of the pool, and one for each slot's process
pool.py        which attempt waits, and which slot takes it
session.py     what a slot and its process exchange for one attempt
os_process.py  an OS process: started, terminated, killed, and why it ended
output.py      what processes log and write to standard error: passed on by the parent
wire.py        what goes over the pipe
child.py       the other end of the pipe: the program that runs there
parent_connection.py  that end, for all threads of the program; the control and application there
"""

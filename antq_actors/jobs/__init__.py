"""Jobs as plain values: what they are, how they change, how one is performed.

Nothing here knows of threads, actors or the disk.
"""

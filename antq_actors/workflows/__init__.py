"""What follows from a job for others, as values and pure rules: groups and what they count.

Nothing here knows jobs, threads, the disk or the clock.
"""

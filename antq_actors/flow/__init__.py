"""Pure rules of who may start, and when: limits and periodic jobs. The store applies them.

They see values and the time that is passed in: no thread, no disk, no clock.
"""

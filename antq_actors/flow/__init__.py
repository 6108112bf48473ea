"""Pure rules of who may start, and when: limits. The store applies them when a queue claims.

They see values and the time that is passed in: no thread, no disk, no clock.
"""

"""One actor: its cell, its mailbox, its loop, and the values that it receives."""

"""Locks on files: of a store, of a node, and LMDB's own."""

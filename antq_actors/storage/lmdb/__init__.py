"""LMDB: the environment, its tables and keys, its directory and files."""

"""Looking at a running tree, and disturbing it on purpose."""

"""What runs ``perform``: the contract is in ``base.py``, and each kind in a file of its own."""

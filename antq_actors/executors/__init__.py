"""What runs ``perform``: the contract is in ``contract.py``, and each kind in a file of its own."""

"""Ours and the peers on the same work, in turn: who takes part, how, and what is made of it.

``contestants`` says who; ``environments`` and ``servers`` give them what they need; ``rounds`` has
them measured; ``tables``, ``plots`` and ``page`` show the results. What contestants do is in
``peers/``.
"""

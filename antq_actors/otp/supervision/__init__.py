"""Supervisors: what they decide, and what they do."""

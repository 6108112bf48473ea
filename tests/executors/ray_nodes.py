"""How the nodes of a test's Ray cluster are set up."""

NODE = {"object_store_memory": 80_000_000, "include_dashboard": False}

FAST = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 2,
}
"""It learns of a node's death within two seconds, instead of twenty."""

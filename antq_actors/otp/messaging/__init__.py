"""Two actors: calls, monitors, links, timers and names."""

"""What administrators do with a whole store."""

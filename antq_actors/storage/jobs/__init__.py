"""The jobs in a store: reading, writing, claiming; each method is one verb and one transaction."""

"""The bytes in a store: records, arguments, signatures."""

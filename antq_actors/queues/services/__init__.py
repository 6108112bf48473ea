"""What runs again and again beside the queues: rescuer, pruner, periodic entries and limits."""

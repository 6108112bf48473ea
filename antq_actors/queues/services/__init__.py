"""What runs again and again beside the queues: the rescuer and the pruner."""

"""What is built on supervisors: tasks and agents."""

"""What must be seen by a human: raised, taken, closed."""

"""What other programs call: the API, hooks, health."""

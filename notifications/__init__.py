"""Delivery: words the domain's messages and carries them, in its own process."""

"""Meetings: offered, answered, held."""

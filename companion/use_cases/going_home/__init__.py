"""A stay ends: the discharge, the list it comes on, the plan it starts."""

"""The meeting: its door, its room, who is in."""

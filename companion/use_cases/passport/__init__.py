"""The passport: its lines, its wheel, what its owner wishes."""

"""Measurements, as ratios to what else carries the same letters in the same run: `python -m bench messages`."""

"""Measurements, as ratios to what else does the same in the same run: `python -m bench measure`."""

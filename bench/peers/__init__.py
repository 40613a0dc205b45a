"""Other people's queues carrying the same letters; they run in `var/bench/venv` and import nothing of ours but `bench.letter`."""

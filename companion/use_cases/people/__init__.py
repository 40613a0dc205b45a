"""People and programs: how they come in, what they prefer, whom they may reach."""

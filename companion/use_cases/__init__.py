"""The steps of the story, one file per step, verbs inside."""

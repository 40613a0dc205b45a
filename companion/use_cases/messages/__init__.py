"""Letters: written, sent again, answered; how a person can be reached."""

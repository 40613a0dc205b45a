"""What is kept and for how long: the access log, a person's own copy, erasing."""

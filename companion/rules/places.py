"""What kinds of units there are, and in what roles people work there."""

UNIT_KINDS = ("ward", "art", "municipal_rehab", "coordinating_unit", "private_rehab")
ROLES = ("staff", "therapist", "leader", "admin")

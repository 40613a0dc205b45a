"""The desk: what staff and therapists read and do."""

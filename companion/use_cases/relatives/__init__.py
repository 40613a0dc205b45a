"""Relatives: let in by the patient's grant, and out again."""

"""The rules: values in, decisions with reasons out; no session, no clock, no files."""

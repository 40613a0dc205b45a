"""The field's formats, both ways: values in, values out. No records, no session."""

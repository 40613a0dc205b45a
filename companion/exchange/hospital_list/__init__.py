"""A hospital's list of discharges, as hospitals really export them: files into rows of text, without a look at the records."""

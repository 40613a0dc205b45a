"""E-mail, to our own people who have chosen it: by any SMTP server that takes STARTTLS."""

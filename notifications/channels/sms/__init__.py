"""SMS: by Twilio, or to the demo's phones."""

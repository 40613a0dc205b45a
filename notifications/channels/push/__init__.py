"""Web Push to the person's own devices."""

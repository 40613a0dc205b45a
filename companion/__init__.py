"""The domain: follow-up after a rehabilitation stay. No HTTP, no templates, no provider."""

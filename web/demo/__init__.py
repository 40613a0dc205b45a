"""The try-out room: invented people, their phones, a clock that can be moved, and a provider that vouches for them."""

"""The routes, one module per audience."""

"""The relative's pages."""

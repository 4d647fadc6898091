"""Exchange formats of utility features."""

"""Buried infrastructure: the LER data model, and the formats in which it comes and goes."""

"""The deployable part of geoinfra: HTTP, processes, secrets and settings."""

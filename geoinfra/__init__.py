"""geoinfra: the library of public geodata infrastructure. It knows no HTTP and reads no environment."""

__version__ = "0.1.0"

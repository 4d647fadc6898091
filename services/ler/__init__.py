"""LER's system-to-system interface: machines written for LER work here when their host is changed."""

from services.ler.routes import mount

__all__ = ["mount"]

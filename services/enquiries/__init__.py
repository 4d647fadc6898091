"""The face for dig enquiries, packages, deliveries and addresses."""

from services.enquiries.documents import describe
from services.enquiries.routes import router

__all__ = ["describe", "router"]

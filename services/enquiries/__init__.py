"""The face for dig enquiries, packages, deliveries, addresses, channels for notices and events."""

from services.enquiries.channels import router as channels_router
from services.enquiries.damages import router as damages_router
from services.enquiries.differences import router as differences_router
from services.enquiries.documents import describe
from services.enquiries.feed import EventFeed
from services.enquiries.keys import router as keys_router
from services.enquiries.owners import router as owners_router
from services.enquiries.routes import router
from services.enquiries.waiting import PackageWaits

__all__ = [
    "EventFeed",
    "PackageWaits",
    "channels_router",
    "damages_router",
    "describe",
    "differences_router",
    "keys_router",
    "owners_router",
    "router",
]

"""The public keys that packages are signed with, for everybody."""

from __future__ import annotations

import orjson
from fastapi import APIRouter
from starlette.responses import Response

from geoinfra.flows import signing
from geoinfra.utilities.signatures import keys_document
from services.enquiries.routes import StoreOf

__all__ = ["router"]

router = APIRouter()


@router.get("/.well-known/geoinfra-keys.json", tags=["Dig enquiries"], summary="Read the public keys")
def get_keys(store: StoreOf) -> Response:
    """Return the Ed25519 keys that packages are signed with (a JSON Web Key Set), retired ones too."""
    signing.ensure_key(store)
    return Response(
        orjson.dumps(keys_document(signing.public_keys(store))),
        headers={"Cache-Control": "public, max-age=300", "X-Content-Type-Options": "nosniff"},
        media_type="application/jwk-set+json",
    )

"""Load a generated town into a store, by the same ways that real owners and operators use."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from geoinfra.access import Access, Role
from geoinfra.flows.deliveries import deliver, publish_dataset
from geoinfra.flows.owners import read_interest_areas
from geoinfra.storage import Store, organisations

__all__ = ["OPEN_LAYERS", "load_town"]

OPEN_LAYERS = ("landuse", "stream", "parcels", "streets", "road-sections", "buildings", "addresses")


def load_town(store: Store, folder: Path, *, progress: Callable[[float, str], None] | None = None) -> None:
    """Publish the open layers, register the owners and deliver their lines from the folder of a town.

    Raises
    ------
    DataRefused
        A delivery holds errors.
    """
    owners = json.loads((folder / "owners.json").read_text("utf-8"))
    layers = [name for name in OPEN_LAYERS if (folder / f"{name}.gpkg").exists()]
    steps = len(layers) + len(owners)
    tell = progress or (lambda _fraction, _text: None)
    operator = Access("system:sample", None, frozenset({Role.ADMIN}))
    for done, name in enumerate(layers):
        tell(done / steps, name)
        publish_dataset(store, operator, folder / f"{name}.gpkg", name)
    register_owners(store, folder, owners)
    for done, owner in enumerate(owners, start=len(layers)):
        tell(done / steps, owner["name"])
        access = Access("system:sample", owner["cvr"], frozenset({Role.OWNER}))
        deliver(store, access, folder / "deliveries" / f"{owner['cvr']}.gml", owner["cvr"])
    tell(1.0, "done")


def register_owners(store: Store, folder: Path, owners: list[dict[str, object]]) -> None:
    """Record each owner with the interest areas of ``interest-areas.geojson``."""
    with store.begin() as tx:
        for owner in owners:
            cvr, contact = str(owner["cvr"]), owner.get("contact")
            if organisations.get_organisation(tx.connection, cvr) is None:
                details = {str(k): str(v) for k, v in contact.items()} if isinstance(contact, dict) else {}
                organisations.add_organisation(tx, cvr, str(owner["name"]), details)
            own = read_interest_areas(folder / "interest-areas.geojson", cvr)
            organisations.set_interest_areas(tx, cvr, own)
        tx.commit()

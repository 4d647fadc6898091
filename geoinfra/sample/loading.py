"""Load a generated town into a store, by the same ways that real owners and operators use."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

from geoinfra.access import Access, Role
from geoinfra.flows.deliveries import deliver, publish_dataset
from geoinfra.flows.grids import GridFacts, publish_grid_dataset
from geoinfra.flows.owners import read_interest_areas
from geoinfra.storage import Store, organisations
from geoinfra.storage.grids import Parameter

__all__ = ["HEIGHT", "OPEN_LAYERS", "load_grids", "load_town"]

OPEN_LAYERS = ("landuse", "stream", "parcels", "streets", "road-sections", "buildings", "addresses")

HEIGHT = Parameter(
    id="height",
    title={"da": "Højde", "en": "Height"},
    unit="m",
    datum="DVR90",
    standard_name="surface_altitude",
    observed_property="https://vocab.nerc.ac.uk/standard_name/surface_altitude/",
    decimals=2,
)
"""What the terrain model tells."""

_PARAMETER_TITLES = {
    "mean_temp": {"da": "Middeltemperatur", "en": "Mean temperature"},
    "acc_precip": {"da": "Nedbør", "en": "Precipitation"},
    "mean_wind_speed": {"da": "Middelvindhastighed", "en": "Mean wind speed"},
    "mean_wind_dir": {"da": "Middelvindretning", "en": "Mean wind direction"},
    "mean_relative_hum": {"da": "Relativ fugtighed", "en": "Relative humidity"},
    "sealev_dvr": {"da": "Vandstand over DVR90", "en": "Sea level over DVR90"},
    "tw": {"da": "Vandtemperatur", "en": "Water temperature"},
}
_OPERATOR = Access("system:sample", None, frozenset({Role.ADMIN}))


def load_grids(store: Store, bounds: tuple[float, float, float, float]) -> None:
    """Make and publish the terrain within `bounds` (EPSG:25832), the weather cube and the sea levels.

    Raises
    ------
    MissingResource
        The packages that read cubes are not installed.
    """
    from geoinfra.sample import grids  # rasterio takes long to import

    invented = GridFacts(titles=_PARAMETER_TITLES, source="Havnsby (invented)")
    day = date(2025, 4, 15)
    terrain = GridFacts(parameters=(HEIGHT,), source="Havnsby (invented)", captured=(day, day))
    with tempfile.TemporaryDirectory(prefix="geoinfra-grids-") as name:
        folder = Path(name)
        grids.write_dtm(folder / "terrain", bounds)
        publish_grid_dataset(store, _OPERATOR, folder / "terrain", "terrain-dtm", terrain)
        weather = grids.write_weather(folder / "weather.zarr")
        publish_grid_dataset(store, _OPERATOR, weather, "weather", invented)
        levels = grids.write_sea_level(folder / "sea-level.zarr")
        publish_grid_dataset(store, _OPERATOR, levels, "sea-level", invented)


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
    for done, name in enumerate(layers):
        tell(done / steps, name)
        publish_dataset(store, _OPERATOR, folder / f"{name}.gpkg", name)
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

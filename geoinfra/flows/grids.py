"""Publish grids: GeoTIFFs as a raster, a Zarr folder as a cube."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from geoinfra.access import Access, Role, Visibility
from geoinfra.errors import InvalidInput
from geoinfra.storage import Store, collections
from geoinfra.storage.collections import Kind
from geoinfra.storage.cubes import write_cube
from geoinfra.storage.grids import Grid, GridKind, Parameter, publish_grid
from geoinfra.storage.records import Transaction

__all__ = ["GridFacts", "kind_of", "publish_grid_dataset", "publish_grid_file"]

_INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,62}")
_ZARR_MARKS = ("zarr.json", ".zgroup", ".zmetadata")
_SUFFIXES = (".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class GridFacts:
    """What a file does not say of itself.

    Attributes
    ----------
    parameters
        Of a raster: one a band. ``None`` makes one of the collection's id, without unit.
    titles
        Of a cube: texts in ``da`` and ``en`` by name of the variable.
    datum
        Vertical datum of values in metres: ``DVR90``, or ``none`` for lengths that are no heights.
    source
        Whose measurement or model it is.
    captured
        First and last date of the capture.
    instance
        Name of the version, for instance of a model run: versions of other names stay beside it, and the one
        whose name sorts last is the one that is shown.
    """

    parameters: tuple[Parameter, ...] | None = None
    titles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    datum: str = ""
    source: str = ""
    captured: tuple[date, date] | None = None
    instance: str = "operator"

    def __post_init__(self) -> None:
        if not _INSTANCE.fullmatch(self.instance):
            raise InvalidInput(
                f"A version cannot be called '{self.instance[:60]}'.",
                hint="At most 63 letters, digits, '-', '_', '.' and ':'.",
            )


def kind_of(path: Path) -> Kind:
    """Return what a path would be published as, judged by its name and, of a folder, by what is in it."""
    if path.is_dir():
        if any((path / mark).exists() for mark in _ZARR_MARKS):
            return Kind.CUBE
        if _rasters(path):
            return Kind.RASTER
        raise InvalidInput(
            f"The folder '{path.name}' holds neither a Zarr group nor GeoTIFFs.",
            hint="Name a file, a Zarr folder, or a folder of .tif files.",
        )
    return Kind.RASTER if path.suffix.lower() in _SUFFIXES else Kind.FEATURES


def publish_grid_file(
    store: Store, access: Access, path: Path, entry: Mapping[str, Any], facts: GridFacts
) -> Grid:
    """Publish a GeoTIFF, a folder of them or a Zarr folder as an open collection.

    Parameters
    ----------
    entry
        The collection's catalogue entry; ``id`` at least. ``dataset`` defaults to the id.

    Raises
    ------
    NotAllowed
        `access` is not an administrator.
    UnreadableFile, InvalidInput
        The data cannot be used; the message says why.
    Conflict
        A built-in collection has this id.
    """
    document = {
        "dataset": entry.get("id"),
        "visibility": str(Visibility.OPEN),
        "kind": str(kind_of(path)),
        **entry,
    }
    collection = collections.Collection.from_json(document)

    def add_entry(tx: Transaction) -> None:
        collections.add_collection(tx, document)

    return publish_grid_dataset(store, access, path, collection.dataset, facts, together=add_entry)


def publish_grid_dataset(
    store: Store,
    access: Access,
    path: Path,
    dataset: str,
    facts: GridFacts,
    *,
    together: Callable[[Transaction], None] | None = None,
) -> Grid:
    """Publish a grid as the present content of an open dataset whose collection exists.

    Parameters
    ----------
    together
        Further changes that belong into the same transaction.

    Raises
    ------
    NotAllowed, UnreadableFile, InvalidInput
        As in :func:`publish_grid_file`.
    """
    access.require(Role.ADMIN)
    kind = kind_of(path)
    if kind is Kind.FEATURES:
        raise InvalidInput(f"'{path.name}' is no raster and no cube.")
    if kind is Kind.RASTER:
        staged = store.grids.stage(
            dataset, facts.instance, GridKind.RASTER, lambda folder: _raster(folder, path, dataset, facts)
        )
    else:
        staged = store.grids.stage(
            dataset, facts.instance, GridKind.CUBE, lambda folder: _cube(folder, path, facts)
        )
    with store.begin() as tx:
        publish_grid(tx, store.grids, staged, access)
        if together:
            together(tx)
        tx.commit()
    return staged


def _rasters(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)


def _raster(folder: Path, path: Path, dataset: str, facts: GridFacts) -> dict[str, Any]:
    from geoinfra.storage.rasters import write_raster  # rasterio takes long to import

    sources: Sequence[Path] = _rasters(path) if path.is_dir() else [path]
    default = Parameter(dataset, {"da": dataset, "en": dataset}, datum=facts.datum)
    return write_raster(folder, sources, facts.parameters or (default,), origin=_origin(facts))


def _cube(folder: Path, path: Path, facts: GridFacts) -> dict[str, Any]:
    return write_cube(folder, path, titles=facts.titles, datum=facts.datum, origin=_origin(facts))


def _origin(facts: GridFacts) -> dict[str, Any]:
    captured = [day.isoformat() for day in facts.captured] if facts.captured else None
    return {"source": facts.source, "captured": captured}

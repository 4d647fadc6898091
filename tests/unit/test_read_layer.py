"""Any vector file of GDAL becomes an open dataset; what cannot be used is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import shapely

from geoinfra.access import Visibility
from geoinfra.errors import UnreadableFile
from geoinfra.flows.layers import read_layer
from geoinfra.tables import ColumnType


def collection(*features: dict[str, Any]) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)}


def feature(wkt: str, **properties: Any) -> dict[str, Any]:
    geometry = json.loads(shapely.to_geojson(shapely.from_wkt(wkt)))
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def written(folder: Path, document: Any) -> Path:
    path = folder / "layer.geojson"
    path.write_text(json.dumps(document), "utf-8")
    return path


def test_names_types_ids_and_mixed_geometries(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        collection(
            feature("POINT (11.35 54.88)", id="a", Årstal=2001, xmin=1.5, fid=7, Navn="Å <b>"),
            feature("MULTIPOINT (11.35 54.88, 11.36 54.89)", id="b", Årstal=None, xmin=2.5, fid=8, Navn=None),
        ),
    )
    schema, batches = read_layer(path, dataset="wells")
    (batch,) = list(batches)
    types = {column.name: column.type for column in schema.columns}
    assert types == {
        "id": ColumnType.TEXT,
        "aarstal": ColumnType.INTEGER,
        "xmin_2": ColumnType.REAL,
        "navn": ColumnType.TEXT,
    }
    assert schema.visibility is Visibility.OPEN
    assert schema.geometry == "Geometry"
    assert batch.feature_ids == ["a", "b"]
    assert batch.columns["aarstal"] == [2001, None]
    assert batch.columns["navn"] == ["Å <b>", None]


def test_coordinates_arrive_in_utm32_as_proj_has_them(tmp_path: Path) -> None:
    import pyproj

    path = written(tmp_path, collection(feature("POINT (11.35 54.88)", name="x")))
    _, batches = read_layer(path, dataset="points")
    point = shapely.from_wkb(next(batches).geometry[0])
    expected = pyproj.Transformer.from_crs("OGC:CRS84", "EPSG:25832", always_xy=True).transform(11.35, 54.88)
    assert (point.x, point.y) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("not a layer", "cannot be opened"),
        (json.dumps(collection()), "no feature|no geometry|cannot be opened"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "layer.geojson"
    path.write_text(content, "utf-8")
    with pytest.raises(UnreadableFile, match=says) as refused:
        list(read_layer(path, dataset="x")[1])
    assert refused.value.hint


def test_identifiers_that_repeat_are_refused(tmp_path: Path) -> None:
    twice = feature("POINT (11.35 54.88)", id="same")
    path = written(tmp_path, collection(twice, twice))
    with pytest.raises(UnreadableFile, match="not unique"):
        list(read_layer(path, dataset="x")[1])

"""QGIS opens and draws the GeoPackage of a conversion."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from parts import qgis_python

from geoinfra.flows.convert import convert

pytestmark = pytest.mark.services

_QGIS = """
import json, os, sys
from qgis.core import (QgsApplication, QgsCoordinateReferenceSystem, QgsMapRendererSequentialJob,
                       QgsMapSettings, QgsVectorLayer)
from qgis.PyQt.QtCore import QSize
path = sys.argv[1]
application = QgsApplication([], False)
application.initQgis()
layer = QgsVectorLayer(f"{path}|layername=Elledning", "cables", "ogr")
features = list(layer.getFeatures())
settings = QgsMapSettings()
settings.setLayers([layer])
settings.setOutputSize(QSize(400, 300))
settings.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:25832"))
settings.setExtent(layer.extent())
job = QgsMapRendererSequentialJob(settings)
job.start()
job.waitForFinished()
image = job.renderedImage()
colours = {image.pixel(x, y) for x in range(400) for y in range(300)}
print(json.dumps({"valid": layer.isValid(), "features": len(features), "crs": layer.crs().authid(),
                  "hazards": sorted({f["fareklasse"] for f in features}), "colours": len(colours),
                  "fields": [field.name() for field in layer.fields()]}))
sys.stdout.flush()
os._exit(0)  # QGIS crashes when it closes a layer that is still referenced
"""


@pytest.mark.qgis
def test_qgis_opens_and_draws_a_layer_of_the_geopackage(reference: Path, tmp_path: Path) -> None:
    python = qgis_python()
    target = tmp_path / "ledninger.gpkg"
    convert(reference / "ler" / "samples" / "svarudtagettil.gml", target, owner_cvr="12345678")
    script = tmp_path / "draw.py"
    script.write_text(_QGIS, "utf-8")
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path)}
    done = subprocess.run(
        [python, str(script), str(target)],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    facts = json.loads(done.stdout.strip().splitlines()[-1])
    assert (facts["valid"], facts["features"], facts["crs"]) == (True, 112, "EPSG:25832")
    assert facts["hazards"] == ["ikke farlig", "meget farlig"]
    assert {"udvendigDiameter_mm", "spaendingsniveau_kV", "nil_attributes", "heights_json"} <= set(
        facts["fields"]
    )
    assert facts["colours"] >= 2  # ground and cables

"""Every change of every attribute of every class, in every model, judged as by the official schema."""

from __future__ import annotations

from pathlib import Path

import pytest
from ler_documents import Documents
from ler_mutations import judged
from ler_schema import ler_schema

from geoinfra.utilities.catalogue import MODELS, catalogue

pytestmark = pytest.mark.soak


@pytest.mark.parametrize("model", MODELS)
def test_every_change_is_judged_as_by_the_schema(reference: Path, tmp_path: Path, model: str) -> None:
    schema, made = ler_schema(reference, tmp_path, model), Documents(model)
    for entry in catalogue(model).feature_classes:
        verdicts = judged(schema, made, entry, every=True)
        assert verdicts.missed == [], entry.name
        assert verdicts.refused == [], entry.name

"""Make the utility-line package of an enquiry, from stored answers alone, through the filer's own access."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, BinaryIO, cast

import shapely
import sqlalchemy as sa

from geoinfra.flows.enquiries import UTILITY_DATASET, Answer, Enquiry, enquiry
from geoinfra.presentation import offline_html
from geoinfra.storage import Store, outbox, schema
from geoinfra.storage.blobs import Blob
from geoinfra.storage.jobs import JobContext
from geoinfra.storage.records import now
from geoinfra.tables import FeatureBatch, FeatureQuery
from geoinfra.utilities.formats import geojson, geopackage, package, request
from geoinfra.utilities.model import UTILITY_FEATURES, Contact

__all__ = ["build_package"]

_GML_COLUMNS = ("gml_id", "feature_class", "owner_cvr", "gml")
_ALL_COLUMNS = (*(column.name for column in UTILITY_FEATURES.public_columns), "gml")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip's members carry no clock: equal input gives equal bytes


def build_package(store: Store, context: JobContext) -> Mapping[str, Any] | None:
    """Write the package of ``payload["number"]`` and record it together with the job's end.

    The rows come through the grants of the enquiry: what no owner answered cannot be in it. Running it again
    after a crash writes the same blob name anew; the record appears once.
    """
    number, sequence = context.payload["number"], context.payload["sequence"]
    filed = enquiry(store, context.access, number)
    rows = _rows_by_owner(store, context, filed)
    name = f"packages/{number}/{sequence}.zip"
    with store.blobs.writing(name) as path:
        manifest = _write_zip(path, filed, rows, context.progress)
    blob = store.blobs.stat(name)
    features = sum(len(batch) for batches in rows.values() for batch in batches)
    with store.begin() as tx:
        tx.execute(
            sa.insert(schema.packages).values(
                enquiry=number,
                sequence=sequence,
                blob=blob.name,
                sha256=blob.sha256,
                size_bytes=blob.size_bytes,
                features=features,
                manifest=json.dumps(manifest, ensure_ascii=False),
                created_at=now(),
            )
        )
        outbox.emit(tx, "package.ready", number, {"number": number, "sequence": sequence})
        result = {"number": number, "sequence": sequence, "features": features, **_described(blob)}
        context.finish(tx, result)
        tx.commit()
    return None


def _described(blob: Blob) -> dict[str, Any]:
    return {"sha256": blob.sha256, "size_bytes": blob.size_bytes}


def _rows_by_owner(store: Store, context: JobContext, filed: Enquiry) -> dict[str, list[FeatureBatch]]:
    """Read the rows; GML alone is joined from ready fragments, and needs no geometry and few columns."""
    view = store.view(context.access, UTILITY_DATASET, enquiry=filed.number)
    only_gml = filed.request.formats == ("gml",)
    query = FeatureQuery(columns=_GML_COLUMNS if only_gml else _ALL_COLUMNS, geometry=not only_gml)
    rows: dict[str, list[FeatureBatch]] = defaultdict(list)
    if not view.sources:  # nobody has answered with data
        return rows
    for batch in view.read(query):
        rows[batch.source].append(batch)
    return dict(sorted(rows.items()))


def _write_zip(
    path: Path,
    filed: Enquiry,
    rows: Mapping[str, Sequence[FeatureBatch]],
    progress: Callable[[float, str], None],
) -> dict[str, Any]:
    """Write the members; the GeoPackage is made in a thread beside the others, which mostly compress."""
    info, owners = _enquiry_info(filed), [_package_owner(answer) for answer in filed.answers]
    batches = [batch for owned in rows.values() for batch in owned]
    wanted = filed.request.formats
    members: list[dict[str, Any]] = []
    with (
        TemporaryDirectory(prefix="geoinfra-") as folder,
        ThreadPoolExecutor(1) as beside,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        gpkg = Path(folder) / "ledninger.gpkg"
        made = beside.submit(geopackage.write_geopackage, gpkg, batches) if "gpkg" in wanted else None
        with _member(archive, members, "consolidated.gml") as target:
            package.write_consolidated(target, info, owners, batches)
        with _member(archive, members, "LedningsejerStatusListe.xml") as target:
            package.write_status_list(target, owners)
        with _member(archive, members, f"Graveforespoergsel_{filed.number}.gml") as target:
            request.write_request(target, _dig_request(filed))
        if "geojson" in wanted:
            with _member(archive, members, "ledninger.geojson") as target:
                geojson.write_geojson(target, batches)
        if "html" in wanted:
            with _member(archive, members, "index.html") as target:
                offline_html.write_offline_html(target, info, owners, batches)
        progress(0.5, "GML")
        if made:
            made.result()
            with _member(archive, members, gpkg.name) as target, gpkg.open("rb") as source:
                shutil.copyfileobj(source, target, 1 << 20)
        manifest = _manifest(filed, rows, members)
        text = json.dumps(manifest, ensure_ascii=False, indent=1)
        archive.writestr(zipfile.ZipInfo("manifest.json", _EPOCH), text)
    return manifest


class _Hashing(io.RawIOBase):
    """Passes bytes on to a zip member while it hashes and counts them."""

    def __init__(self, target: IO[bytes]) -> None:
        self.target = target
        self.sha256 = hashlib.sha256()
        self.size_bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        self.size_bytes += len(data)
        return self.target.write(data)


@contextmanager
def _member(archive: zipfile.ZipFile, members: list[dict[str, Any]], name: str) -> Iterator[BinaryIO]:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    with archive.open(info, "w") as target:
        hashing = _Hashing(target)
        with io.BufferedWriter(hashing, 1 << 18) as buffered:
            yield cast(BinaryIO, buffered)
            buffered.flush()
    members.append({"name": name, "size_bytes": hashing.size_bytes, "sha256": hashing.sha256.hexdigest()})


def _manifest(
    filed: Enquiry, rows: Mapping[str, Sequence[FeatureBatch]], members: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what the package holds, for whom, and what is missing from it."""
    document = filed.to_json()
    return {
        "format": "geoinfra utility-line package 1",
        "number": filed.number,
        "filed_at": filed.filed_at,
        "valid_to": document["valid_to"],
        "area_m2": document["area_m2"],
        "features": sum(len(batch) for batches in rows.values() for batch in batches),
        "complete": all(answer.status.final for answer in filed.answers),
        "missing": [a.owner_cvr for a in filed.answers if not a.status.final],
        "owners": document["owners"],
        "files": list(members),
    }


def _enquiry_info(filed: Enquiry) -> package.EnquiryInfo:
    asked = filed.request
    return package.EnquiryInfo(
        number=filed.number,
        polygon=shapely.to_wkb(asked.polygon),
        period_from=asked.period_from,
        period_to=asked.period_to,
        methods=asked.methods,
        methods_other=asked.methods_other,
        description=asked.description,
        created_at=datetime.fromisoformat(filed.filed_at),
    )


def _dig_request(filed: Enquiry) -> request.DigRequest:
    asked = filed.request
    return request.DigRequest(
        polygon=shapely.to_wkb(asked.polygon),
        period_from=asked.period_from,
        period_to=asked.period_to,
        methods=asked.methods,
        description=asked.description[:100] or "-",
        methods_other=asked.methods_other[:50],
        own_number=filed.number,
        contact_email=asked.contact.email[:50],
    )


def _package_owner(answer: Answer) -> package.PackageOwner:
    contact = answer.header.get("contact")
    expected = answer.header.get("expected_at")
    return package.PackageOwner(
        cvr=answer.owner_cvr,
        name=answer.owner_name,
        indberetnings_no=tuple(map(str, answer.interest_areas)),
        status=answer.status.danish,
        valid_to=answer.valid_to,
        supplementary_info=answer.header.get("supplementary_info"),
        expected_at=datetime.fromisoformat(expected) if expected else None,
        contact=Contact(**contact) if contact else None,
    )

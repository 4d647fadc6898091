"""A package that a contractor holds becomes ours, and nothing of it is lost."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import ezdxf
import pyogrio
import pytest
import shapely
from test_ler_packages_in_the_field import (
    ENQUIRY,
    FIRST,
    OWNERS,
    SECOND,
    attachment,
    cables,
    consolidated,
    status_list,
    zipped,
)
from typer.testing import CliRunner

from geoinfra.cli import app
from geoinfra.errors import GeoinfraError, UnreadableFile
from geoinfra.flows import package_files
from geoinfra.flows.repack import repack
from geoinfra.utilities.formats import ler, package
from geoinfra.utilities.formats.intake import is_safe_name
from geoinfra.utilities.formats.package import Package
from geoinfra.utilities.model import Contact, FeatureRows

LISTED = (
    replace(OWNERS[0], indberetnings_no=("10", "11"), contact=Contact("Vagten", "12345678", "", "k.1")),
    OWNERS[1],
    package.PackageOwner("33333333", "Sen", ("30",)),
)
FILES = {
    "Net/skitse.pdf": b"%PDF-1.7 skitse",
    "Net/under/snit.jpg": b"\xff\xd8\xff",
    "Vand/laesmig.txt": b"hej",
    "Graveforespoergsel_17.pdf": b"%PDF receipt",
}


def rows(opened: Package) -> dict[str, Any]:
    """Everything that each feature carries, with its interest area."""
    found: dict[str, Any] = {}
    for batch, numbers in opened.numbered_batches():
        for row, feature_id in enumerate(batch.feature_ids):
            heights = batch.heights_m[row] if batch.heights_m else None
            values = {name: column[row] for name, column in batch.columns.items()}
            found[feature_id] = (batch.geometry[row], heights, values, numbers[row])
    return found


def members(source: io.BytesIO | Path) -> dict[str, bytes]:
    with zipfile.ZipFile(source) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def source(reference: Path) -> io.BytesIO:
    sample = reference / "ler" / "samples" / "svarudtagettil.gml"
    batches = list(ler.read_answer(sample, owner_cvr=FIRST).batches())
    file = io.BytesIO()
    numbers = [["10" if row % 3 else "11" for row in range(len(batch))] for batch in batches]
    package.write_consolidated(
        file, ENQUIRY, LISTED, [*batches, attachment(FIRST), cables(SECOND)], [*numbers, None, None]
    )
    return zipped(
        {
            "Ledningspakke_17/consolidated.gml": file.getvalue(),
            "Ledningspakke_17/LedningsejerStatusListe.xml": status_list(LISTED),
            **{f"Ledningspakke_17/{name}": content for name, content in FILES.items()},
        }
    )


@pytest.fixture(scope="module")
def repacked(source: io.BytesIO, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("repack") / "ny.zip"
    done = repack(source, target)
    assert done.features == 640
    assert done.report.ok
    return target


class TestNothingIsLost:
    def test_features_owners_and_enquiry_come_out_as_they_went_in(
        self, source: io.BytesIO, repacked: Path
    ) -> None:
        before, after = package.read_package(source), package.read_package(repacked)
        assert after.enquiry == before.enquiry
        assert after.owners == before.owners
        kept, made = rows(before), rows(after)
        assert made == kept
        assert len(kept) == 640
        assert {number for *_, number in kept.values()} == {"10", "11", "20"}

    def test_every_file_comes_out_byte_for_byte(self, source: io.BytesIO, repacked: Path) -> None:
        before, after = members(source), members(repacked)
        for name, content in before.items():
            short = name.removeprefix("Ledningspakke_17/")
            kept = short if short in FILES else f"original/{short}"
            assert after[kept] == content

    def test_what_cannot_be_read_is_told_and_kept_as_it_came(self) -> None:
        text = consolidated(cables(FIRST), cables(SECOND)).replace(
            "<ler:driftsstatus>i drift<", "<ler:driftsstatus>i gang<", 1
        )
        text = text.replace("ler:Elledning", "ler:Rumrejse", 1).replace(
            "</ler:Elledning>", "</ler:Rumrejse>", 1
        )
        target = io.BytesIO()
        done = repack(io.BytesIO(text.encode()), target)
        assert not done.report.ok
        after = members(target)
        assert after["original/consolidated.gml"] == text.encode()
        assert json.loads(after["report.json"]) == done.report.to_json()
        assert "Rumrejse" in after["report.txt"].decode()
        assert "Rumrejse" in after["rapport.txt"].decode()

    def test_a_second_time_gives_the_same_content_and_keeps_the_first_original(
        self, source: io.BytesIO, repacked: Path
    ) -> None:
        target = io.BytesIO()
        repack(repacked, target)
        before, after = members(repacked), members(target)
        assert set(after) == set(before)
        changing = {"manifest.json", "report.json", "report.txt", "rapport.txt", "ledninger.dxf"}  # the clock
        assert {n for n in before if before[n] != after[n]} <= changing

    @pytest.mark.parametrize("name", ["manifest.json", "index.html", "ledninger.gpkg"])
    def test_a_file_called_as_one_of_ours_is_kept_beside_it(self, name: str) -> None:
        source = zipped(
            {
                "consolidated.gml": consolidated(cables(FIRST)),
                "LedningsejerStatusListe.xml": status_list(),
                name: b'{"format": "other"}',
            }
        )
        target = io.BytesIO()
        repack(source, target)
        assert members(target)[f"original/{name}"] == b'{"format": "other"}'

    def test_the_place_of_a_contained_line_is_that_of_its_duct(self) -> None:
        made = FeatureRows(FIRST)
        base = {"driftsstatus": "i drift", "etableringstidspunkt": "2004", "fareklasse": "farlig"}
        line = shapely.LineString([(722010, 6178900), (722020, 6178905)])
        made.add("Elledning", "el.1", {**base, "type": "stikkabel"})
        made.add(
            "Foeringsroer",
            "roer.1",
            {**base, "tvaersnitsform": "cirkulær", "indeholdtLedning": [{"href": "#el.1"}]},
            line,
        )
        target = io.BytesIO()
        repack(io.BytesIO(consolidated(made.batch()).encode()), target, formats=["gpkg"])
        after = package.read_package(target)
        assert {name: row[0] is None for name, row in rows(after).items()} == {
            f"{FIRST}.el.1": True,
            f"{FIRST}.roer.1": False,
        }


class TestFiles:
    def test_every_format_is_there_and_read_by_its_own_program(self, repacked: Path, tmp_path: Path) -> None:
        content = members(repacked)
        assert len(json.loads(content["ledninger.geojson"])["features"]) == 640
        (tmp_path / "a.gpkg").write_bytes(content["ledninger.gpkg"])
        assert {name for name, _ in pyogrio.list_layers(tmp_path / "a.gpkg")} >= {"Elledning", "Vandledning"}
        (tmp_path / "a.dxf").write_bytes(content["ledninger.dxf"])
        assert len(ezdxf.readfile(tmp_path / "a.dxf").modelspace()) >= 600
        assert content["index.html"].startswith(b"<!")
        assert {"consolidated.gml", "LedningsejerStatusListe.xml", "report.txt", "rapport.txt"} <= set(
            content
        )

    def test_the_manifest_lists_each_file_with_its_hash(self, repacked: Path) -> None:
        content = members(repacked)
        manifest = json.loads(content.pop("manifest.json"))
        assert {file["name"]: file["sha256"] for file in manifest["files"]} == {
            name: hashlib.sha256(data).hexdigest() for name, data in content.items()
        }
        assert manifest["number"] == "2026-000017"
        assert manifest["missing"] == ["33333333"]
        assert [owner["features"] for owner in manifest["owners"]] == [637, 3, 0]

    def test_without_enquiry_the_page_is_left_out_and_that_is_told(self) -> None:
        target = io.BytesIO()
        done = repack(io.BytesIO(consolidated(cables(FIRST), enquiry=False).encode()), target)
        assert "index.html" not in members(target)
        assert "PACKAGE-FORMAT-LEFT-OUT" in [finding.code for finding in done.report.findings]

    def test_a_format_that_fails_is_left_out_and_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: Any, **__: Any) -> None:
            raise GeoinfraError("It is full.")

        monkeypatch.setattr(package_files.geojson, "write_geojson", full)
        target = io.BytesIO()
        done = repack(io.BytesIO(consolidated(cables(FIRST)).encode()), target)
        assert "ledninger.geojson" not in members(target)
        assert "It is full." in members(target)["report.txt"].decode()
        assert "PACKAGE-FORMAT-LEFT-OUT" in [finding.code for finding in done.report.findings]

    def test_a_request_is_written_where_none_came(self) -> None:
        target = io.BytesIO()
        repack(io.BytesIO(consolidated(cables(FIRST)).encode()), target, formats=[])
        asked = package.read_request(io.BytesIO(members(target)["Graveforespoergsel_2026-000017.gml"]))
        assert (asked.period_from, asked.polygon) == (date(2026, 12, 1), ENQUIRY.polygon)

    @pytest.mark.parametrize("number", ["../../etc/x", "ler:2026-1", "a\\b"])
    def test_the_number_of_the_enquiry_cannot_point_out_of_the_package(self, number: str) -> None:
        text = consolidated(cables(FIRST))
        named = text.replace("<orderNo>2026-000017", f"<orderNo>{number}")
        assert named != text
        target = io.BytesIO()
        repack(io.BytesIO(named.encode()), target, formats=[])
        names = zipfile.ZipFile(target).namelist()
        assert sum(name.startswith("Graveforespoergsel_") for name in names) == 1
        assert all(is_safe_name(name) for name in names)

    def test_what_is_no_package_leaves_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableFile):
            repack(io.BytesIO(b"<html/>"), tmp_path / "a.zip")
        assert list(tmp_path.iterdir()) == []


class TestCommand:
    def test_writes_the_package_and_tells_what_it_found(self, source: io.BytesIO, tmp_path: Path) -> None:
        path, target = tmp_path / "Ledningspakke_17.zip", tmp_path / "ny.zip"
        path.write_bytes(source.getvalue())
        arguments = ["utilities", "repack", str(path), str(target), "--format", "gpkg", "--json"]
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
        outcome = json.loads(done.stdout)
        assert outcome["features"] == 640
        assert outcome["manifest"]["repacked_from"] == "Ledningspakke_17.zip"
        assert "ledninger.dxf" not in members(target)

    def test_an_unknown_format_is_a_usage_error(self, tmp_path: Path) -> None:
        path = tmp_path / "a.gml"
        path.write_text("x")
        arguments = ["utilities", "repack", str(path), str(tmp_path / "b.zip"), "--format", "shp"]
        assert CliRunner().invoke(app, arguments).exit_code == 2

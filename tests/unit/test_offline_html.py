"""The offline page as bytes: what it says, what it holds, what no input can make it do."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import struct
import zlib
from datetime import UTC, date, datetime
from typing import Any

import lxml.html
import numpy as np
import orjson
import pytest
import shapely

from geoinfra.errors import InvalidGeometry
from geoinfra.presentation.offline_html import write_offline_html
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.formats.package import EnquiryInfo, PackageOwner
from geoinfra.utilities.model import Contact, FeatureRows

GAS, WATER, SILENT = "10000001", "10000002", "10000003"
DELIVERED = "Ledningsoplysninger udleveret"
HOSTILE = (
    "</script><script>alert(1)</script>\u2028<img src=x onerror=alert(2)>&amp;\"'--><!--]]>$data ${title}"
)
E, N = 650_000.0, 6_070_000.0


def line_properties(**more: Any) -> dict[str, Any]:
    fixed = {"driftsstatus": "i drift", "etableringstidspunkt": "2004-03-15", "fareklasse": "ikke farlig"}
    return {**fixed, "tvaersnitsform": "cirkulær", **more}


def batches(text: str = "Ring før du graver.") -> list[FeatureBatch]:
    gas, water = FeatureRows(GAS), FeatureRows(WATER)
    danger = {"fareklasse": "meget farlig", "sikkerhedshensyn": text, "type": "distributionsledning"}
    for number in range(3):
        course = shapely.LineString([(E + number, N), (E + number + 0.25, N + 50.12), (E + 60, N + 70)])
        gas.add("Gasledning", f"gas.{number}", line_properties(**danger), course)
    water.add(
        "Vandledning", "v.1", line_properties(fareklasse="farlig"), shapely.LineString([(E, N), (E + 9, N)])
    )
    water.add("Vandledning", "v.2", line_properties(), None)
    water.add("Vandkomponent", "k.1", {"type": "ventil"}, shapely.Point(E + 5, N + 5))
    basin = shapely.box(E, N, E + 8, N + 8) - shapely.box(E + 2, N + 2, E + 4, N + 4)
    water.add("Vandkomponent", "k.2", {"type": "bassin"}, shapely.MultiPolygon([basin]))
    return [gas.batch(), water.batch()]


def enquiry(**more: Any) -> EnquiryInfo:
    area = shapely.box(E, N, E + 60, N + 40)
    fixed: dict[str, Any] = {
        "number": "2026-000017",
        "polygon": shapely.to_wkb(area),
        "period_from": date(2026, 12, 1),
        "period_to": date(2026, 12, 20),
        "methods": ("6", "99"),
        "created_at": datetime(2026, 11, 24, 9, 12, tzinfo=UTC),
    }
    return EnquiryInfo(**{**fixed, **more})


def owners(status: str = "Ikke leveret") -> list[PackageOwner]:
    contact = Contact("Vagten", "+45 12 34 56 78", "vagt@example.dk")
    return [
        PackageOwner(cvr=GAS, name="Byens Gas", status=DELIVERED, valid_to=date(2026, 12, 22)),
        PackageOwner(cvr=WATER, name="Byens Vand", status=DELIVERED),
        PackageOwner(cvr=SILENT, name="Det Tavse Net", status=status, contact=contact),
    ]


def page(
    info: EnquiryInfo | None = None,
    of: list[PackageOwner] | None = None,
    rows: list[FeatureBatch] | None = None,
) -> bytes:
    target = io.BytesIO()
    write_offline_html(
        target, info or enquiry(), owners() if of is None else of, batches() if rows is None else rows
    )
    return target.getvalue()


def payload(html: bytes) -> dict[str, Any]:
    found = lxml.html.fromstring(html.decode()).get_element_by_id("data").text
    return dict(orjson.loads(zlib.decompress(base64.b64decode(found))))


def column(packed: dict[str, Any], rows: int) -> list[Any]:
    """Values of a packed column."""
    if "list" in packed:
        return list(packed["list"])
    return [packed["values"][place] for place in packed["index"]] or packed["values"] * rows


def properties(held: dict[str, Any]) -> list[dict[str, Any]]:
    """LER attributes of each row."""
    tables = []
    for number, table in enumerate(held["properties"]["tables"]):
        rows = held["properties"]["table"].count(number)
        values = (column(one, rows) for one in table["columns"])
        tables.append(zip(*values, strict=True) if table["names"] else iter([()] * rows))
    names = [table["names"] for table in held["properties"]["tables"]]
    return [
        dict(zip(names[number], next(tables[number]), strict=True)) for number in held["properties"]["table"]
    ]


def danish(html: bytes, css_id: str) -> str:
    section = lxml.html.fromstring(html.decode()).get_element_by_id(css_id)
    for english in section.xpath(".//*[@lang='en']"):
        english.drop_tree()
    return " ".join(section.text_content().split())


def positions(paths: dict[str, Any], origin: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    return np.cumsum(np.column_stack([paths["x"], paths["y"]]), axis=0) / 100 - origin


def test_same_input_gives_the_same_bytes() -> None:
    assert page() == page()


def test_coordinates_come_back_to_the_centimetre_and_holes_stay_rings() -> None:
    rows, lines = batches(), payload(page())["lines"]
    geometry = shapely.from_wkb([wkb for batch in rows for wkb in batch.geometry])
    expected = shapely.get_coordinates(geometry)
    np.testing.assert_allclose(positions(lines), expected, atol=0.005 + 1e-6)
    assert lines["kind"] == [1, 1, 1, 1, 0, 2, 2]
    assert lines["feature"] == [0, 1, 2, 3, 5, 6, 6]
    assert lines["vertices"] == [3, 3, 3, 2, 1, 5, 5]


def test_payload_holds_every_public_attribute_and_no_exchange_fragment() -> None:
    held, rows = payload(page()), batches()
    given = {name: [value for batch in rows for value in batch.columns[name]] for name in held["columns"]}
    assert {name: column(packed, 7) for name, packed in held["columns"].items()} == given
    assert given["gml_id"] == ["gas.0", "gas.1", "gas.2", "v.1", "v.2", "k.1", "k.2"]
    expected = [orjson.loads(text) for batch in rows for text in batch.columns["properties"]]
    assert properties(held) == expected
    assert expected[0]["sikkerhedshensyn"] == "Ring før du graver."
    assert "gml" not in held["columns"]


def test_values_that_only_python_takes_for_equal_stay_apart() -> None:
    texts = [
        '{"antal":1}',
        '{"antal":true}',
        '{"antal":1.0}',
        '{"antal":"1"}',
        '{"antal":null}',
        "{}",
        '{"b":2}',
    ]
    rows = FeatureRows(WATER)
    for number in range(len(texts)):
        rows.add("Vandkomponent", f"k.{number}", {"type": "ventil"}, shapely.Point(E, N))
    batch = rows.batch()
    batch.columns["properties"][:] = texts
    told = properties(payload(page(rows=[batch])))
    assert list(map(repr, told)) == [repr(orjson.loads(text)) for text in texts]


def test_hazards_are_counted_and_named_with_their_owner() -> None:
    danger = danish(page(), "danger")
    assert "3Meget farlig3 ledninger, 0 komponenter" in danger
    assert "1Farlig1 ledning, 0 komponenter" in danger
    assert "2Fareklasse ikke oplyst0 ledninger, 2 komponenter" in danger
    assert "Byens Gas Gas3 i graveområdet, nærmest 0,15 m fra midten" in danger
    assert "3 meget farlige" in danger
    assert "1 farligE" in danger  # in the singular, and then the next heading


def test_a_safety_note_stands_once_with_its_owner() -> None:
    assert danish(page(), "danger").count("Ring før du graver. Byens Gas · 3") == 1


@pytest.mark.parametrize(
    ("status", "duty"),
    [
        ("Ikke leveret", "Har ikke svaret. Grav ikke, før svaret foreligger."),
        ("Udtaget til manuel behandling", "Behandler sagen manuelt. Grav ikke"),
        ("Ledningsoplysninger udleveres ikke", "Har ledninger, men udleverer ikke oplysninger. Grav ikke"),
        ("Udtaget til påvisning - ledningsoplysninger udleveres ikke", "Skal påvise ledningerne på stedet."),
        ("Udtaget til påvisning - ledningsoplysninger udleveret", "skal også påvises på stedet. Grav ikke"),
        ("et ukendt svar", "Har ikke svaret. Grav ikke"),
    ],
)
def test_an_outstanding_owner_stops_the_dig_and_can_be_reached(status: str, duty: str) -> None:
    html = page(of=owners(status))
    missing = danish(html, "missing")
    assert "Det Tavse Net" in missing
    assert duty in missing
    assert 'class="verdict stop"' in html.decode()
    assert 'href="tel:+4512345678"' in html.decode()
    assert 'href="mailto:vagt@example.dk"' in html.decode()


@pytest.mark.parametrize("status", [DELIVERED, "Ingen ledninger i graveområde"])
def test_when_all_have_answered_nothing_is_missing(status: str) -> None:
    html = page(of=owners(status)).decode()
    assert 'id="missing"' not in html
    assert 'class="verdict care"' in html


def test_every_sentence_stands_in_danish_and_english() -> None:
    document = lxml.html.fromstring(page().decode())
    body = document.find("body")
    assert len(body.xpath(".//span[@lang='da']")) == len(body.xpath(".//span[@lang='en']")) > 40
    assert document.get("lang") == "da"


def test_hostile_texts_stay_texts() -> None:
    mean = Contact(HOSTILE, "javascript:alert(1)", '"onmouseover="alert(3)@x.dk')
    hostile_owner = PackageOwner(
        cvr=SILENT, name=HOSTILE, status=HOSTILE, supplementary_info=HOSTILE, contact=mean
    )
    html = page(
        enquiry(number=HOSTILE, description=HOSTILE, methods_other=HOSTILE),
        [hostile_owner, *owners()[:2]],
        batches(HOSTILE),
    )
    document = lxml.html.fromstring(html.decode())
    assert len(document.xpath("//script")) == 2
    assert not document.xpath("//img")
    assert not document.xpath("//*[@*[starts-with(name(), 'on')]]")
    links = [link.get("href") for link in document.xpath("//a")]
    assert not [href for href in links if "javascript" in href or "alert" in href]
    assert HOSTILE in document.get_element_by_id("danger").text_content()
    assert properties(payload(html))[0]["sikkerhedshensyn"] == HOSTILE


def test_policy_admits_exactly_the_script_and_style_of_the_page() -> None:
    html = page().decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy
    script = html[html.rindex("<script>") + 8 : html.rindex("</script>")]
    style = html[html.index("<style>") + 7 : html.index("</style>")]
    for text in (script, style):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy[1]
    assert policy[1].startswith("default-src 'none'; ")
    assert "unsafe" not in policy[1]


def test_page_names_no_address_and_carries_no_inline_style() -> None:
    html = page().decode()
    assert not re.search(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", html, re.IGNORECASE)
    assert not re.search(r"\sstyle=|\son[a-z]+=", html)


def test_elements_balance_and_ids_are_unique() -> None:
    document = lxml.html.document_fromstring(page().decode())
    ids = document.xpath("//@id")
    assert len(ids) == len(set(ids))
    for name in document.xpath("//@aria-controls"):
        assert name in ids


def test_without_features_the_page_still_says_who_is_missing() -> None:
    html = page(rows=[])
    assert "0Meget farlig" in danish(html, "danger")
    assert payload(html)["lines"]["vertices"] == []


def test_rows_of_an_owner_who_is_not_listed_are_kept() -> None:
    held = payload(page(of=[]))
    assert [owner["cvr"] for owner in held["owners"]] == [GAS, WATER]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_a_coordinate_that_is_no_place_is_refused(value: float) -> None:
    broken = batches()
    sound = shapely.to_wkb(shapely.LineString([(E, N), (1.5, N)]))
    broken[0].geometry[0] = sound.replace(struct.pack("<d", 1.5), struct.pack("<d", value))
    with pytest.raises(InvalidGeometry):
        page(rows=broken)


def test_ten_thousand_lines_stay_below_three_megabytes() -> None:
    rows, random = FeatureRows(GAS), np.random.default_rng(7)
    for number in range(10_000):
        walk = np.cumsum(np.vstack([[E + 250, N + 250], random.normal(0, 5, (9, 2))]), axis=0)
        rows.add(
            "Gasledning",
            f"gas.{number}",
            line_properties(id=f"{random.integers(1 << 62):032x}", type="distributionsledning"),
            shapely.LineString(walk),
        )
    assert len(page(rows=[rows.batch()])) < 3_000_000

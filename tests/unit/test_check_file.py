"""Checking a file: everything that is wrong with it in one report, whatever the bytes are."""

from __future__ import annotations

import ast
import io
import json
import random
import re
import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest
import shapely
from typer.testing import CliRunner

from geoinfra.errors import Finding, InvalidInput, NotFound, Severity
from geoinfra.utilities.check import check_file
from geoinfra.utilities.check.advice import advice, advised
from geoinfra.utilities.check.unreadable import danish
from geoinfra.utilities.formats import package
from geoinfra.utilities.formats.intake import Limits
from geoinfra.utilities.model import FeatureRows, ResponseType
from services.cli import app

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<ler:Graveforespoergselssvar xmlns:ler="http://data.gov.dk/schemas/LER/2/gml" '
    'xmlns:gml="http://www.opengis.net/gml/3.2" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'gml:id="svar.1" schemaVersion="2.2.0">\n'
    "<ler:id>5f0c3c52-8f1e-4c6f-9a55-3a4f6c1b7d20</ler:id>\n"
    "<ler:type>ledningsoplysninger udleveret</ler:type>\n"
)
TAIL = "</ler:Graveforespoergselssvar>\n"
DIAMETER_RULE = "UdvendigDiameterBetingelseRuleElTeleEllerAnden"
CABLE_LINES = 13
FIRST_CABLE_LINE = 5


def cable(
    number: int, *, status: str = "i drift", established: str = "2004-03-15", depth: str = "", more: str = ""
) -> str:
    east = 700_000 + 10 * number
    return f"""<ler:ledningMember>
<ler:Elledning gml:id="el.{number}">
<ler:driftsstatus>{status}</ler:driftsstatus>
<ler:etableringstidspunkt>{established}</ler:etableringstidspunkt>
<ler:fareklasse>farlig</ler:fareklasse>
<ler:noejagtighedsklasse>&lt;= 0.50 m</ler:noejagtighedsklasse>
<ler:noejagtighedsklasseVertikal>&lt;= 0.50 m</ler:noejagtighedsklasseVertikal>{depth}
<ler:geometri><gml:LineString gml:id="g.{number}" srsName="http://www.opengis.net/def/crs/EPSG/0/7416">
<gml:posList>{east}.5 6200000 -99 {east + 5} 6200010 -99</gml:posList>
</gml:LineString></ler:geometri>{more}
<ler:type>forsyningskabel</ler:type>
</ler:Elledning>
</ler:ledningMember>
"""


def answer(*cables: str) -> bytes:
    return (HEAD + "".join(cables) + TAIL).encode()


def found(content: bytes, **options: Any) -> list[tuple[str, str, int | None, str | None]]:
    report = check_file(io.BytesIO(content), **options)
    return [(str(one.severity), one.code, one.line, one.feature_id) for one in report.findings]


def test_a_faultless_answer_has_no_findings() -> None:
    report = check_file(io.BytesIO(answer(cable(1), cable(2))))
    assert report.to_json() == {"features": 2, "errors": 0, "warnings": 0, "findings": []}


def test_a_fault_is_told_with_line_feature_place_and_what_to_do() -> None:
    report = check_file(io.BytesIO(answer(cable(1), cable(2, status="i fart"))))
    (finding,) = report.findings
    assert (report.features, report.errors) == (2, 1)
    assert (finding.feature_id, finding.path) == ("el.2", "Elledning/driftsstatus")
    assert finding.line == FIRST_CABLE_LINE + CABLE_LINES + 2
    assert "i fart" in answer(cable(1), cable(2, status="i fart")).decode().splitlines()[finding.line - 1]
    assert finding.position == (700_020.5, 6_200_000)
    assert (finding.found, finding.expected) == (
        "i fart",
        "i drift, permanent ude af drift, under etablering",
    )
    assert finding.message_da
    assert finding.hint
    assert finding.hint_da


def test_a_rule_of_ler_is_named_by_its_own_name() -> None:
    depth = '\n<ler:vejledendeDybde uom="mm">700</ler:vejledendeDybde>'
    report = check_file(io.BytesIO(answer(cable(1, established="2024-03-15", depth=depth))))
    (finding,) = report.findings
    assert finding.rule == DIAMETER_RULE
    assert finding.path == "Elledning/udvendigDiameter"
    assert finding.position == (700_010.5, 6_200_000)


def test_errors_come_before_warnings_and_each_by_line() -> None:
    stray = '\n<ler:indeholdtLedning xlink:href="#nowhere"/>'
    content = answer(cable(1, more=stray), cable(2, status="i fart"), cable(3, status=" i drift "))
    findings = found(content, strict=False)
    assert [severity for severity, *_ in findings] == sorted(
        (severity for severity, *_ in findings), key=["error", "warning", "info"].index
    )
    for severity in ("error", "warning"):
        lines = [line or 0 for told, _, line, _ in findings if told == severity]
        assert lines == sorted(lines)
        assert lines


def test_a_fault_of_every_feature_does_not_hide_the_others() -> None:
    many = [cable(number, status="i fart") for number in range(1200)]
    report = check_file(
        io.BytesIO(answer(*many, cable(1200, more='\n<ler:indeholdtLedning xlink:href="#x"/>')))
    )
    codes = [one.code for one in report.findings]
    assert codes.count("LER-CODE") == 200
    assert "LER-XLINK-TARGET" in codes
    assert report.counts[Severity.ERROR, "LER-CODE"] == 1200
    assert report.errors >= 1201


def test_strict_takes_as_an_error_what_tolerant_mends() -> None:
    content = answer(cable(1, status=" i drift "))
    assert check_file(io.BytesIO(content)).errors > 0
    tolerant = check_file(io.BytesIO(content), strict=False)
    assert tolerant.errors == 0
    assert tolerant.warnings > 0


def test_the_official_answer_is_read_to_its_last_feature(reference: Path) -> None:
    sample = reference / "ler" / "samples" / "svarudtagettil.gml"
    report = check_file(sample, strict=False)
    assert report.features == 636
    assert report.errors == 0
    assert sum(one.found == "vejbelysningsarmatur" for one in report.findings) == 22


def test_path_stream_and_zip_give_the_same_report(tmp_path: Path) -> None:
    content = answer(cable(1, status="i fart"))
    path = tmp_path / "svar.gml"
    path.write_bytes(content)
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("svar.gml", content)
    reports = [
        check_file(source).to_json() for source in (path, io.BytesIO(content), OneWay(content), zipped)
    ]
    assert reports[0]["errors"] == 1
    assert all(report == reports[0] for report in reports)


class OneWay(io.BytesIO):
    """A file that cannot be rewound, as a body that streams in."""

    def seekable(self) -> bool:
        return False


@pytest.fixture(scope="module")
def two_owners() -> bytes:
    """A package with a cable each of two owners."""
    numbers = ("11111111", "22222222")
    batches = []
    for index, cvr in enumerate(numbers):
        rows = FeatureRows(owner_cvr=cvr)
        properties = {
            "driftsstatus": "i drift",
            "etableringstidspunkt": "2024-03-15",
            "fareklasse": "farlig",
            "noejagtighedsklasse": "<= 0.50 m",
            "noejagtighedsklasseVertikal": "<= 0.50 m",
            "type": "forsyningskabel",
        }
        course = shapely.LineString([(722_050 + index, 6_178_900), (722_100, 6_178_900)])
        rows.add("Elledning", "el.1", properties, course)
        batches.append(rows.batch())
    enquiry = package.EnquiryInfo(
        "2026-000017",
        shapely.to_wkb(shapely.box(722_000, 6_178_800, 722_300, 6_179_100)),
        date(2026, 12, 1),
        date(2026, 12, 20),
    )
    delivered = package.status_text(ResponseType.DELIVERED)
    owners = [
        package.PackageOwner(cvr, "", ("1",), delivered, response_type=ResponseType.DELIVERED)
        for cvr in numbers
    ]
    target = io.BytesIO()
    package.write_consolidated(target, enquiry, owners, batches)
    return target.getvalue()


def test_a_package_is_checked_for_all_owners_or_one(two_owners: bytes) -> None:
    diameter = [rule for rule in rules_broken(two_owners) if rule == DIAMETER_RULE]
    assert len(diameter) == 2
    one = [rule for rule in rules_broken(two_owners, owner_cvr="22222222") if rule == diameter[0]]
    assert len(one) == 1
    with pytest.raises(NotFound):
        check_file(io.BytesIO(two_owners), owner_cvr="33333333")


def rules_broken(content: bytes, **options: Any) -> list[str]:
    return [one.rule for one in check_file(io.BytesIO(content), **options).findings]


@pytest.mark.parametrize("cvr", ["", "1234567", "abcdefgh", "12345678 "])
def test_a_number_that_is_no_cvr_is_the_callers_fault(cvr: str) -> None:
    with pytest.raises(InvalidInput):
        check_file(io.BytesIO(answer(cable(1))), owner_cvr=cvr)


# ------------------------------------------------------------------ what cannot be read


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "tom fil"),
        (b"hello", "ikke XML"),
        (b"%PDF-1.7", "en PDF"),
        (b'{"type": "FeatureCollection"}', "JSON"),
        (b"<html><body/></html>    ", "roden 'html'"),
        (b"PK\x03\x04 and no more", "Zip-filen er beskadiget"),
        (HEAD.encode(), "ikke velformet XML"),
        (b"\x00" * 5000, "ikke XML"),
        (HEAD.replace("?>\n", '?>\n<!DOCTYPE x [<!ENTITY y "z">]>\n').encode() + TAIL.encode(), "DOCTYPE"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_finding_in_both_languages(content: bytes, says: str) -> None:
    report = check_file(io.BytesIO(content))
    finding = report.findings[0]
    assert (finding.code, finding.severity) == ("LER-UNREADABLE", Severity.ERROR)
    assert says in finding.message_da
    assert finding.message
    assert finding.hint
    assert finding.hint_da


def test_a_document_cut_off_keeps_what_was_found_before_the_cut() -> None:
    content = answer(cable(1, status="i fart"), *(cable(number) for number in range(2, 400)))
    cut = content[: len(content) - 500]
    report = check_file(io.BytesIO(cut))
    assert report.features > 300
    codes = {one.code: one for one in report.findings}
    assert codes["LER-CODE"].line == FIRST_CABLE_LINE + 2
    assert codes["LER-UNREADABLE"].line == cut.count(b"\n") + 1


@pytest.mark.parametrize(
    "limits", [Limits(max_bytes=1000), Limits(max_feature_bytes=1000)], ids=["document", "feature"]
)
def test_a_bound_is_a_finding(limits: Limits) -> None:
    content = answer(cable(1), cable(2, more=f"\n<ler:afdaekning>{'x' * 300_000}</ler:afdaekning>"))
    assert "LER-UNREADABLE" in {code for _, code, *_ in found(content, limits=limits)}


def test_no_bytes_make_it_fail() -> None:
    dice = random.Random(20261124)
    original = answer(cable(1, more='\n<ler:slutkomponent xlink:href="#k.1"/>'), cable(2, status="i fart"))
    for _ in range(300):
        content = bytearray(original)
        for _ in range(dice.randint(1, 8)):
            at = dice.randrange(len(content))
            content[at : at + dice.choice((0, 1, 1, 30))] = dice.choice(
                (bytes([dice.randrange(256)]), b"<", b"&#0;", b"nan", b"-1e400", b"'", b"]]>", b"")
            )
        report = check_file(io.BytesIO(bytes(content)))
        assert all(one.message_da and one.hint and one.hint_da for one in report.findings), bytes(content)


class _Broken(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise RuntimeError("a fault of the program")


def test_a_fault_of_the_program_is_not_taken_for_one_of_the_file() -> None:
    with pytest.raises(RuntimeError, match="a fault of the program"):
        check_file(_Broken())


# ------------------------------------------------------------------ texts


ROOT = Path(__file__).resolve().parents[2]
FORMATS = ROOT / "geoinfra" / "utilities" / "formats"
OWN_WORDS = {"LER-REQUEST", "LER-INTEREST-AREA"}  # one code for many rules, each with its own hint
WRITTEN_ONLY = "LER-WRITE-"


def readers() -> set[Path]:
    """Return the modules that read documents: ``document.py`` and what it imports, near or far."""
    known: set[Path] = set()
    waiting = [FORMATS / "document.py"]
    while waiting:
        path = waiting.pop()
        if path not in known:
            known.add(path)
            names = re.findall(r"from geoinfra\.utilities\.formats\.(\w+) import", path.read_text("utf-8"))
            waiting += [FORMATS / f"{name}.py" for name in names]
    return known


def codes_in_the_source() -> set[str]:
    text = "".join(path.read_text("utf-8") for path in readers())
    return set(re.findall(r'"((?:LER|PACKAGE)-[A-Z0-9-]+)"', text))


def test_every_kind_of_finding_has_a_name_and_a_hint() -> None:
    codes = codes_in_the_source()
    assert len(codes) > 40
    bare = {code for code in codes if advice(code) is None and not code.startswith(WRITTEN_ONLY)}
    assert bare - OWN_WORDS == set()


def test_every_text_is_there_in_both_languages() -> None:
    entries = orjson.loads((ROOT / "standards/utilities/findings.json").read_bytes())
    for code, entry in entries.items():
        texts = [entry[part][language] for part in ("title", "hint") for language in ("da", "en")]
        assert all(text and text == text.strip() for text in texts), code
        assert entry["title"]["da"] != entry["title"]["en"], code
        assert entry["hint"]["da"] != entry["hint"]["en"], code
        assert all(entry["hint"][language].endswith((".", "!")) for language in ("da", "en")), code


def sentences_about_unreadable_files() -> Iterator[str]:
    """Yield what the readers may say of a file, with a number or word where a value stands."""
    for path in readers():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id != "UnreadableFile" or not node.args:
                continue
            text = node.args[0]
            if isinstance(text, ast.Constant):
                yield text.value
            elif isinstance(text, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "7" for part in text.values]
                yield "".join(map(str, parts))


def test_every_sentence_about_an_unreadable_file_is_known_in_danish() -> None:
    sentences = set(sentences_about_unreadable_files())
    assert len(sentences) > 15
    assert {sentence for sentence in sentences if danish(sentence) is None} == set()


def test_a_finding_keeps_the_hint_that_it_has() -> None:
    finding = Finding("LER-CODE", Severity.ERROR, "x", hint="its own")
    assert advised(finding) is finding


# ------------------------------------------------------------------ command


@pytest.fixture
def faulty_file(tmp_path: Path) -> Path:
    path = tmp_path / "svar.gml"
    path.write_bytes(answer(cable(1, status="i fart")))
    return path


@pytest.fixture
def clean_file(tmp_path: Path) -> Path:
    path = tmp_path / "clean.gml"
    path.write_bytes(answer(cable(1)))
    return path


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["utilities", "check", *map(str, arguments)])


def test_the_command_prints_the_report_as_json(faulty_file: Path) -> None:
    done = run(faulty_file, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout) == check_file(faulty_file).to_json() | {
        "findings": [json.loads(json.dumps(one.to_json())) for one in check_file(faulty_file).findings]
    }


def test_the_command_says_nothing_is_wrong_by_its_exit_code(clean_file: Path) -> None:
    done = run(clean_file, "--language", "da")
    assert done.exit_code == 0
    assert done.stdout == "Godkendt: 1 objekt, 0 fejl, 0 advarsler\n"


def test_the_command_writes_a_page(faulty_file: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert run(faulty_file, "--html", page, "--language", "da").exit_code == 1
    assert page.read_text("utf-8").startswith('<!doctype html>\n<html lang="da">')


@pytest.mark.parametrize(
    "arguments", [["nowhere.gml"], ["--owner", "12", "{file}"], ["--language", "fr", "{file}"], []]
)
def test_wrong_usage_ends_with_2(clean_file: Path, arguments: list[str]) -> None:
    assert run(*(part.format(file=clean_file) for part in arguments)).exit_code == 2


def test_the_command_checks_a_package_in_a_folder(two_owners: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "Ledningspakke_1"
    folder.mkdir()
    (folder / "consolidated.gml").write_bytes(two_owners)
    told = json.loads(run(folder, "--json").stdout)
    assert told["features"] == 2
    assert [one["rule"] for one in told["findings"] if one.get("rule") == DIAMETER_RULE] == [
        DIAMETER_RULE
    ] * 2
    alone = json.loads(run(folder, "--json", "--owner", "22222222").stdout)
    assert [one.get("rule") for one in alone["findings"]].count(DIAMETER_RULE) == 1


def test_tolerant_takes_what_can_be_mended_as_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "svar.gml"
    path.write_bytes(answer(cable(1, status=" i drift ")))
    assert json.loads(run(path, "--json", "--tolerant").stdout)["errors"] == 0
    assert json.loads(run(path, "--json").stdout)["errors"] == 1

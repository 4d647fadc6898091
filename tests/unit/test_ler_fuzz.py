"""Broken documents of every kind: always findings or a clear refusal, in bounded time and memory."""

from __future__ import annotations

import io
import json
import random
import re
import resource
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from test_ler_documents import written
from test_ler_packages_in_the_field import FIRST, OWNERS, attachment, cables, consolidated, status_list

from geoinfra.errors import DataRefused, InvalidInput, NotFound, Report, UnreadableFile
from geoinfra.flows.repack import repack
from geoinfra.utilities.check import check_file
from geoinfra.utilities.formats import ler
from geoinfra.utilities.formats.document import open_document
from geoinfra.utilities.formats.intake import Limits
from geoinfra.utilities.formats.package import read_package
from geoinfra.utilities.model import AnswerHeader, ResponseType

LIMITS = Limits(
    max_bytes=8 << 20,
    max_attachment_bytes=1 << 20,
    max_feature_bytes=1 << 20,
    max_zip_members=200,
    max_zip_bytes=16 << 20,
    max_owners=50,
)
SLOWEST_S = 10.0
SEED = 20261124


def answer() -> bytes:
    file = io.BytesIO()
    header = AnswerHeader("3f2b8c1e-5a40-4d7e-9c55-0b1d2e3f4a5b", ResponseType.DELIVERED)
    ler.write_answer(file, header, [cables(FIRST, 4), attachment(FIRST)])
    return file.getvalue()


def package_document() -> bytes:
    return consolidated(cables(FIRST, 4), cables("22222222", 2), attachment(FIRST)).encode()


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def seeds() -> dict[str, bytes]:
    """One good document of each kind, bare and in zips."""
    package = package_document()
    whole = {
        "Ledningspakke_1/consolidated.gml": package,
        "Ledningspakke_1/LedningsejerStatusListe.xml": status_list(OWNERS),
        "Ledningspakke_1/Graveforespoergsel_1.gml": written("request"),
        "Ledningspakke_1/Net/skitse.pdf": b"%PDF",
    }
    return {
        "answer": answer(),
        "answer zip": zipped({"svar.gml": answer(), "skitse.pdf": b"%PDF"}),
        "package": package,
        "package zip": zipped(whole),
        "stored zip": zipped(whole, zipfile.ZIP_STORED),
        "nested zip": zipped({"Ledningspakke_1.zip": zipped(whole)}),
        "request": written("request"),
        "interest area": written("interest-area"),
        "status list": status_list(OWNERS),
    }


# -- what is broken

_NASTY = (
    b"NaN",
    b"inf",
    b"1e999",
    b"-1e308",
    b"1_000",
    b"\xc3\xa6",
    b"\xff\xfe",
    b"\x00",
    b"&#0;",
    b"&lt;",
    b"]]>",
    b"<![CDATA[x]]>",
    b"<!--x-->",
    b"<?x?>",
    b"&a;",
    b"9" * 400,
    b"-",
    b"",
    b" ",
    b"../../etc/passwd",
    b"2026-02-30",
    b"0000-00-00",
    b"other: x",
    b"99999999",
    b"<ler:x/>",
    b"xsi:nil='true'",
    "\u0660\u0661\u0662".encode(),
)
_TEXTS = tuple(text for text in _NASTY if not re.search(rb"[\x00\xff&<>]", text))
_TOKEN = re.compile(rb"<[^<>]+>|[^<>]+")


def flipped(random_: random.Random, content: bytes) -> bytes:
    """Change, drop, double or cut bytes."""
    data = bytearray(content)
    for _ in range(random_.choice((1, 1, 2, 5, 30))):
        place = random_.randrange(len(data)) if data else 0
        match random_.randrange(5):
            case 0 if data:
                data[place] = random_.randrange(256)
            case 1:
                del data[place : place + random_.choice((1, 3, 50, 500))]
            case 2:
                data[place:place] = random_.choice(_NASTY)
            case 3:
                piece = data[place : place + random_.choice((5, 100, 2000))]
                data[place:place] = piece * random_.choice((1, 2, 20))
            case _:
                if random_.random() < 0.2:
                    del data[place:]
    return bytes(data)


def restructured(random_: random.Random, content: bytes) -> bytes:
    """Change tags, attributes and texts as wholes: mostly still well-formed, never quite right."""
    tokens = _TOKEN.findall(content)
    for _ in range(random_.choice((1, 1, 2, 4))):
        if len(tokens) < 4:
            break
        place = random_.randrange(len(tokens))
        token = tokens[place]
        match random_.randrange(7):
            case 0:  # another text
                texts = [i for i, one in enumerate(tokens) if not one.startswith(b"<")]
                if texts:
                    tokens[random_.choice(texts)] = random_.choice(
                        _NASTY if random_.random() < 0.2 else _TEXTS
                    )
            case 1:  # rename an element, both ends
                found = re.match(rb"</?([\w:]+)", token)
                if found:
                    other = re.match(rb"</?([\w:]+)", random_.choice(tokens))
                    name = other[1] if other else b"ler:x"
                    tokens = [
                        re.sub(rb"^(</?)" + re.escape(found[1]) + rb"\b", rb"\1" + name, t) for t in tokens
                    ]
            case 2:  # an element twice or many times
                end = _end_of(tokens, place)
                tokens[place:place] = tokens[place:end] * random_.choice((1, 3, 40))
            case 3:  # an element is gone
                del tokens[place : _end_of(tokens, place)]
            case 4:  # an element moves
                end = _end_of(tokens, place)
                piece = tokens[place:end]
                del tokens[place:end]
                there = random_.randrange(len(tokens) + 1)
                tokens[there:there] = piece
            case 5:  # an attribute changes
                values = re.findall(rb'"([^"]*)"', token)
                if values:
                    tokens[place] = token.replace(
                        b'"' + random_.choice(values) + b'"', b'"' + random_.choice(_NASTY[:6]) + b'"', 1
                    )
            case _:  # numbers change
                tokens[place] = re.sub(rb"\d+", lambda _: random_.choice((*_NASTY[:5], b"1")), token, count=2)
    return b"".join(tokens)


def _end_of(tokens: list[bytes], place: int) -> int:
    """Return where the element that starts at `place` ends."""
    if not tokens[place].startswith(b"<") or tokens[place].startswith((b"</", b"<?")):
        return place + 1
    depth = 0
    for end in range(place, len(tokens)):
        token = tokens[end]
        if token.startswith(b"</"):
            depth -= 1
        elif token.startswith(b"<") and not token.endswith(b"/>") and not token.startswith(b"<?"):
            depth += 1
        if depth <= 0:
            return end + 1
    return len(tokens)


def rezipped(random_: random.Random, content: bytes) -> bytes:
    """Change a member inside the zip, or names and order of members."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    name = random_.choice(list(members))
    match random_.randrange(6):
        case 0:
            members[random_.choice(("../x.gml", "/x", "a\\b.gml", "c:x", "x" * 300, "\u202egml.exe"))] = b"x"
        case 1:
            members[name.upper()] = members.pop(name)
        case 2:
            members[name] = b""
        case 3:
            members = dict(random_.sample(list(members.items()), len(members)))
        case 4:
            members[name] = flipped(random_, members[name])
        case _:
            members[name] = restructured(random_, members[name])
    return zipped(members, random_.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2)))


def mutants(seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield broken documents without end; the same seed gives the same."""
    random_ = random.Random(seed)
    good = seeds()
    kinds = [*good, *["answer", "package", "answer zip"] * 4]
    while True:
        kind = random_.choice(kinds)
        content = good[kind]
        changes: tuple[Callable[[random.Random, bytes], bytes], ...]
        changes = (rezipped,) * 4 + (flipped,) if "zip" in kind else (restructured,) * 5 + (flipped,)
        yield kind, random_.choice(changes)(random_, content)


# -- what may come of it


def drained(content: bytes, *, strict: bool) -> Report | None:
    """Open and read everything; ``None`` when it was refused in a way that is allowed."""
    try:
        document = open_document(io.BytesIO(content), limits=LIMITS, strict=strict)
        for name in document.attachments[:5]:
            document.attachment(name)
        for _ in document.batches():
            pass
        by_rows = document.report.to_json()
        assert document.scan().to_json() == by_rows  # with rows or without: the same findings
    except DataRefused as refused:
        return refused.report
    except (InvalidInput, NotFound):
        return None
    return document.report


def tried(content: bytes, *drawings: str) -> None:
    """Fail unless the document is read or refused in the stated way, and in time; packages are repacked."""
    started = time.process_time()
    drained(content, strict=False)
    drained(content, strict=True)
    report = check_file(io.BytesIO(content), limits=LIMITS)
    json.dumps(report.to_json())
    if drawings:
        repacked(content, drawings)
    assert time.process_time() - started < SLOWEST_S


def repacked(content: bytes, drawings: tuple[str, ...]) -> None:
    """Fail unless a package that can be read comes out with every feature, or the file is refused."""
    target = io.BytesIO()
    try:
        done = repack(io.BytesIO(content), target, formats=drawings, limits=LIMITS)
    except UnreadableFile:
        return
    again = read_package(target)
    assert sum(map(len, again.batches())) == done.features
    assert again.report.errors == 0 or not done.report.ok


def test_the_good_documents_are_good() -> None:
    for kind, content in seeds().items():
        report = drained(content, strict=False)
        assert report is not None, kind
        assert report.errors == 0, (kind, report.findings)


@pytest.mark.parametrize("part", range(4))
def test_a_broken_document_is_read_with_findings_or_refused(part: int) -> None:
    for position, (kind, content) in enumerate(mutants(SEED + part)):
        if position == 100:
            break
        try:
            tried(content, *(("geojson", "html", "gpkg") if "package" in kind else ()))
        except BaseException:
            print(f"seed {SEED + part}, mutant {position}, {kind}")
            raise


HOSTILE = {
    "deep nesting": b"<ler:Graveforespoergselssvar xmlns:ler='http://data.gov.dk/schemas/LER/2/gml'>"
    + b"<a>" * 200_000,
    "a long text": b"<LedningsejerListe>" + b"x" * 4_000_000 + b"</LedningsejerListe>",
    "many attributes": b"<LedningsejerListe " + b" ".join(b"a%d='1'" % n for n in range(100_000)) + b"/>",
    "many namespaces": b"<LedningsejerListe "
    + b" ".join(b"xmlns:a%d='u%d'" % (n, n) for n in range(20_000))
    + b"/>",
    "billion laughs": b"<!DOCTYPE a [<!ENTITY a 'aaaaaaaaaa'>"
    + b"".join(
        b"<!ENTITY b%d '&%s;&%s;&%s;'>" % (n, *[(b"b%d" % (n - 1)) if n else b"a"] * 3) for n in range(40)
    )
    + b"]><LedningsejerListe>&b39;</LedningsejerListe>",
    "never closed": b"<w:FeatureCollection xmlns:w='http://www.opengis.net/wfs'>" + b"<m><f/></m>" * 20_000,
    "zip of zeros": zipped({"a.gml": bytes(8_000_000)}),
    "zip with many members": zipped({f"{n}.gml": b"<a/>" for n in range(300)}),
    "zip in zip in zip": zipped({"a.zip": zipped({"b.zip": zipped({"consolidated.gml": b"<a/>"})})}),
    "many owners": b"<w:FeatureCollection xmlns:w='http://www.opengis.net/wfs'>"
    + b"".join(b"<w:member><f><ledningsejer>%08d</ledningsejer></f></w:member>" % n for n in range(20_000))
    + b"</w:FeatureCollection>",
    "many interest areas": b"<w:FeatureCollection xmlns:w='http://www.opengis.net/wfs'>"
    + b"".join(
        b"<w:member><Kontaktprofil><indberetningsNr>%d</indberetningsNr></Kontaktprofil></w:member>" % n
        for n in range(20_000)
    )
    + b"</w:FeatureCollection>",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_document_made_to_harm_is_refused_quickly(content: bytes) -> None:
    tried(content)


_BOUNDED = """
import io, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), int(sys.argv[1])))
sys.path[:0] = sys.argv[2:]
from test_ler_fuzz import HOSTILE, mutants, tried
for content in HOSTILE.values():
    tried(content)
for position, (_, content) in enumerate(mutants(7)):
    if position == 60:
        break
    tried(content)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_stays_bounded() -> None:
    """In a process that cannot have more than 3 GB of addresses; resident memory is far below."""
    here = Path(__file__).parent
    run = subprocess.run(
        [sys.executable, "-c", _BOUNDED, str(3 << 30), str(here), str(here.parent)],
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert int(run.stdout) < 700  # MB, of which the libraries are a third
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0

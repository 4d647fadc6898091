"""What parties exchange, tried as an attacker: webhooks, signed packages, answers, corrections, zips."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import logging
import shutil
import socket
import struct
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import notice_world
import pytest
import sqlalchemy as sa
from answer_world import AREA, DIGGER, OWNERS, expire, register, svar
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from ler_client import LerClient, encoded
from notice_world import add_channel, dispatch, happen, notices, receiving, run_jobs
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from test_flow_enquiry import document, work_off
from test_flow_notices import documented_verify
from test_ler_interface import serving
from test_notice_transports import message
from test_package_signing import no_lines, packaged, path_of

from geoinfra.access import Access, Role
from geoinfra.flows import signing
from geoinfra.flows.answers import answer_versions, store_answer
from geoinfra.flows.channels import ChannelRules
from geoinfra.flows.notices import Message, NoticeSender, Undelivered
from geoinfra.storage import Store, open_store, organisations, schema
from geoinfra.utilities.formats import package_seal
from geoinfra.utilities.formats.intake import Limits
from geoinfra.utilities.formats.package_seal import verify_package
from geoinfra.utilities.ler_api import ler_id
from geoinfra.utilities.signatures import PublicKey
from services.notices.webhook import Webhooks

pytestmark = pytest.mark.services

A, B = OWNERS[:2]
STRANGE_DIGGER, OPERATOR = "10000041", "10000076"
PUBLIC, LOCAL = ChannelRules(), ChannelRules(local_webhooks=True)
ADDRESS = "https://geodata.example.dk"

# ------------------------------------------------------------------------------------------- webhooks


@pytest.fixture
def noticed(tmp_path: Path) -> Iterator[Store]:
    """A store of its own with an enquiry that things happen to."""
    store = open_store(tmp_path / "data")
    notice_world.fill(store)
    yield store
    store.close()


def sender(rules: ChannelRules, transport: Callable[[Message], None] | None = None) -> NoticeSender:
    return NoticeSender({"webhook": transport or Webhooks(rules)}, ADDRESS, pauses_s=(1.0,), first_rest_s=0.0)


def resolving(monkeypatch: pytest.MonkeyPatch, *rounds: list[str]) -> list[str]:
    """Let a name have other addresses each time that it is looked up; return what was looked up."""
    asked: list[str] = []

    def lookup(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        found = rounds[min(len(asked), len(rounds)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return asked


def test_a_name_is_judged_anew_at_each_sending(noticed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first message came to a good address; the name leads to the metadata of a cloud since."""
    with receiving() as receiver:
        add_channel(noticed, notice_world.DIGGER, f"http://hook.example:{receiver.port}/", "package.ready")
        moved = ["127.0.0.1", "169.254.169.254"]  # one forbidden address is enough, wherever it stands
        asked = resolving(monkeypatch, ["127.0.0.1"], moved, moved[::-1], ["169.254.169.254"])
        for sequence in (1, 2, 3):
            happen(noticed, "package.ready", sequence=sequence)
        dispatch(noticed)
        run_jobs(noticed, sender(LOCAL))
        assert len(receiver.received) == 1
    assert len(asked) == 5  # each of the others was tried twice
    assert [(one.state, one.attempts) for one in notices(noticed)] == [
        ("sent", 1),
        ("failed", 2),
        ("failed", 2),
    ]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:{port}/", "//127.0.0.1:{port}/", "/other", "http://169.254.169.254/"]
)
def test_no_redirect_is_followed_wherever_it_leads(status: int, location: str) -> None:
    with receiving() as elsewhere, receiving([status]) as receiver:
        receiver.location = location.format(port=elsewhere.port)
        with pytest.raises(Undelivered, match="redirects"):
            Webhooks(LOCAL)(message(receiver.url))
        assert len(receiver.received) == 1
        assert elsewhere.received == []


def test_no_secret_is_in_a_record_or_a_log_when_sending_fails(
    noticed: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    channel, secret = add_channel(noticed, notice_world.DIGGER, "https://example.dk/", "package.ready")
    seen: list[Message] = []

    def broken(one: Message) -> None:
        seen.append(one)
        raise RuntimeError(f"{one}")

    happen(noticed, "package.ready", sequence=1)
    dispatch(noticed)
    run_jobs(noticed, sender(PUBLIC, broken))
    key = seen[0].keys[0]
    with noticed.read() as connection:
        names = set(schema.metadata.tables) - {"channels"}
        rows = [
            repr(row) for name in names for row in connection.execute(sa.select(schema.metadata.tables[name]))
        ]
    written = "\n".join([*rows, caplog.text, repr(seen[0])])
    assert "could not be sent" in caplog.text
    assert channel.channel_id in written
    forms = (secret, secret.removeprefix("whsec_"), key.hex(), repr(key)[2:-1])
    assert [form for form in forms if form in written] == []


SPOILT: dict[str, Callable[[dict[str, str], bytes], tuple[dict[str, str], bytes]]] = {
    "body": lambda h, b: (h, bytes([b[0], b[1] ^ 1, *b[2:]])),
    "longer body": lambda h, b: (h, b + b"\n"),
    "no body": lambda h, _b: (h, b""),
    "old": lambda h, b: ({**h, "webhook-timestamp": str(int(h["webhook-timestamp"]) - 301)}, b),
    "to come": lambda h, b: ({**h, "webhook-timestamp": str(int(h["webhook-timestamp"]) + 301)}, b),
    "a second later": lambda h, b: ({**h, "webhook-timestamp": str(int(h["webhook-timestamp"]) + 1)}, b),
    "other id": lambda h, b: ({**h, "webhook-id": h["webhook-id"] + "0"}, b),
    "id and time shifted": lambda h, b: (
        {**h, "webhook-id": f"{h['webhook-id']}.{h['webhook-timestamp'][:1]}"},
        b,
    ),
    "other version": lambda h, b: ({**h, "webhook-signature": f"v2,{h['webhook-signature'][3:]}"}, b),
    "cut": lambda h, b: ({**h, "webhook-signature": h["webhook-signature"][:-4]}, b),
    "none": lambda h, b: ({**h, "webhook-signature": ""}, b),
    "empty": lambda h, b: ({**h, "webhook-signature": "v1,"}, b),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str], bytes]:
    """Secret, headers and body of a message as a real receiver got it."""
    store = open_store(tmp_path_factory.mktemp("told"))
    notice_world.fill(store)
    with receiving() as receiver:
        _, secret = add_channel(store, notice_world.DIGGER, receiver.url, "package.ready")
        happen(store, "package.ready", sequence=1)
        dispatch(store)
        run_jobs(store, sender(LOCAL))
        (one,) = receiver.received
    store.close()
    return secret, one.headers, one.body


@pytest.mark.parametrize("how", SPOILT)
def test_a_message_that_was_touched_does_not_verify(
    told: tuple[str, dict[str, str], bytes], root: Path, how: str
) -> None:
    secret, headers, body = told
    verify = documented_verify(root)
    verify(secret, {name.title(): text for name, text in headers.items()}, body)
    Webhook(secret).verify(body, headers)
    wrong, changed = SPOILT[how](headers, body)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(changed, wrong)
    if how != "other version":  # the page's few lines know one version
        with pytest.raises(ValueError, match=r"wrong|old"):
            verify(secret, {name.title(): text for name, text in wrong.items()}, changed)


def test_another_channels_secret_does_not_verify(noticed: Store, root: Path) -> None:
    with receiving() as receiver:
        _, mine = add_channel(noticed, notice_world.DIGGER, receiver.url, "package.ready")
        _, other = add_channel(noticed, notice_world.OWNER_A, receiver.url, "package.ready")
        happen(noticed, "package.ready", sequence=1)
        dispatch(noticed)
        run_jobs(noticed, sender(LOCAL))
        (one,) = receiver.received
    Webhook(mine).verify(one.body, one.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(one.body, one.headers)
    assert other.removeprefix("whsec_") not in str(one)


# ------------------------------------------------------------------------------------ signed packages


@dataclass
class Signed:
    """Two packages of one enquiry in every format, signed with a key and the one after it."""

    first: Path
    second: Path
    keys: tuple[PublicKey, ...]

    def opened(self, which: str = "first") -> list[tuple[zipfile.ZipInfo, bytes]]:
        with zipfile.ZipFile(getattr(self, which)) as archive:
            return [(info, archive.read(info)) for info in archive.infolist()]


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    folder = tmp_path_factory.mktemp("signed")
    store = open_store(folder / "data")
    _, filed = packaged(store, formats=["gml", "geojson", "gpkg", "html", "dxf"])
    signing.rotate_key(store)
    store_answer(store, Access("test", "10000041", frozenset({Role.OWNER})), filed.number, no_lines())
    work_off(store)
    paths = [shutil.copy(path_of(store, filed.number, n), folder / f"{n}.zip") for n in (1, 2)]
    found = Signed(Path(paths[0]), Path(paths[1]), signing.public_keys(store))
    store.close()
    return found


def rewritten(path: Path, members: Mapping[str, bytes]) -> Path:
    """Write a zip as packages are written, with these members."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(package_seal.member_info(name, zipfile.ZIP_DEFLATED), content)
    return path


def findings(path: Path, keys: tuple[PublicKey, ...]) -> set[tuple[str, str]]:
    done = verify_package(path, keys)
    assert not done.valid
    return {
        (one.code.removeprefix("PACKAGE-"), one.path)
        for one in done.report.findings
        if one.code != "PACKAGE-KEY-RETIRED"
    }


def test_the_packages_are_good_and_of_many_kinds(signed: Signed) -> None:
    assert [verify_package(path, signed.keys).key_state for path in (signed.first, signed.second)] == [
        "retired",
        "current",
    ]
    suffixes = {Path(info.filename).suffix for info, _ in signed.opened()}
    assert suffixes >= {".gml", ".xml", ".geojson", ".gpkg", ".html", ".dxf", ".json", ".sig", ".pdf"}


def test_one_flipped_bit_in_any_file_of_a_package_is_found_and_named(signed: Signed, tmp_path: Path) -> None:
    """Zip and folder alike; the zip is packed anew, so that its own check sums are right."""
    members = {info.filename: content for info, content in signed.opened()}
    for name, content in members.items():
        place = len(content) // 2
        flipped = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :] if content else b"x"
        path = rewritten(tmp_path / "changed.zip", {**members, name: flipped})
        found = findings(path, signed.keys)
        if name == "manifest.json":
            assert ("SIGNATURE", name) in found
        elif name == "manifest.sig":
            assert found & {("NOT-SIGNED", name), ("KEY-UNKNOWN", name), ("SIGNATURE", "manifest.json")}
            continue
        else:
            assert found == {("FILE-CHANGED", name), ("ZIP-CHANGED", "")}
        folder = tmp_path / "folder"
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        assert {code for code, _ in findings(folder, signed.keys)} == {
            code for code, _ in found if code != "ZIP-CHANGED"
        }
        shutil.rmtree(folder)


def test_a_renamed_file_is_missing_and_added(signed: Signed, tmp_path: Path) -> None:
    members = {info.filename: content for info, content in signed.opened()}
    renamed = {name.replace("consolidated", "Consolidated"): content for name, content in members.items()}
    assert findings(rewritten(tmp_path / "a.zip", renamed), signed.keys) == {
        ("FILE-MISSING", "consolidated.gml"),
        ("FILE-ADDED", "Consolidated.gml"),
        ("ZIP-CHANGED", ""),
    }


BOTH = ("manifest.json", "manifest.sig")


@pytest.mark.parametrize("swapped", [BOTH[:1], BOTH[1:], BOTH])
def test_what_signed_the_next_package_of_the_same_enquiry_does_not_fit_this_one(
    signed: Signed, tmp_path: Path, swapped: tuple[str, ...]
) -> None:
    members = {info.filename: content for info, content in signed.opened()}
    other = {info.filename: content for info, content in signed.opened("second")}
    mixed = rewritten(tmp_path / "a.zip", members | {name: other[name] for name in swapped})
    codes = {code for code, _ in findings(mixed, signed.keys)}
    assert "ZIP-CHANGED" in codes
    assert codes & {"SIGNATURE", "FILE-CHANGED"}


def signature(signed: Signed, **changes: Any) -> bytes:
    held = {info.filename: content for info, content in signed.opened()}["manifest.sig"]
    return json.dumps({**json.loads(held), **changes}, indent=2).encode() + b"\n"


def in_its_place(signed: Signed, path: Path, content: bytes) -> Path:
    members = {info.filename: held for info, held in signed.opened()}
    return rewritten(path, {**members, "manifest.sig": content})


def test_a_signature_made_otherwise_is_none(signed: Signed, tmp_path: Path) -> None:
    """Cut, of ECDSA, an HMAC with the public key (a known confusion), zero, of another algorithm's name."""
    held = {info.filename: content for info, content in signed.opened()}
    manifest, document = held["manifest.json"], json.loads(held["manifest.sig"])
    key = next(key for key in signed.keys if key.key_id == document["key_id"])
    assert signature(signed) == held["manifest.sig"]  # what is changed below is all that is changed
    r, s = utils.decode_dss_signature(
        ec.generate_private_key(ec.SECP256R1()).sign(manifest, ec.ECDSA(hashes.SHA256()))
    )
    made = {
        "ecdsa": (r.to_bytes(32) + s.to_bytes(32)).hex(),
        "hmac": hmac.new(key.raw, manifest, hashlib.sha512).hexdigest(),
        "zero": "00" * 64,
        "identity": (b"\1" + bytes(63)).hex(),
    }
    for name, text in made.items():
        path = in_its_place(signed, tmp_path / f"{name}.zip", signature(signed, manifest=text))
        assert ("SIGNATURE", "manifest.json") in findings(path, signed.keys), name
        path = in_its_place(signed, tmp_path / f"{name}-seal.zip", signature(signed, seal=text))
        assert findings(path, signed.keys) == {("ZIP-CHANGED", "")}, name
    no_signature: list[dict[str, Any]] = [
        {"manifest": document["manifest"][:-2]},
        {"manifest": document["manifest"] + "00"},
        {"seal": document["seal"][:64]},
        {"manifest": document["manifest"].upper()},
        {"seal": ""},
        {"algorithm": "ES256"},
        {"algorithm": "none"},
        {"format": "geoinfra package signature 2"},
        {"key_id": None},
    ]
    for changes in no_signature:
        path = in_its_place(signed, tmp_path / "a.zip", signature(signed, **changes))
        assert ("NOT-SIGNED", "manifest.sig") in findings(path, signed.keys), changes


def test_the_id_of_the_next_key_does_not_help_an_old_signature(signed: Signed, tmp_path: Path) -> None:
    document = json.loads(signature(signed))
    (other,) = [key.key_id for key in signed.keys if key.key_id != document["key_id"]]
    path = in_its_place(signed, tmp_path / "a.zip", signature(signed, key_id=other))
    assert findings(path, signed.keys) == {("SIGNATURE", "manifest.json"), ("ZIP-CHANGED", "")}
    only_new = tuple(key for key in signed.keys if key.key_id == other)
    assert findings(signed.first, only_new) == {("KEY-UNKNOWN", "manifest.sig")}


# ------------------------------------------------------------------- answers and corrections over HTTP


@dataclass
class Exchanging:
    """A served store with an enquiry that two owners have answered, and tokens by organisation and role."""

    store: Store
    url: str
    tokens: dict[tuple[str, Role], str]
    number: str = ""

    def call(self, cvr: str, role: Role, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens[cvr, role]}"}
        return httpx.request(method, self.url + path, headers=headers, timeout=60, **options)

    def file(self) -> str:
        asked = document(AREA, formats=["gml"])
        filed = self.call(DIGGER, Role.EXCAVATOR, "POST", "/api/enquiries", json=asked)
        return str(filed.json()["number"])

    def answer(self, cvr: str, number: str, content: bytes) -> httpx.Response:
        return self.call(cvr, Role.OWNER, "POST", f"/api/enquiries/{number}/answers", content=content)

    def correct(self, cvr: str, number: str, content: bytes, reason: str = "Forkert") -> httpx.Response:
        path = f"/api/enquiries/{number}/answers"
        return self.call(cvr, Role.OWNER, "PUT", path, params={"reason": reason}, content=content)

    def versions(self, cvr: str, number: str) -> list[Any]:
        return answer_versions(self.store, Access("test", cvr, frozenset({Role.OWNER})), number)

    def shown(self, number: str) -> set[str]:
        """Return what the filer may read."""
        access = Access("test", DIGGER, frozenset({Role.EXCAVATOR}))
        view = self.store.view(access, "utility-features", enquiry=number)
        return {name for batch in view.read() for name in batch.feature_ids}


@pytest.fixture(scope="module")
def exchanging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchanging]:
    store = open_store(tmp_path_factory.mktemp("exchanging"))
    register(store, A, B)
    tokens = {}
    with store.begin() as tx:
        for cvr in (DIGGER, STRANGE_DIGGER, OPERATOR):
            organisations.add_organisation(tx, cvr, f"Firma {cvr}")
        for cvr, role in (
            (A, Role.OWNER),
            (B, Role.OWNER),
            (DIGGER, Role.EXCAVATOR),
            (STRANGE_DIGGER, Role.EXCAVATOR),
            (OPERATOR, Role.ADMIN),
        ):
            tokens[cvr, role] = organisations.create_token(tx, cvr, [role], "t", timedelta(hours=1))[1]
        tx.commit()
    with serving(store) as (url, _):
        made = Exchanging(store, url, tokens)
        made.number = made.file()
        for cvr in (A, B):
            assert made.answer(cvr, made.number, svar(cvr, ["el.1"]).getvalue()).status_code == 201
        work_off(store)
        yield made
    store.close()


def test_a_file_of_another_owner_becomes_the_senders_own_and_touches_nobody_elses_answer(
    exchanging: Exchanging,
) -> None:
    """The other's number in the file and in its ids, the same ids; parameters that name him."""
    number = exchanging.file()
    exchanging.answer(A, number, svar(A, ["el.1"]).getvalue())
    before = exchanging.versions(A, number)
    assert exchanging.answer(B, number, svar(A, ["el.1", f"x{A}.el.1"]).getvalue()).status_code == 201
    assert exchanging.correct(B, number, svar(A, ["el.1", f"y{A}.el.1"]).getvalue()).status_code == 200
    assert exchanging.versions(A, number) == before
    assert {name for name in exchanging.shown(number) if not name.startswith(f"{B}.")} == {f"{A}.el.1"}
    path = f"/api/enquiries/{number}/answers"
    for name in ("owner", "owner_cvr", "cvr", "organisation"):
        tried = exchanging.call(
            B, Role.OWNER, "PUT", path, params={"reason": "x", name: A}, content=svar(A, ["el.9"]).getvalue()
        )
        assert tried.status_code in (200, 400, 422)
    assert exchanging.versions(A, number) == before
    assert f"{A}.el.9" not in exchanging.shown(number)


@pytest.mark.parametrize(
    "who", [(DIGGER, Role.EXCAVATOR), (STRANGE_DIGGER, Role.EXCAVATOR), (OPERATOR, Role.ADMIN)]
)
def test_excavators_and_the_operator_neither_answer_nor_correct_nor_hand_over(
    exchanging: Exchanging, who: tuple[str, Role]
) -> None:
    path, content = f"/api/enquiries/{exchanging.number}", svar(A, ["el.1"]).getvalue()
    before = [exchanging.versions(cvr, exchanging.number) for cvr in (A, B)]
    for method, more, options in (
        ("POST", "/answers", {"content": content}),
        ("PUT", "/answers", {"content": content, "params": {"reason": "x"}}),
        ("POST", "/hand-over", {}),
        ("DELETE", "/answers", {}),
    ):
        answer = exchanging.call(*who, method, path + more, **options)
        assert answer.status_code in (403, 404, 405), (method, more)
    assert [exchanging.versions(cvr, exchanging.number) for cvr in (A, B)] == before


def test_an_expired_enquiry_takes_no_answer_and_shows_no_line(exchanging: Exchanging) -> None:
    number = exchanging.file()
    exchanging.answer(A, number, svar(A, ["el.1"]).getvalue())
    work_off(exchanging.store)
    assert exchanging.shown(number) == {f"{A}.el.1"}
    expire(exchanging.store, number)
    assert exchanging.answer(B, number, svar(B, ["el.1"]).getvalue()).status_code == 409
    assert exchanging.correct(A, number, svar(A, ["el.2"]).getvalue()).status_code == 409
    path = f"/api/enquiries/{number}"
    for method, more in (
        ("GET", "/differences?from=1&to=1"),
        ("POST", "/refresh"),
        ("POST", "/package-link"),
    ):
        answer = exchanging.call(DIGGER, Role.EXCAVATOR, method, path + more)
        assert answer.status_code == 409, more
    assert exchanging.shown(number) == set()
    assert len(exchanging.versions(A, number)) == 1


def test_corrections_at_one_moment_leave_versions_without_a_gap(exchanging: Exchanging) -> None:
    number = exchanging.file()
    exchanging.answer(A, number, svar(A, ["el.0"]).getvalue())
    ready, statuses = threading.Barrier(4), []

    def correct(name: str) -> None:
        content = svar(A, [name]).getvalue()
        ready.wait()
        statuses.append((exchanging.correct(A, number, content).status_code, name))

    threads = [threading.Thread(target=correct, args=(f"el.{n}",)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [name for status, name in statuses if status == 200]
    assert won
    assert {status for status, _ in statuses} <= {200, 409}
    kept = exchanging.versions(A, number)
    assert [one.version for one in kept] == list(range(1, len(won) + 2))
    (shown,) = exchanging.shown(number)
    assert shown.removeprefix(f"{A}.") in won


def test_a_link_that_was_made_for_one_package_opens_no_other(exchanging: Exchanging) -> None:
    """The filer's own link to what was corrected since still opens that file alone, as it was."""
    link = exchanging.call(DIGGER, Role.EXCAVATOR, "POST", f"/api/enquiries/{exchanging.number}/package-link")
    first = httpx.get(exchanging.url + link.json()["href"])
    exchanging.correct(A, exchanging.number, svar(A, ["el.7"]).getvalue())
    work_off(exchanging.store)
    assert httpx.get(exchanging.url + link.json()["href"]).content == first.content
    listed = exchanging.call(STRANGE_DIGGER, Role.EXCAVATOR, "GET", "/api/enquiries").json()
    assert exchanging.number not in json.dumps(listed)


# ------------------------------------------------------------------------------------------- hostile zips


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def linked() -> bytes:
    """A symbolic link to a file of the server, named like an answer."""
    info = zipfile.ZipInfo("svar.gml")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return zipped((info, b"/etc/passwd"))


def overlapping() -> bytes:
    """A thousand members in the directory that are one and the same on the disk."""
    whole = zipped(("svar0000.gml", b"a" * 5_000_000))
    place = whole.index(b"PK\x01\x02")
    end = whole.rindex(b"PK\x05\x06")
    record = whole[place:end]
    records = b"".join(record.replace(b"svar0000", b"svar%04d" % n) for n in range(1000))
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1000, 1000, len(records), place, 0)
    return whole[:place] + records + tail


def encrypted() -> bytes:
    content = bytearray(zipped(("svar.gml", svar(A).getvalue())))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "up": lambda: zipped(("../../svar.gml", svar(A).getvalue())),
    "absolute": lambda: zipped(("/tmp/svar.gml", svar(A).getvalue())),
    "backslash": lambda: zipped(("..\\..\\svar.gml", svar(A).getvalue())),
    "drive": lambda: zipped(("C:/svar.gml", svar(A).getvalue())),
    "beside a good one": lambda: zipped(("svar.gml", svar(A).getvalue()), ("../bilag.pdf", b"%PDF")),
    "link": linked,
    "encrypted": encrypted,
    "overlapping": overlapping,
    "bomb in a zip": lambda: zipped(("svar.zip", zipped(("svar.gml", b"a" * 50_000_000)))),
    "many": lambda: zipped(*((f"{n}.gml", b"") for n in range(Limits().max_zip_members + 1))),
    "nothing": lambda: zipped(),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_zip_is_refused_by_every_door(exchanging: Exchanging, tmp_path: Path, kind: str) -> None:
    """As a correction, a delivery, and in base64 on LER's interface; it is soon done, nothing is stored."""
    content, store = HOSTILE[kind](), exchanging.store
    before = {path for path in store.data_dir.rglob("*") if "records" not in path.name}
    began = time.process_time()
    number = exchanging.number
    versions = exchanging.versions(A, number)
    answers = [
        exchanging.correct(A, number, content),
        exchanging.call(A, Role.OWNER, "POST", "/api/deliveries", params={"owner": A}, content=content),
    ]
    for answer in answers:
        assert answer.status_code in (400, 413, 422), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert "root:" not in answer.text
    client = LerClient(exchanging.url, exchanging.tokens[A, Role.OWNER])
    path = f"/api/v4/graveforespoergselsvar/{ler_id(number)}"
    code = client.code("POST", path, {"base64data": encoded(content)}, indberetningsNr=1, isOpdatering="true")
    assert code in ("13-300", "00-300")
    assert time.process_time() - began < 10
    assert exchanging.versions(A, number) == versions
    after = {path for path in store.data_dir.rglob("*") if "records" not in path.name}
    assert after - before == set()
    assert not Path("/tmp/svar.gml").exists()

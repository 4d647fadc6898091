"""How notices travel: where a webhook may lead, TLS, bounds of time; mail over a real SMTP server."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from notice_world import DIGGER, NUMBER, Inbox, receiving
from pydantic import ValidationError

from geoinfra.errors import InvalidInput
from geoinfra.flows.channels import ChannelRules, check_mail_address, check_webhook_url, is_allowed_address
from geoinfra.flows.concerns import CHOOSABLE
from geoinfra.flows.notices import Message, Undelivered
from geoinfra.presentation.notice_letters import Letter, Missing, NoticeFacts, letter
from geoinfra.storage.channels import Channel
from geoinfra.utilities.enquiry import AnswerStatus
from services.notices.mail import Mailer
from services.notices.webhook import Webhooks
from services.settings import Settings

PUBLIC, LOCAL = ChannelRules(), ChannelRules(local_webhooks=True)


def message(target: str, kind: str = "webhook", text: str = "Hændelse: rødgrød\n") -> Message:
    channel = Channel("abc123", DIGGER, kind, target, ("package.ready",), "2026-11-24T09:00:00.000Z", None)
    return Message(
        channel, 7, "package.ready", {"id": 7}, Letter("Pakken er klar / ready: æøå", text), (b"k" * 32,)
    )


# ------------------------------------------------------------------------------- where a webhook may lead

ADDRESSES = {
    # address: (allowed, allowed with the setting)
    "93.184.215.14": (True, True),
    "2001:4860:4860::8888": (True, True),
    "64:ff9b::5db8:d70e": (True, True),  # NAT64 of a public address
    "127.0.0.1": (False, True),
    "127.255.1.2": (False, True),
    "::1": (False, True),
    "::ffff:127.0.0.1": (False, True),
    "64:ff9b::7f00:1": (False, True),
    "2002:7f00:1::": (False, True),  # 6to4 of loopback
    "10.0.0.1": (False, True),
    "172.16.0.1": (False, True),
    "192.168.1.1": (False, True),
    "::ffff:10.1.2.3": (False, True),
    "fd12:3456::1": (False, True),
    "169.254.169.254": (False, False),  # link-local: metadata of clouds
    "::ffff:169.254.169.254": (False, False),
    "64:ff9b::a9fe:a9fe": (False, False),
    "fd00:ec2::254": (False, False),
    "fe80::1": (False, False),
    "fe80::1%eth0": (False, False),
    "0.0.0.0": (False, False),
    "::": (False, False),
    "224.0.0.1": (False, False),
    "ff02::1": (False, False),
    "255.255.255.255": (False, False),
    "240.0.0.1": (False, False),
    "100.64.0.1": (False, False),  # shared by carriers
    "::127.0.0.1": (False, False),  # no longer used form
    "fec0::1": (False, False),
    "4000::1": (False, False),  # not given out
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_webhook_reaches_public_addresses_only(address: str) -> None:
    judged = tuple(is_allowed_address(address, rules) for rules in (PUBLIC, LOCAL))
    assert judged == ADDRESSES[address]


@pytest.mark.parametrize("address", ADDRESSES)
def test_http_reaches_loopback_only_and_by_the_setting(address: str) -> None:
    assert not is_allowed_address(address, PUBLIC, scheme="http")
    loopback = "127" in address or address in ("::1", "64:ff9b::7f00:1", "2002:7f00:1::")
    assert is_allowed_address(address, LOCAL, scheme="http") == (loopback and ADDRESSES[address][1])


@pytest.mark.parametrize(
    "url",
    [
        "http://example.dk/", "ftp://example.dk/", "file:///etc/passwd", "gopher://example.dk/", "example.dk",
        "https://", "https:///x", "https://user@example.dk/", "https://user:word@example.dk/",
        "https://example.dk/#x", "https://example.dk:0/", "https://example.dk:99999/",
        "https://exa mple.dk/", "https://example.dk/\r\nHost: x", "https://example.dk\\@127.0.0.1/",
        "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest", "https://[fe80::1%25eth0]/",
        "https://[::1/", "https://rødgrød.dk/", "https://example.dk/" + "x" * 2000, "", "https://\0/",
        "https://localhost/", "https://LOCALHOST./", "https://db.localhost/", "https://db/", "https://0/",
        "https://2130706433/", "https://0x7f000001/", "https://0x7f.1/", "https://0177.0.0.1/", "https://127.1/",
        "https://127.0.0.1./", "https://127%2e0.0.1/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:a9fe:a9fe]/",
        "https://[64:ff9b::7f00:1]/", "https://[64:ff9b:1::7f00:1]/", "https://[2002:7f00:1::]/", "https://[::]/",
        "https://[0:0:0:0:0:0:0:1]/", "https://[fd00:ec2::254]/", "https://192.0.2.1/", "https://198.18.0.1/",
        "https://a..dk/", "https://.dk/", "https://a,b.dk/", "https://a;b.dk/", f"https://{'a' * 64}.dk/",
        f"https://{'a.' * 130}dk/", "https://example.dk:443:80/", "https://example.dk:-1/", "ws://example.dk/",
    ],
)  # fmt: skip
def test_urls_that_are_no_webhooks_are_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        check_webhook_url(url, PUBLIC)


@pytest.mark.parametrize(
    "url",
    ["https://example.dk", "https://example.dk:8443/a?b=c", "https://8.8.8.8/x", "HTTPS://Hooks.Example.DK./x",
     "https://a_b.xn--rdgrd-vuad.dk", "https://1and1.example.dk", "https://0x7f.dk", "https://[2001:4860:4860::8888]/"],
)  # fmt: skip
def test_urls_of_webhooks_are_taken(url: str) -> None:
    assert check_webhook_url(url, PUBLIC).scheme == "https"


def test_where_one_may_try_out_names_of_one_machine_are_taken_and_numbers_never() -> None:
    assert check_webhook_url("http://localhost:9/x", LOCAL).hostname == "localhost"
    assert check_webhook_url("https://db:8443/", LOCAL).hostname == "db"
    for url in ("http://2130706433/", "http://0x7f.1/", "https://0177.0.0.1/", "https://169.254.169.254/"):
        with pytest.raises(InvalidInput):
            check_webhook_url(url, LOCAL)


@pytest.mark.parametrize(
    "host", ["localhost", "2130706433", "0x7f.1", "127.1", "0177.0.0.1", "[::ffff:7f00:1]"]
)
def test_no_spelling_of_loopback_is_connected_to(host: str) -> None:
    with receiving() as receiver:
        with pytest.raises(Undelivered) as refused:
            Webhooks(PUBLIC)(message(f"https://{host}:{receiver.port}/"))
        assert receiver.received == []
    assert refused.value.final
    assert "127" not in refused.value.reason


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_http_is_refused_when_the_setting_was_taken_back(scheme: str) -> None:
    with receiving() as receiver, pytest.raises(Undelivered) as refused:
        Webhooks(PUBLIC)(message(f"{scheme}://127.0.0.1:{receiver.port}/"))
    assert refused.value.final
    assert receiver.received == []


def answers_of_dns(*addresses: str) -> list[Any]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]


def test_a_name_is_resolved_once_and_the_judged_address_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that changes its address after the judgement (DNS rebinding) leads nowhere."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def lookup(host: str, *rest: Any, **named: Any) -> list[Any]:
        asked.append(host)
        if host == "rebinding.example":
            return answers_of_dns("127.0.0.1" if len(asked) == 1 else "169.254.169.254")
        found: list[Any] = real(host, *rest, **named)
        return found

    with receiving() as receiver:
        monkeypatch.setattr(socket, "getaddrinfo", lookup)
        Webhooks(LOCAL)(message(f"http://rebinding.example:{receiver.port}/"))
        assert receiver.received[0].headers["host"] == f"rebinding.example:{receiver.port}"
    assert asked == ["rebinding.example"]


def test_one_forbidden_address_forbids_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers_of_dns("93.184.215.14", "10.0.0.1"))
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("connected"))
    with pytest.raises(Undelivered, match="allowed"):
        Webhooks(PUBLIC)(message("https://mixed.example/"))


FORBIDDEN = [address for address, (allowed, _) in ADDRESSES.items() if not allowed]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_a_name_that_leads_into_a_network_fares_like_one_that_does_not_exist(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """Nobody learns by a webhook which names the installation's own network has."""

    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("connected"))
    webhooks, told = Webhooks(PUBLIC, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)), []
    for lookup in (lambda *_, **__: answers_of_dns(address), unknown):
        monkeypatch.setattr(socket, "getaddrinfo", lookup)
        with pytest.raises(Undelivered) as failed:
            webhooks(message("https://db.internal.example/"))
        told.append((failed.value.reason, failed.value.final, failed.value.ours))
    assert told[0] == told[1]
    assert address not in told[0][0]


# ------------------------------------------------------------------------------------ TLS, bounds of time


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of localhost that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    files = ["-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    return cert, key


@contextmanager
def raw_server(answer: Any, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Run a server that hands each connection to `answer`; gives its port."""
    listening = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                try:
                    one = tls.wrap_socket(connection, server_side=True) if tls else connection
                    with one:
                        read_request(one)
                        answer(one, stop)
                except OSError:
                    continue

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        stop.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def read_request(connection: socket.socket) -> None:
    """Read up to the end of the document: what is left unread resets the connection when it is closed."""
    received = b""
    while not received.endswith(b"}"):
        chunk = connection.recv(65_536)
        if not chunk:
            return
        received += chunk


def take(connection: socket.socket, _stop: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


@pytest.mark.parametrize(
    ("host", "trusted", "works"),
    [("localhost", True, True), ("localhost", False, False), ("127.0.0.1", True, False)],
)
def test_the_certificate_must_be_the_receivers(
    certificate: tuple[Path, Path], host: str, trusted: bool, works: bool
) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*certificate)
    client = ssl.create_default_context(cafile=str(certificate[0]) if trusted else None)
    with raw_server(take, server) as port:
        webhooks = Webhooks(LOCAL, tls=client)
        if works:
            webhooks(message(f"https://{host}:{port}/"))
            return
        with pytest.raises(Undelivered) as failed:
            webhooks(message(f"https://{host}:{port}/"))
    assert not failed.value.final


def drip(connection: socket.socket, stop: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while not stop.wait(0.05):
        connection.sendall(b"x")


def silence(_connection: socket.socket, stop: threading.Event) -> None:
    stop.wait(20)


def nonsense(connection: socket.socket, _stop: threading.Event) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n" * 10)


@pytest.mark.parametrize("answer", [drip, silence])
@pytest.mark.parametrize("secured", [False, True])
def test_no_receiver_holds_a_sender_longer_than_its_bound(
    certificate: tuple[Path, Path], answer: Any, secured: bool
) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*certificate)
    client = ssl.create_default_context(cafile=str(certificate[0]))
    with raw_server(answer, server if secured else None) as port:
        webhooks = Webhooks(LOCAL, tls=client, whole_s=0.6)
        began = time.monotonic()
        with pytest.raises(Undelivered, match="reached") as failed:
            webhooks(message(f"http{'s' if secured else ''}://localhost:{port}/"))
        assert time.monotonic() - began < 5
    assert not failed.value.final


def test_a_handshake_that_never_ends_is_bounded_too() -> None:
    with raw_server(silence) as port:
        began = time.monotonic()
        with pytest.raises(Undelivered, match="reached"):
            Webhooks(LOCAL, whole_s=0.6)(message(f"https://localhost:{port}/"))
        assert time.monotonic() - began < 5


def test_an_endless_body_is_not_read() -> None:
    def endless(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        while not stop.is_set():
            connection.sendall(b"x" * 65_536)

    with raw_server(endless) as port:
        began = time.monotonic()
        Webhooks(LOCAL)(message(f"http://127.0.0.1:{port}/"))
        assert time.monotonic() - began < 3


def provisional(connection: socket.socket, stop: threading.Event) -> None:
    """Say "wait for it" for ever: each is a whole answer, so that no pause is ever long."""
    while not stop.wait(0.01):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 50)


def endless_line(connection: socket.socket, stop: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 ")
    while not stop.is_set():
        connection.sendall(b"x" * 65_536)


def many_headers(connection: socket.socket, stop: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not stop.is_set():
        connection.sendall(b"X: y\r\n" * 1000)


@pytest.mark.parametrize("answer", [provisional, endless_line, many_headers])
def test_an_endless_head_is_bounded(answer: Any) -> None:
    with raw_server(answer) as port:
        began = time.monotonic()
        with pytest.raises(Undelivered, match="reached") as failed:
            Webhooks(LOCAL, whole_s=0.6)(message(f"http://127.0.0.1:{port}/"))
        assert time.monotonic() - began < 3
    assert not failed.value.final


def test_what_is_no_http_is_tried_again() -> None:
    with raw_server(nonsense) as port, pytest.raises(Undelivered) as failed:
        Webhooks(LOCAL)(message(f"http://127.0.0.1:{port}/"))
    assert not failed.value.final
    assert "SSH" not in failed.value.reason


def test_an_environment_with_a_proxy_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with receiving() as receiver:
        Webhooks(LOCAL)(message(receiver.url))
        assert len(receiver.received) == 1


# ------------------------------------------------------------------------------------------------ mail


def authenticated(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"geoinfra", b"right"), handled=False)


@contextmanager
def mail_server(
    mode: str, certificate: tuple[Path, Path], *, login: bool = False
) -> Iterator[tuple[Inbox, int]]:
    inbox = Inbox()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    options: dict[str, Any] = {"starttls": {"tls_context": context}, "tls": {"ssl_context": context}}.get(
        mode, {}
    )
    if login:
        options |= {
            "authenticator": authenticated,
            "auth_required": True,
            "auth_require_tls": mode == "starttls",
        }
    controller = Controller(inbox, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield inbox, port
    finally:
        controller.stop()


def settings(port: int, mode: str, password: str | None = None, host: str = "localhost") -> Settings:
    login = {"smtp_user": "geoinfra", "smtp_password": password} if password else {}
    return Settings.model_validate(
        {
            "smtp_host": host,
            "smtp_port": port,
            "smtp_tls": mode,
            "smtp_from": "Geoinfra drift <drift@geodata.example.dk>",
            **login,
        }
    )


@pytest.fixture
def trusting(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize(("mode", "login"), [("starttls", True), ("tls", False), ("none", False)])
def test_a_mail_arrives_as_it_was_written(certificate: tuple[Path, Path], mode: str, login: bool) -> None:
    with mail_server(mode, certificate, login=login) as (inbox, port):
        mailer = Mailer(settings(port, mode, "right" if login else None))
        for _ in range(2):
            mailer(message("vagt@example.dk", "mail"))
    one, again = inbox.mails
    assert one["Subject"] == "Pakken er klar / ready: æøå"
    assert one.get_content().replace("\r\n", "\n") == "Hændelse: rødgrød\n"
    assert (one["From"], one["To"]) == ("Geoinfra drift <drift@geodata.example.dk>", "vagt@example.dk")
    assert one["Message-ID"] == again["Message-ID"] == "<7.abc123@geodata.example.dk>"
    assert one["Auto-Submitted"] == "auto-generated"
    assert one["Date"].datetime.tzinfo is not None
    assert inbox.secured == [mode != "none"] * 2


@pytest.mark.usefixtures("trusting")
def test_nothing_is_sent_in_the_clear_when_tls_is_wanted(certificate: tuple[Path, Path]) -> None:
    with mail_server("none", certificate) as (inbox, port):
        with pytest.raises(Undelivered) as failed:
            Mailer(settings(port, "starttls"))(message("vagt@example.dk", "mail"))
        assert inbox.mails == []
    assert failed.value.ours
    assert not failed.value.final


def test_a_mail_server_with_a_certificate_of_nobody_gets_nothing(certificate: tuple[Path, Path]) -> None:
    with mail_server("starttls", certificate) as (inbox, port):
        with pytest.raises(Undelivered) as failed:
            Mailer(settings(port, "starttls"))(message("vagt@example.dk", "mail"))
        assert inbox.mails == []
    assert failed.value.ours


@pytest.mark.usefixtures("trusting")
def test_a_wrong_password_is_our_fault_and_is_not_told(certificate: tuple[Path, Path]) -> None:
    with mail_server("starttls", certificate, login=True) as (_, port), pytest.raises(Undelivered) as failed:
        Mailer(settings(port, "starttls", "wrong"))(message("vagt@example.dk", "mail"))
    assert failed.value.ours
    assert "wrong" not in failed.value.reason


@pytest.mark.parametrize(
    ("recipient", "data", "final"),
    [("550 no such user", "250 OK", True), ("450 try later", "250 OK", False),
     ("250 OK", "554 spam", True), ("250 OK", "452 full", False)],
)  # fmt: skip
def test_refusals_are_final_when_the_server_says_so(
    certificate: tuple[Path, Path], recipient: str, data: str, final: bool
) -> None:
    with mail_server("none", certificate) as (inbox, port):
        inbox.recipient_answer, inbox.data_answer = recipient, data
        with pytest.raises(Undelivered) as failed:
            Mailer(settings(port, "none"))(message("vagt@example.dk", "mail"))
    assert (failed.value.final, failed.value.ours) == (final, False)


def test_a_mail_server_that_is_away_is_our_fault() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with pytest.raises(Undelivered) as failed:
        Mailer(settings(port, "none"))(message("vagt@example.dk", "mail"))
    assert (failed.value.final, failed.value.ours) == (False, True)


@pytest.mark.parametrize(
    "address",
    ["", "vagt", "vagt@", "@example.dk", "vagt@example", "a@b.dk\r\nBcc: c@d.dk", "A <a@b.dk>",
     "a@b.dk, c@d.dk", "a b@c.dk", "æ@b.dk", "a@b..dk", "x" * 65 + "@b.dk", "a@" + "b" * 250 + ".dk",
     '"a"@b.dk', "a@b.dk\0"],
)  # fmt: skip
def test_what_is_no_plain_mail_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput):
        check_mail_address(address)


@pytest.mark.parametrize(
    "changed",
    [
        {"smtp_from": ""}, {"smtp_from": "nobody"}, {"smtp_user": "a"}, {"smtp_password": "b"},
        {"smtp_user": "a", "smtp_password": "b", "smtp_tls": "none"}, {"smtp_tls": "ssl"}, {"smtp_port": 0},
    ],
)  # fmt: skip
def test_settings_of_mail_that_cannot_work_stop_the_start(changed: dict[str, Any]) -> None:
    whole = {"smtp_host": "mail.example.dk", "smtp_from": "a@example.dk"}
    assert Settings.model_validate(whole).channel_rules.mail
    with pytest.raises(ValidationError):
        Settings.model_validate({**whole, **changed})


# --------------------------------------------------------------------------------------------- letters


@pytest.mark.parametrize("event", sorted(CHOOSABLE | {"channel.tested"}))
def test_every_event_has_a_letter_in_both_languages(event: str) -> None:
    for to_filer in (True, False):
        written = letter(NoticeFacts(event, to_filer, NUMBER, "https://x.dk/?enquiry=1", owner="Alfa"))
        danish, english = written.text.split("\n\n--- In English ---\n\n")
        assert danish.endswith("Se mere: https://x.dk/?enquiry=1")
        assert english.endswith("See more: https://x.dk/?enquiry=1\n")
        assert danish.splitlines()[0] != english.splitlines()[0]
        assert " / " in written.subject
        assert "{" not in written.text + written.subject


@pytest.mark.parametrize("status", list(AnswerStatus))
def test_every_state_of_an_answer_has_words_in_both_languages(status: AnswerStatus) -> None:
    facts = NoticeFacts("answer.stored", True, NUMBER, "l", owner="Alfa", status=status, owners=1, answered=0)
    written = letter(facts)
    danish, english = written.text.split("--- In English ---")
    assert status.danish in danish
    assert status.danish not in english


def test_a_name_from_outside_stays_on_its_line() -> None:
    name = "Evil\r\nSubject: x\u2028{status} " + "x" * 1000
    missing = (Missing(name, AnswerStatus.WAITING, phone="1\n2"),)
    facts = NoticeFacts("answer.stored", True, NUMBER, "l", owner=name, owners=1, answered=0, missing=missing)
    written = letter(facts)
    assert "\n" not in written.subject
    assert "\nSubject" not in written.text
    assert max(map(len, written.text.splitlines())) < 700
    assert len(written.subject) <= 200


def test_all_answered_is_said() -> None:
    facts = NoticeFacts("package.ready", True, NUMBER, "l", owners=3, answered=3, features=12)
    text = letter(facts).text
    assert "Alle ledningsejere har svaret." in text
    assert "Features: 12" in text
    assert "Grav ikke" not in text

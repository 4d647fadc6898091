"""What the robot is doing, for people and for monitoring: a JSON file and a page beside it."""

from __future__ import annotations

import base64
import hashlib
import logging
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal

import orjson

from geoinfra.errors import Finding, InvalidInput, Severity
from geoinfra.utilities.legal_clock import DENMARK
from services.robot.client import WaitingEnquiry

__all__ = ["Language", "Status", "Trouble"]

log = logging.getLogger("geoinfra.robot")

Language = Literal["da", "en"]

_KEPT_ANSWERS: Final = 50
_KEPT_FINDINGS: Final = 20
_REFRESH_S: Final = 30
_SOON_MIN: Final = 30


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why an enquiry is not answered.

    Attributes
    ----------
    message, message_da
        One sentence.
    findings
        The errors behind it.
    manual
        Whether it was taken out for manual handling.
    """

    message: str
    message_da: str
    findings: tuple[Finding, ...] = ()
    manual: bool = False

    @classmethod
    def of_findings(cls, findings: Iterable[Finding], *, manual: bool = False) -> Trouble:
        """Return the trouble that errors in the data are."""
        errors = tuple(f for f in findings if f.severity is Severity.ERROR)
        return cls(
            f"{len(errors)} error(s) in the data; nothing was sent.",
            f"{len(errors)} fejl i data; intet er sendt.",
            errors[:_KEPT_FINDINGS],
            manual,
        )

    def text(self, language: Language) -> str:
        """Return message and findings as lines."""
        if language == "da":
            lines = [self.message_da, *(f.message_da or f.message for f in self.findings)]
        else:
            lines = [self.message, *(f.message for f in self.findings)]
        return "\n".join(lines)


@dataclass(slots=True)
class Status:
    """The robot's present state; every change is written at once, whole or not at all.

    Attributes
    ----------
    path
        JSON file; the page stands beside it with the suffix ``.html``. ``None`` writes nothing.
    """

    path: Path | None
    server: str
    owner_cvr: str
    language: Language
    interval_s: float
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    last_poll_at: datetime | None = None
    last_answer_from_server_at: datetime | None = None
    answered_total: int = 0
    stopped: bool = False
    waiting: dict[str, WaitingEnquiry] = field(default_factory=dict)
    troubles: dict[str, Trouble] = field(default_factory=dict)
    answered: list[dict[str, Any]] = field(default_factory=list)
    alarms: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        if self.path is not None and (self.path.suffix == ".html" or not self.path.parent.is_dir()):
            raise InvalidInput(
                f"The status cannot be written to {self.path}.",
                hint="Give a file such as status.json in a folder.",
            )

    def polled(self, waiting: Sequence[WaitingEnquiry] | None) -> None:
        """Note a poll; ``None`` when no answer came."""
        with self._lock:
            self.last_poll_at = datetime.now(UTC)
            if waiting is None:
                return
            self.last_answer_from_server_at = self.last_poll_at
            self.waiting = {enquiry.number: enquiry for enquiry in waiting}
            self.troubles = {n: t for n, t in self.troubles.items() if n in self.waiting}

    def done(self, number: str, response_type: str, features: int) -> None:
        """Note an enquiry as answered."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        entry = {"number": number, "at": at, "type": response_type, "features": features}
        with self._lock:
            self.waiting.pop(number, None)
            self.troubles.pop(number, None)
            self.answered = [entry, *self.answered][:_KEPT_ANSWERS]
            self.answered_total += 1

    def troubled(self, number: str, trouble: Trouble) -> bool:
        """Note why an enquiry is not answered; tells whether that is news."""
        with self._lock:
            is_new = self.troubles.get(number) != trouble
            self.troubles[number] = trouble
            return is_new

    def alarm(self, key: str, message: str) -> bool:
        """Raise an alarm; tells whether it was not raised already."""
        with self._lock:
            is_new = key not in self.alarms
            since = self.alarms[key][0] if not is_new else datetime.now(UTC)
            self.alarms[key] = (since, message)
            return is_new

    def calm(self, keep: Iterable[str]) -> None:
        """End every alarm that is not among `keep`."""
        kept = set(keep)
        with self._lock:
            self.alarms = {key: alarm for key, alarm in self.alarms.items() if key in kept}

    def manual_before(self) -> list[str]:
        """Return the enquiries that an earlier run took out for manual handling, from the file it left."""
        if self.path is None or not self.path.exists():
            return []
        try:
            waiting = orjson.loads(self.path.read_bytes())["waiting"]
            return [str(one["number"]) for one in waiting if one["state"] == "manual"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s of an earlier run cannot be read (%s)", self.path, type(error).__name__)
            return []

    def write(self) -> None:
        """Write both files; answering goes on when the disk does not take them."""
        if self.path is None:
            return
        with self._lock:
            now = datetime.now(UTC)
            try:
                _replace(self.path, orjson.dumps(self._document(now), option=orjson.OPT_INDENT_2))
                _replace(self.path.with_suffix(".html"), self._page(now).encode())
            except OSError as error:
                log.error("the status cannot be written to %s (%s)", self.path, error.strerror)

    def _document(self, now: datetime) -> dict[str, Any]:
        return {
            "owner": self.owner_cvr,
            "server": self.server,
            "running": not self.stopped,
            "ok": not self.alarms,
            "written_at": now,
            "started_at": self.started_at,
            "last_poll_at": self.last_poll_at,
            "last_answer_from_server_at": self.last_answer_from_server_at,
            "interval_s": self.interval_s,
            "waiting": [self._waiting(number, now) for number in self.waiting],
            "answered_total": self.answered_total,
            "answered": self.answered,
            "alarms": [
                {"about": key, "since": since, "message": message}
                for key, (since, message) in self.alarms.items()
            ],
        }

    def _waiting(self, number: str, now: datetime) -> dict[str, Any]:
        enquiry, trouble = self.waiting[number], self.troubles.get(number)
        left_s = (enquiry.due_at - now).total_seconds()
        members: dict[str, Any] = {
            "number": number,
            "state": "manual" if trouble and trouble.manual else "waiting",
        }
        members |= {"filed_at": enquiry.filed_at, "due_at": enquiry.due_at, "seconds_left": round(left_s)}
        if trouble:
            message = trouble.message_da if self.language == "da" else trouble.message
            members |= {"message": message, "findings": [f.to_json() for f in trouble.findings]}
        return members

    # -- the page

    def _page(self, now: datetime) -> str:
        danish = self.language == "da"

        def say(da: str, en: str) -> str:
            return escape(da if danish else en)

        rows = [self._row(number, now) for number in self.waiting]
        alarms = "".join(
            f"<li><b>{escape(key)}</b> ({_clock(since)}): <pre>{escape(message)}</pre></li>"
            for key, (since, message) in self.alarms.items()
        )
        answered = "".join(
            f"<tr><td>{escape(a['number'])}</td><td>{_clock(datetime.fromisoformat(a['at']))}</td>"
            f"<td>{escape(a['type'])}</td><td>{a['features']}</td></tr>"
            for a in self.answered
        )
        verdict = say("Alarm", "Alarm") if self.alarms else say("Alt er i orden", "All is well")
        if self.stopped:
            verdict = say("Robotten er standset", "The robot has stopped")
        style = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
        polled = _clock(self.last_poll_at) if self.last_poll_at else "–"
        return f"""<!doctype html>
<html lang="{self.language}"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-{style}'">
<meta http-equiv="refresh" content="{_REFRESH_S}"><meta name="viewport" content="width=device-width">
<title>{verdict} – {escape(self.owner_cvr)}</title><style>{_STYLE}</style></head><body>
<h1 class="{"bad" if self.alarms or self.stopped else "good"}">{verdict}</h1>
<p>{say("Ejer", "Owner")} {escape(self.owner_cvr)}, {escape(self.server)}.
{say("Sidst spurgt", "Last poll")} {polled}. {say("Skrevet", "Written")} {_clock(now)}.
{say("Besvaret siden start", "Answered since start")}: {self.answered_total}.</p>
<ul>{alarms}</ul>
<h2>{say("Venter på svar", "Waiting for an answer")}: {len(rows)}</h2>
<table><tr><th>{say("Forespørgsel", "Enquiry")}</th><th>{say("Frist", "Due")}</th>
<th>{say("Tid tilbage", "Time left")}</th><th>{say("Bemærkning", "Remark")}</th></tr>{"".join(rows)}</table>
<h2>{say("Seneste svar", "Latest answers")}</h2>
<table><tr><th>{say("Forespørgsel", "Enquiry")}</th><th>{say("Besvaret", "Answered")}</th>
<th>{say("Svar", "Answer")}</th><th>{say("Objekter", "Features")}</th></tr>{answered}</table>
</body></html>
"""

    def _row(self, number: str, now: datetime) -> str:
        enquiry, trouble = self.waiting.get(number), self.troubles.get(number)
        due, left, style = "", "", ""
        if enquiry:
            minutes = int((enquiry.due_at - now).total_seconds() // 60)
            due, left = (
                _clock(enquiry.due_at),
                f"{minutes // 60}:{minutes % 60:02d}" if minutes >= 0 else "0:00",
            )
            style = ' class="bad"' if minutes < 30 else ""
        remark = escape(trouble.text(self.language)) if trouble else ""
        cells = f"<td>{due}</td><td{style}>{left}</td><td><pre>{remark}</pre></td>"
        return f"<tr><td>{escape(number)}</td>{cells}</tr>"


_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b}"
    "h1{padding:.6rem 1rem;border-radius:.4rem;color:#fff}"
    "h1.good{background:#1c7a3f}h1.bad{background:#a3181f}"
    "td.bad{color:#a3181f;font-weight:700}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #ccc}"
    "pre{white-space:pre-wrap;margin:0;font:inherit}"
)


def _clock(moment: datetime) -> str:
    """Return a moment in Danish time as people read it."""
    return moment.astimezone(DENMARK).strftime("%d-%m-%Y %H:%M:%S")


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)

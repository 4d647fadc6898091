"""The robot: one poll answers every enquiry that waits, and says aloud what it could not answer."""

from __future__ import annotations

import logging
import random
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Final

from geoinfra.errors import DataRefused, GeoinfraError
from geoinfra.utilities.mapping import DsnOf, MappingFile
from geoinfra.utilities.mapping_file import read_mapping
from geoinfra.utilities.model import ResponseType
from services.robot.answering import MadeAnswer, make_answer, manual_answer
from services.robot.client import MOST_WAITING, NoAnswer, OwnerClient, Refused, WaitingEnquiry
from services.robot.status import Status, Trouble

__all__ = ["Outcome", "Robot"]

log = logging.getLogger("geoinfra.robot")

Alarm = Callable[[str, str], None]
"""Tells somebody: what about, and the text."""

_SILENT_POLLS: Final = 3
_SOON: Final = timedelta(minutes=30)
_CONFLICT: Final = 409


class Outcome:
    """Exit codes of the robot."""

    DONE = 0
    NOT_ANSWERED = 1
    NO_SERVER = 3


@dataclass(slots=True)
class Robot:
    """Answers for one owner.

    Attributes
    ----------
    mapping_path
        Read anew at each poll, so that a mended file counts at once.
    dsn_of
        Gives the addresses of databases.
    parallel
        How many enquiries are answered at a time.
    alarm
        Called once for each new alarm.
    """

    mapping_path: Path
    client: OwnerClient
    status: Status
    dsn_of: DsnOf
    alarm: Alarm
    stop: Event
    parallel: int = 2
    _silent: int = field(default=0)
    _owner: str = field(default="")
    _manual: dict[str, WaitingEnquiry] = field(default_factory=dict)
    _recalled: bool = field(default=False)

    def run(self, interval_s: float) -> None:
        """Poll until told to stop; the first poll comes at a random moment of the first interval."""
        pause_s = random.uniform(0, interval_s)  # noqa: S311  # spreads the load, guards nothing
        while not self.stop.wait(pause_s):
            started = time.monotonic()
            self.poll(tolerated=_SILENT_POLLS)
            pause_s = max(0.0, interval_s - (time.monotonic() - started))
        self.status.stopped = True
        self.status.write()

    def poll(self, *, tolerated: int = 1) -> int:
        """Answer what waits, and return an exit code.

        Parameters
        ----------
        tolerated
            Polls without an answer of the server until that is an alarm.
        """
        alarms: dict[str, str] = {}
        code = Outcome.DONE
        try:
            waiting = self._waiting()
            self._silent = 0
            self.status.polled(waiting)
            self.status.write()
            mapping = read_mapping(self.mapping_path)
            self._require_owner(mapping)
            self._answer_all(mapping, waiting)
        except GeoinfraError as error:
            alarms["mapping"] = f"{error.message} {error.hint}".strip()
            code = Outcome.NOT_ANSWERED
        except Refused as error:
            self.status.polled(None)
            alarms["server"] = f"{self.client.server}: {error}"
            code = Outcome.NO_SERVER
        except NoAnswer as error:
            self.status.polled(None)
            self._silent += 1
            log.warning("%s", error)
            code = Outcome.NO_SERVER
            if self._silent >= tolerated:
                alarms["server"] = str(error)
        alarms |= self._enquiry_alarms()
        self._raise(alarms)
        self.status.write()
        return code or (Outcome.NOT_ANSWERED if alarms else Outcome.DONE)

    def _waiting(self) -> list[WaitingEnquiry]:
        """Return what must be answered, with what this robot took out for manual handling."""
        if not self._recalled:
            self._recall()
            self._recalled = True
        waiting = self.client.waiting()
        if len(waiting) >= MOST_WAITING:
            log.warning("%d or more enquiries wait; the newest are taken at a later poll", MOST_WAITING)
        listed = {enquiry.number for enquiry in waiting}
        return waiting + [e for number, e in self._manual.items() if number not in listed]

    def _recall(self) -> None:
        """Take up again what an earlier run took out for manual handling.

        Raises
        ------
        NoAnswer
            The server cannot be reached.
        """
        for number in self.status.manual_before():
            try:
                self._manual[number] = self.client.enquiry(number)
            except Refused as error:
                log.warning("%s is not taken up again: %s", number, error)

    def _require_owner(self, mapping: MappingFile) -> None:
        """Raise when the token is another organisation's than the mapping says; asked once."""
        if self._owner != mapping.owner_cvr:
            found = self.client.organisation()
            if found != mapping.owner_cvr:
                raise Refused(
                    403, {"detail": f"the token belongs to {found or 'nobody'}, not {mapping.owner_cvr}"}
                )
            self._owner = found
        self.status.owner_cvr = mapping.owner_cvr

    def _answer_all(self, mapping: MappingFile, waiting: list[WaitingEnquiry]) -> None:
        with ThreadPoolExecutor(self.parallel, "answer") as pool:
            for done in [pool.submit(self.answer, mapping, enquiry) for enquiry in waiting]:
                done.result()

    # -- one enquiry

    def answer(self, mapping: MappingFile, enquiry: WaitingEnquiry) -> None:
        """Answer one enquiry, or note why it cannot be answered."""
        if self.stop.is_set():
            return
        try:
            with tempfile.TemporaryDirectory(prefix="geoinfra-answer-") as folder:
                trouble = self._answered(mapping, enquiry, Path(folder))
        except Exception as error:
            log.exception("%s: unexpected failure", enquiry.number)
            kind = type(error).__name__
            trouble = Trouble(f"Unexpected failure: {kind}.", f"Uventet fejl: {kind}.")
        if trouble is not None and self.status.troubled(enquiry.number, trouble):
            log.error("%s not answered: %s", enquiry.number, _one_line(trouble.text("en")))
        self.status.write()

    def _answered(self, mapping: MappingFile, enquiry: WaitingEnquiry, folder: Path) -> Trouble | None:
        """Make, check and send an answer; return what is wrong."""
        started = time.monotonic()
        made, trouble = self._made(mapping, enquiry, folder / "svar.gml")
        if trouble is None:
            assert made is not None  # noqa: S101  # without trouble there is an answer
            return self._sent(mapping, enquiry, made, started)
        if enquiry.number in self._manual:
            return replace(trouble, manual=True)
        if not self._is_manual(mapping, enquiry):
            return trouble
        now, target = datetime.now(UTC), folder / "manuel.gml"
        made = manual_answer(mapping, target, number=enquiry.number, now=now, filed_at=enquiry.filed_at)
        unsent = self._sent(mapping, enquiry, made, started)
        if unsent is not None:
            return unsent
        self._manual[enquiry.number] = enquiry
        return replace(trouble, manual=True)

    def _made(
        self, mapping: MappingFile, enquiry: WaitingEnquiry, target: Path
    ) -> tuple[MadeAnswer | None, Trouble | None]:
        now = datetime.now(UTC)
        try:
            made = make_answer(
                mapping, enquiry.area(), target, number=enquiry.number, now=now, dsn_of=self.dsn_of
            )
        except DataRefused as refused:
            return None, Trouble.of_findings(refused.report.findings)
        except GeoinfraError as error:
            return None, Trouble(f"{error.message} {error.hint}".strip(), error.message)
        return made, None if made.report.ok else Trouble.of_findings(made.report.findings)

    def _is_manual(self, mapping: MappingFile, enquiry: WaitingEnquiry) -> bool:
        minutes = mapping.answer.manual_minutes_left
        return minutes is not None and enquiry.due_at - datetime.now(UTC) < timedelta(minutes=minutes)

    def _sent(
        self, mapping: MappingFile, enquiry: WaitingEnquiry, made: MadeAnswer, started: float
    ) -> Trouble | None:
        """Send an answer; return what is wrong."""
        number = enquiry.number
        if not made.report.ok:
            return Trouble.of_findings(made.report.findings)
        try:
            self.client.send(number, made.path)
        except NoAnswer as error:
            return Trouble(f"{error} It is tried again.", "Serveren svarede ikke; der prøves igen.")
        except Refused as error:
            if error.status != _CONFLICT or not self._is_answered(mapping, number):
                return Trouble(f"The server refused the answer: {error}", f"Serveren afviste svaret: {error}")
            log.info("%s was answered already", number)
        else:
            left_min = (enquiry.due_at - datetime.now(UTC)).total_seconds() // 60
            took_s = time.monotonic() - started
            text = "%s answered: %s, %d features, %.2f s, %d min left"
            log.info(text, number, made.response_type, made.features, took_s, left_min)
        if made.response_type is not ResponseType.MANUAL:
            self._manual.pop(number, None)
            self.status.done(number, str(made.response_type), made.features)
        return None

    def _is_answered(self, mapping: MappingFile, number: str) -> bool:
        try:
            status = self.client.own_status(number, mapping.owner_cvr)
        except (NoAnswer, Refused):
            return False
        return status is not None and status.final

    # -- alarms

    def _enquiry_alarms(self) -> dict[str, str]:
        language = self.status.language
        alarms = {number: trouble.text(language) for number, trouble in self.status.troubles.items()}
        for number, enquiry in self.status.waiting.items():
            if enquiry.due_at - datetime.now(UTC) < _SOON:
                left = max(0, int((enquiry.due_at - datetime.now(UTC)).total_seconds() // 60))
                alarms[f"{number} deadline"] = f"{left} min"
        return alarms

    def _raise(self, alarms: dict[str, str]) -> None:
        self.status.calm(alarms)
        for about, text in alarms.items():
            if self.status.alarm(about, text):
                log.error("alarm, %s: %s", about, _one_line(text))
                self.alarm(about, text)


def _one_line(text: str) -> str:
    """Return a text that cannot begin a line of its own in a log."""
    return " | ".join("".join(c for c in line if c.isprintable()) for line in text.splitlines())[:2000]

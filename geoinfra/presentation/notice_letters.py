"""Notices as letters, Danish and English: what happened, what is missing, until when, and a link."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from geoinfra.utilities.enquiry import AnswerStatus
from geoinfra.utilities.legal_clock import DENMARK

__all__ = ["Letter", "Missing", "NoticeFacts", "letter"]

type Language = Literal["da", "en"]
_LONGEST_VALUE = 200


@dataclass(frozen=True, slots=True)
class Missing:
    """An owner from whom an answer is still expected.

    Attributes
    ----------
    due_at
        Aware; ``None`` when no deadline is recorded.
    phone, mail
        Where to reach him, else empty.
    """

    name: str
    status: AnswerStatus
    due_at: datetime | None = None
    phone: str = ""
    mail: str = ""


@dataclass(frozen=True, slots=True)
class NoticeFacts:
    """What a letter tells of one event; never anything of the utility lines but numbers.

    Attributes
    ----------
    event
        Name of the event.
    to_filer
        Whether it goes to the one who filed the enquiry.
    subject
        Number of the enquiry, or what else the event is about.
    link
        Page on which to read more.
    owner
        Name of the owner whose answer it is, else empty.
    status
        State of that answer.
    due_at
        Deadline of that answer.
    own_number
        The filer's own number of the enquiry.
    answered, owners
        How many owners have answered, of how many; ``None`` where the reader may not know.
    missing
        Owners who are waited for; for the filer only.
    valid_to
        End of the enquiry.
    features
        Number of features, of a package or delivery.
    target
        Of a channel.
    area_state
        Of an interest area: ``review``, ``live``, ``rejected`` or ``retired``.
    """

    event: str
    to_filer: bool
    subject: str
    link: str
    owner: str = ""
    status: AnswerStatus | None = None
    due_at: datetime | None = None
    own_number: str = ""
    answered: int | None = None
    owners: int | None = None
    missing: tuple[Missing, ...] = field(default=())
    valid_to: datetime | None = None
    features: int | None = None
    target: str = ""
    area_state: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """Subject (one line) and text of a mail."""

    subject: str
    text: str


_SUBJECTS: Final[Mapping[str, tuple[str, str]]] = {
    "enquiry.filed": ("Graveforespørgsel {subject}: I er spurgt", "you are asked"),
    "answer.stored": ("Graveforespørgsel {subject}: {owner} har svaret", "{owner} has answered"),
    "answer.corrected": (
        "Graveforespørgsel {subject}: {owner} har rettet sit svar",
        "{owner} has corrected the answer",
    ),
    "answer.due-soon": ("Graveforespørgsel {subject}: fristen nærmer sig", "the deadline is near"),
    "answer.overdue": ("Graveforespørgsel {subject}: fristen er overskredet", "the answer is overdue"),
    "package.ready": ("Graveforespørgsel {subject}: ledningspakken er klar", "the package is ready"),
    "package.acknowledged": (
        "Graveforespørgsel {subject}: ledningspakken er kvitteret",
        "the package is acknowledged",
    ),
    "delivery.published": ("Ny levering af ledningsoplysninger er i brug", "a new delivery is in use"),
    "area.changed": ("Interesseområde {subject} af {owner}", "{area_state}"),
    "channel.disabled": ("En kanal for beskeder er slået fra", "a channel is disabled"),
    "channel.tested": ("Prøve af kanalen for beskeder", "test of the channel"),
}
_HAPPENED: Final[Mapping[str, tuple[str, str]]] = {
    "enquiry.filed": (
        "Graveforespørgsel {subject} berører jeres interesseområde. Jeres svar: {status}.",
        "Dig enquiry {subject} touches your interest area. Your answer: {status}.",
    ),
    "answer.stored": (
        "{owner} har svaret på graveforespørgsel {subject}: {status}.",
        "{owner} has answered dig enquiry {subject}: {status}.",
    ),
    "answer.corrected": (
        "{owner} har rettet sit svar på graveforespørgsel {subject}: {status}. "
        "Brug ikke den tidligere pakke; en ny følger.",
        "{owner} has corrected the answer to dig enquiry {subject}: {status}. "
        "Do not use the earlier package; a new one follows.",
    ),
    "answer.due-soon": (
        "I har endnu ikke svaret på graveforespørgsel {subject}, og fristen nærmer sig.",
        "You have not answered dig enquiry {subject} yet, and the deadline is near.",
    ),
    "answer.overdue": (
        "Fristen for svaret fra {owner} på graveforespørgsel {subject} er overskredet.",
        "The answer of {owner} to dig enquiry {subject} is overdue.",
    ),
    "package.ready": (
        "Ledningspakken til graveforespørgsel {subject} er klar.",
        "The utility-line package of dig enquiry {subject} is ready.",
    ),
    "package.acknowledged": (
        "Ledningspakken til graveforespørgsel {subject} er kvitteret som modtaget.",
        "The utility-line package of dig enquiry {subject} is acknowledged as received.",
    ),
    "delivery.published": (
        "Jeres levering er kontrolleret og er nu den, der svares ud fra.",
        "Your delivery was checked and is now the one that enquiries are answered from.",
    ),
    "area.changed": (
        "Interesseområde {subject} af {owner}: {area_state}.",
        "Interest area {subject} of {owner}: {area_state}.",
    ),
    "channel.disabled": (
        "Kanalen {target} er slået fra, fordi mange beskeder i træk ikke kunne afleveres. "
        "Fjern den, og opret den igen, når modtageren virker.",
        "The channel {target} is disabled, because many notices in a row could not be delivered. "
        "Remove it and add it again when the receiver works.",
    ),
    "channel.tested": (
        "Kanalen virker: beskeder om graveforespørgsler kommer frem hertil.",
        "The channel works: notices of dig enquiries arrive here.",
    ),
}
_LABELS: Final = {
    "own_number": ("Jeres nummer", "Your number"),
    "due_at": ("Frist", "Due"),
    "answered": ("Ledningsejere, der har svaret", "Owners who have answered"),
    "features": ("Antal objekter", "Features"),
    "valid_to": ("Gælder til", "Valid until"),
    "link": ("Se mere", "See more"),
}
_OF: Final = ("{0} af {1}", "{0} of {1}")
_MISSING: Final = ("Svar mangler fra:", "Answers are missing from:")
_NONE_MISSING: Final = ("Alle ledningsejere har svaret.", "All owners have answered.")
_WAIT: Final = (
    "Grav ikke, før alle har svaret. Svarer en ledningsejer ikke til tiden, så kontakt ham.",
    "Do not dig before all have answered. Contact an owner who is late.",
)
_STATUS_EN: Final = {
    AnswerStatus.WAITING: "not answered",
    AnswerStatus.NO_LINES: "no lines in the dig area",
    AnswerStatus.DELIVERED: "lines delivered",
    AnswerStatus.WITHHELD: "lines are not given out",
    AnswerStatus.MANUAL: "taken out for manual handling",
    AnswerStatus.POINTING_OUT: "to be pointed out on site, lines are not given out",
    AnswerStatus.POINTING_OUT_DELIVERED: "to be pointed out on site, lines delivered",
    AnswerStatus.DIRECT: "sent to you by mail, outside the package",
    AnswerStatus.NOT_ASKED: "not asked",
}
_AREA_STATES: Final[Mapping[str, tuple[str, str]]] = {
    "review": (
        "et forslag venter på, at en anden end den, der har lavet det, godkender det",
        "a proposal waits for its review by somebody else than who made it",
    ),
    "live": ("godkendt og i kraft", "accepted and live"),
    "rejected": ("forslaget er afvist", "the proposal is rejected"),
    "retired": ("nedlagt, I bliver ikke længere spurgt her", "retired, you are no longer asked here"),
}
_WATCHED: Final = frozenset({"answer.stored", "answer.corrected", "answer.overdue", "package.ready"})


def letter(facts: NoticeFacts) -> Letter:
    """Write the letter of one notice."""
    danish, english = _SUBJECTS[facts.event]
    names = _names(facts, "en")
    subject = f"{danish.format(**names)} / {english.format(**names)}"
    parts = ["\n".join(_lines(facts, language)) for language in _languages()]
    return Letter(_one_line(subject), "\n\n--- In English ---\n\n".join(parts) + "\n")


def _languages() -> tuple[Language, Language]:
    return ("da", "en")


def _lines(facts: NoticeFacts, language: Language) -> Iterator[str]:
    chosen = 0 if language == "da" else 1
    yield _HAPPENED[facts.event][chosen].format(**_names(facts, language))
    for name, value in _values(facts, language).items():
        if value:
            yield f"{_LABELS[name][chosen]}: {_one_line(value)}"
    if facts.to_filer and facts.event in _WATCHED and facts.owners:
        yield from _still_missing(facts, language)
    yield ""
    yield f"{_LABELS['link'][chosen]}: {facts.link}"


def _still_missing(facts: NoticeFacts, language: Language) -> Iterator[str]:
    chosen = 0 if language == "da" else 1
    yield ""
    if not facts.missing:
        yield _NONE_MISSING[chosen]
        return
    yield _MISSING[chosen]
    for owner in facts.missing:
        due = f"{_LABELS['due_at'][chosen].lower()} {_moment(owner.due_at, language)}" if owner.due_at else ""
        told = (owner.name, _status(owner.status, language), due, owner.phone, owner.mail)
        yield "- " + ", ".join(_one_line(text) for text in told if text)
    yield _WAIT[chosen]


def _values(facts: NoticeFacts, language: Language) -> dict[str, str]:
    counted = facts.answered is not None and facts.owners
    return {
        "own_number": facts.own_number if facts.to_filer else "",
        "due_at": _moment(facts.due_at, language) if facts.due_at else "",
        "answered": _OF[0 if language == "da" else 1].format(facts.answered, facts.owners) if counted else "",
        "features": "" if facts.features is None else str(facts.features),
        "valid_to": _moment(facts.valid_to, language) if facts.valid_to else "",
    }


def _names(facts: NoticeFacts, language: Language) -> dict[str, str]:
    status = _status(facts.status, language) if facts.status else "-"
    return {
        "subject": _one_line(facts.subject),
        "owner": _one_line(facts.owner) or "-",
        "status": status,
        "target": _one_line(facts.target),
        "area_state": _AREA_STATES.get(facts.area_state, ("ændret", "changed"))[0 if language == "da" else 1],
    }


def _status(status: AnswerStatus, language: Language) -> str:
    return status.danish if language == "da" else _STATUS_EN[status]


def _moment(moment: datetime, language: Language) -> str:
    local = moment.astimezone(DENMARK)
    return local.strftime("%d.%m.%Y kl. %H.%M" if language == "da" else "%Y-%m-%d %H:%M (Danish time)")


def _one_line(text: str) -> str:
    """Put a value on one line of bounded length, without control characters."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split())[:_LONGEST_VALUE]

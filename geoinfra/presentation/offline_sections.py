"""Parts of the offline page beside map and owners: what must be done, what changed, what is law."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape

from geoinfra.utilities.dangers import Danger
from geoinfra.utilities.differences import Change, Differences, Standing
from geoinfra.utilities.enquiry import AnswerStatus
from geoinfra.utilities.legal_clock import DENMARK
from geoinfra.utilities.precautions import Level, NearFeature, Precaution

__all__ = [
    "ENGLISH_STATUS",
    "PageFacts",
    "both",
    "changes_section",
    "distances",
    "duties_section",
    "metres",
    "moment",
    "not_for_digging",
    "precautions_section",
]

ENGLISH_STATUS = {
    AnswerStatus.WAITING: "Not answered",
    AnswerStatus.NO_LINES: "No lines in the dig area",
    AnswerStatus.DELIVERED: "Information delivered",
    AnswerStatus.WITHHELD: "Information is not given out",
    AnswerStatus.MANUAL: "Taken out for manual handling",
    AnswerStatus.POINTING_OUT: "To be pointed out on site - no information delivered",
    AnswerStatus.POINTING_OUT_DELIVERED: "To be pointed out on site - information delivered",
    AnswerStatus.DIRECT: "Sent by mail, outside this package",
    AnswerStatus.NOT_ASKED: "Not asked",
}
_MOST_FEATURES = 12  # shown under one precaution
_MOST_CHANGES = 40  # of one kind; changes.json has all


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What the page tells beside enquiry, owners and lines.

    Attributes
    ----------
    sequence
        Number of the package; 0 where there is none.
    valid_to
        Until when the lines may be used.
    planning, sandbox
        Not for digging: asked for planning only, or not real at all.
    emergency
        The dig had to begin before all could answer.
    due, answered
        For each owner (CVR number) until when he must answer, and when he did.
    precautions
        Of the dig; ``None`` where they were not worked out.
    changes
        What is otherwise than in the package before, ``None`` for a first one.
    """

    sequence: int = 0
    valid_to: datetime | None = None
    planning: bool = False
    emergency: bool = False
    sandbox: bool = False
    due: Mapping[str, datetime] = field(default_factory=dict)
    answered: Mapping[str, datetime] = field(default_factory=dict)
    precautions: tuple[Precaution, ...] | None = None
    changes: Differences | None = None


# ------------------------------------------------------------------ words


def both(danish: str, english: str) -> str:
    """Return a text in both languages, escaped; the style sheet shows one of them."""
    return f'<span lang="da">{escape(danish)}</span><span lang="en">{escape(english)}</span>'


def moment(time: datetime | None) -> tuple[str, str]:
    """Return a moment in Danish time as a Dane and as an Englishman write it; empty for none."""
    if time is None:
        return "", ""
    local = time.astimezone(DENMARK) if time.tzinfo else time
    return f"{local:%d.%m.%Y kl. %H.%M}", f"{local:%Y-%m-%d %H:%M}"


def metres(distance_m: float) -> tuple[str, str]:
    """Return a distance with one decimal, two below one metre."""
    text = f"{distance_m:.{2 if distance_m < 1 else 1}f}"
    return f"{text.replace('.', ',')} m", f"{text} m"


def distances(danger: Danger) -> str:
    """Say how near the features of a group come to the dig area."""
    if danger.nearest_m is None or danger.centre_m is None:
        return both(
            "Ingen geometri: spørg ejeren, hvor den ligger.", "No geometry: ask the owner where it lies."
        )
    edge, middle = metres(danger.nearest_m), metres(danger.centre_m)
    if danger.inside:
        return both(
            f"{danger.inside} i graveområdet, nærmest {middle[0]} fra midten",
            f"{danger.inside} in the dig area, nearest {middle[1]} from its centre",
        )
    return both(
        f"Uden for graveområdet, nærmest {edge[0]} fra kanten",
        f"Outside the dig area, nearest {edge[1]} from its edge",
    )


# ------------------------------------------------------------------ not for digging


def not_for_digging(facts: PageFacts) -> str:
    """Return a banner that cannot be missed, nothing for a page that may be dug by."""
    if facts.sandbox:
        text = both(
            "Prøvemiljø: ledningerne findes ikke. Må ikke bruges til at grave.",
            "Test environment: the lines are not real. Not for digging.",
        )
    elif facts.planning:
        text = both(
            "Kun til planlægning. Må ikke bruges til at grave: send en graveforespørgsel først.",
            "For planning only. Not for digging: file a dig enquiry first.",
        )
    else:
        return ""
    return f'<p class="notdig" role="alert">{text}</p>'


# ------------------------------------------------------------------ precautions


_LEVELS = {
    Level.STOP: ("stop", "Stop", "Stop"),
    Level.ACT: ("act", "Gør dette", "Do this"),
    Level.CARE: ("watch", "Vær opmærksom", "Take care"),
    Level.NOTE: ("info", "Godt at vide", "Good to know"),
}


def precautions_section(precautions: Sequence[Precaution], names: Mapping[str, str]) -> str:
    """Return what to do near the lines, the heaviest first, each with the features that are the reason."""
    if not precautions:
        return ""
    title = both("Det skal du gøre ved ledningerne", "What to do near the lines")
    note = both(
        "Forholdsreglerne er en hjælp. Ejernes egne anvisninger går forud, og kortet viser alle ledninger.",
        "The precautions are a help. The owners' own instructions come first, and the map shows every line.",
    )
    items = "".join(_precaution(one, names) for one in precautions)
    return (
        f'<section id="precautions"><h2>{title}</h2><ul class="todo">{items}</ul>'
        f'<p class="soft">{note}</p></section>'
    )


def _precaution(precaution: Precaution, names: Mapping[str, str]) -> str:
    rule, count = precaution.rule, len(precaution.features)
    kind, *label = _LEVELS[precaution.level]
    near = ""
    if precaution.nearest_m is not None:
        away = metres(precaution.nearest_m)
        near = both(f" · nærmest {away[0]}", f" · nearest {away[1]}")
        if precaution.nearest_m == 0:
            near = both(" · i graveområdet", " · in the dig area")
    counted = both(
        f"{count} {'objekt' if count == 1 else 'objekter'}",
        f"{count} {'feature' if count == 1 else 'features'}",
    )
    shown = "".join(_near_feature(one, names) for one in precaution.features[:_MOST_FEATURES])
    more = count - _MOST_FEATURES
    rest = f"<li>{both(f'… og {more} flere', f'… and {more} more')}</li>" if more > 0 else ""
    return (
        f'<li class="{kind}"><p><b class="level">{both(*label)}</b> '
        f"<b>{both(rule.title_da, rule.title)}</b></p>"
        f"<p>{both(rule.action_da, rule.action)}</p>"
        f"<details><summary>{counted}{near}</summary><ul>{shown}{rest}</ul>"
        f'<p class="soft">{both("Undgå det: " + rule.avoid_da, "Avoid it: " + rule.avoid)}</p></details></li>'
    )


def _near_feature(one: NearFeature, names: Mapping[str, str]) -> str:
    away = "" if one.distance_m is None else f" · {both(*metres(one.distance_m))}"
    owner = escape(names.get(one.owner_cvr, one.owner_cvr))
    return f"<li>{_feature(one.feature_id, one.feature_class)} <small>{owner}{away}</small></li>"


def _feature(feature_id: str, feature_class: str) -> str:
    """Return the name of a feature; the page's script makes it lead to the map."""
    own = feature_id.partition(".")[2] or feature_id
    return (
        f'<span class="feature" data-feature="{escape(feature_id)}">{escape(feature_class)} '
        f"{escape(own)}</span>"
    )


# ------------------------------------------------------------------ changes


def changes_section(changes: Differences | None, sequence: int, names: Mapping[str, str]) -> str:
    """Return what is otherwise than in the package before, dangerous features first."""
    if changes is None:
        return ""
    before = sequence - 1
    title = both(f"Ændret siden pakke {before}", f"Changed since package {before}")
    if changes.none:
        same = both("Ingen ledninger og ingen svar er ændret.", "No line and no answer has changed.")
        return f'<section id="changes"><h2>{title}</h2><p>{same}</p></section>'
    counts = "".join(
        f"<li><b>{len(found)}</b><span>{both(*words)}</span></li>"
        for found, words in (
            (changes.added, ("nye", "new")),
            (changes.removed, ("fjernet", "removed")),
            (changes.changed, ("ændret", "changed")),
        )
    )
    answers = "".join(_standing(one) for one in changes.owners)
    lists = "".join(
        _change_list(found, words, names)
        for found, words in (
            (changes.removed, ("Ikke længere i pakken", "No longer in the package")),
            (changes.changed, ("Ændret", "Changed")),
            (changes.added, ("Nye", "New")),
        )
    )
    return (
        f'<section id="changes"><h2>{title}</h2><ul class="counts">{counts}</ul>'
        f'<ul class="rows">{answers}</ul>{lists}</section>'
    )


def _standing(one: Standing) -> str:
    texts = [_status(status) for status in (one.before, one.after)]
    arrow = both(f"{texts[0][0]} → {texts[1][0]}", f"{texts[0][1]} → {texts[1][1]}")
    if one.before == one.after:
        arrow = both("Svaret er rettet", "The answer was corrected")
    return f"<li><span><b>{escape(one.name)}</b> {arrow}</span></li>"


def _status(status: str | None) -> tuple[str, str]:
    if status is None:
        return "ikke spurgt", "not asked"
    return AnswerStatus(status).danish, ENGLISH_STATUS[AnswerStatus(status)]


def _change_list(found: Sequence[Change], words: tuple[str, str], names: Mapping[str, str]) -> str:
    if not found:
        return ""
    items = "".join(f"<li>{_change(one, names)}</li>" for one in found[:_MOST_CHANGES])
    more = len(found) - _MOST_CHANGES
    if more > 0:
        text = both(
            f"… og {more} flere; changes.json har dem alle.", f"… and {more} more; changes.json has them all."
        )
        items += f"<li>{text}</li>"
    return f"<details><summary>{both(*words)} ({len(found)})</summary><ul>{items}</ul></details>"


def _change(one: Change, names: Mapping[str, str]) -> str:
    said_da, said_en = [], []
    if one.moved_m is not None:
        danish, english = metres(one.moved_m)
        said_da.append(f"flyttet {danish}")
        said_en.append(f"moved {english}")
    elif one.reshaped:
        said_da.append("anden geometri")
        said_en.append("another geometry")
    if one.raised_m is not None:
        danish, english = metres(one.raised_m)
        said_da.append(f"kote ændret {danish}")
        said_en.append(f"height changed {english}")
    said_da += one.attributes
    said_en += one.attributes
    danger = {"meget farlig": "very", "farlig": "dangerous"}.get(one.hazard, "")
    mark = f' <em class="{danger}">{escape(one.hazard)}</em>' if danger else ""
    owner = escape(names.get(one.owner_cvr, one.owner_cvr))
    what = f": {both(', '.join(said_da), ', '.join(said_en))}" if said_da else ""
    return f"{_feature(one.feature_id, one.feature_class)}{mark}{what} <small>{owner}</small>"


# ------------------------------------------------------------------ duties


_DUTIES = (
    (
        "Hav oplysningerne fra alle ledningsejere, før du graver.",
        "Have the information of all owners before you dig.",
    ),
    (
        "Hav dem på stedet, så længe der graves. Siden virker uden net.",
        "Keep it on site while you dig. This page works without a network.",
    ),
    (
        "Grav kun inden for det område, der er spurgt om. Skal du uden for det, så spørg igen.",
        "Dig only inside the area that was asked for. To go outside it, ask again.",
    ),
    (
        "Har en ejer ikke svaret til tiden, så kontakt ham selv. Grav ikke imens.",
        "When an owner has not answered in time, contact him yourself. Do not dig meanwhile.",
    ),
    (
        "Skal en ledning påvises, så grav ikke, før ejeren har vist, hvor den ligger.",
        "Where a line must be pointed out, do not dig before the owner has shown where it lies.",
    ),
    (
        "Ligger en ledning ikke, hvor kortet viser, så bed ejeren påvise den. Ligger den i det væsentlige, "
        "som han har oplyst, betaler du for det.",
        "When a line is not where the map shows it, ask the owner to point it out. If it lies essentially "
        "as he has told, you pay for that.",
    ),
)
_IF_HIT = (
    "Rammer du en ledning: stop, hold folk væk, ring 112 ved fare, og ring straks til ejeren. Dæk intet til.",
    "If you hit a line: stop, keep people away, call 112 when there is danger, and call the owner at once. "
    "Cover nothing up.",
)
_EMERGENCY = (
    "Akut gravning: undersøg først, hvilke ejere der kan have ledninger her, og ring til dem. Kun reparation "
    "af en pludselig skade, der ikke kan vente, er akut.",
    "Emergency dig: first find out which owners may have lines here, and call them. Only the repair of a "
    "sudden damage that cannot wait is an emergency.",
)
_SOURCE = (
    "Med egne ord efter LER-loven (lov nr. 564 af 10. maj 2022) og bekendtgørelse nr. 1315 af 27. november "
    "2024.",
    "In our own words, after the Danish LER Act (no. 564 of 10 May 2022) and Order no. 1315 of 27 November "
    "2024.",
)


def duties_section(facts: PageFacts) -> str:
    """Return what Danish law asks of the excavator, in plain words."""
    duties = [_EMERGENCY, *_DUTIES] if facts.emergency else list(_DUTIES)
    items = "".join(f"<li>{both(*duty)}</li>" for duty in duties)
    title = both("Din pligt, når du graver", "Your duties when you dig")
    return (
        f'<section id="duties"><h2>{title}</h2><ol class="duties">{items}</ol>'
        f'<p class="hit">{both(*_IF_HIT)}</p><p class="soft">{both(*_SOURCE)}</p></section>'
    )

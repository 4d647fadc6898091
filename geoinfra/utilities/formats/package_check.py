"""Is a package complete? Each thing that is missing or doubtful about it as a finding, with what to do."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from geoinfra.errors import Finding, Severity
from geoinfra.utilities.enquiry import AnswerStatus
from geoinfra.utilities.formats.package_write import UNKNOWN_OWNER, PackageArea, PackageOwner, status_of

__all__ = [
    "area_without_owner",
    "bad_status_list",
    "bad_time",
    "completeness",
    "mended_area",
    "missing_attachment",
    "no_enquiry",
    "no_request",
    "no_status_list",
    "outside_area",
    "ownerless",
    "unsafe_folder",
    "unusable_enquiry",
]

_STATUS_LIST = "LedningsejerStatusListe.xml"
_DENMARK = ZoneInfo("Europe/Copenhagen")
_ASK_AGAIN = (
    "Fetch the package again from LER.",
    "Hent ledningspakken igen fra LER.",
)
_CALL = (
    "Do not dig before the answer is here. Ask the owner.",
    "Grav ikke, før svaret foreligger. Kontakt ledningsejeren.",
)


def _finding(
    code: str,
    severity: Severity,
    texts: tuple[str, str],
    hints: tuple[str, str],
    *,
    path: str = "",
    expected: str = "",
    found: str = "",
) -> Finding:
    (message, message_da), (hint, hint_da) = texts, hints
    return Finding(
        code,
        severity,
        message,
        message_da,
        path=path,
        expected=expected[:200],
        found=found[:200],
        hint=hint,
        hint_da=hint_da,
    )


def no_status_list() -> Finding:
    """The package has no status list."""
    return _finding(
        "PACKAGE-STATUS-LIST",
        Severity.WARNING,
        (
            f"{_STATUS_LIST} is missing; who has not answered cannot be told from the package.",
            f"{_STATUS_LIST} mangler; det fremgår ikke af pakken, hvem der ikke har svaret.",
        ),
        _ASK_AGAIN,
        expected=_STATUS_LIST,
    )


def bad_status_list(reason: str) -> Finding:
    """The status list cannot be read."""
    return _finding(
        "PACKAGE-STATUS-LIST",
        Severity.ERROR,
        (
            f"The status list cannot be read: {reason}",
            f"{_STATUS_LIST} kan ikke læses.",
        ),
        _ASK_AGAIN,
        path=_STATUS_LIST,
    )


def no_request() -> Finding:
    """The package does not hold the request that it answers."""
    return _finding(
        "PACKAGE-REQUEST-MISSING",
        Severity.WARNING,
        (
            "The dig request (Graveforespoergsel) is not among the files of the package.",
            "Graveforespørgslen er ikke blandt pakkens filer.",
        ),
        (
            "The dig area is read from consolidated.gml instead; keep the receipt of the request with it.",
            "Graveområdet læses i stedet af consolidated.gml; opbevar kvitteringen sammen med pakken.",
        ),
        expected="Graveforespoergsel_<nr>",
    )


def no_enquiry() -> Finding:
    """Neither document tells the dig area and the period."""
    return _finding(
        "PACKAGE-ENQUIRY",
        Severity.WARNING,
        (
            "The package does not tell for which area and period it was made.",
            "Pakken oplyser ikke, hvilket område og hvilken periode den gælder.",
        ),
        (
            "Do not take it for the answer to your request before you have compared the numbers.",
            "Brug den ikke som svar på din forespørgsel, før numrene er sammenlignet.",
        ),
        path="Graveforesp",
    )


def unusable_enquiry(reason: str) -> Finding:
    """The enquiry in the document cannot be used."""
    return _finding(
        "PACKAGE-ENQUIRY",
        Severity.WARNING,
        (
            f"The enquiry in the package cannot be used: {reason}",
            "Graveforespørgslen i pakken kan ikke bruges.",
        ),
        _ASK_AGAIN,
        path="Graveforesp",
    )


def mended_area(reason: str) -> Finding:
    """The dig area crosses itself."""
    return _finding(
        "PACKAGE-AREA-MENDED",
        Severity.WARNING,
        (
            "The dig area crosses itself; it was read as the parts that it encloses.",
            "Graveområdet krydser sig selv; det er læst som de dele, det omslutter.",
        ),
        (
            "Check on the map that the area is the one you dig in.",
            "Kontrollér på kortet, at området er det, der graves i.",
        ),
        path="Graveforesp/polygonProperty",
        found=reason,
    )


def bad_time(name: str, text: str) -> Finding:
    """A time in the package cannot be read."""
    return _finding(
        "PACKAGE-TIME",
        Severity.WARNING,
        (
            f"'{name}' is no date and time; it was left out.",
            f"'{name}' er ikke en dato eller et tidspunkt; det er udeladt.",
        ),
        ("Ask the owner.", "Spørg ledningsejeren."),
        path=name,
        expected="yyyy-mm-ddThh:mm:ss",
        found=text,
    )


def unsafe_folder(cvr: str, folder: str) -> Finding:
    """The folder of an owner's attachments points out of the package."""
    return _finding(
        "PACKAGE-FOLDER",
        Severity.WARNING,
        (
            f"The folder of the owner {cvr} points out of the package and is not used.",
            f"Mappen for ledningsejer {cvr} peger ud af pakken og bruges ikke.",
        ),
        _ASK_AGAIN,
        path="UtilityOwner/folderName",
        found=folder,
    )


def area_without_owner(number: str) -> Finding:
    """An answer or contact names an interest area that belongs to nobody."""
    return _finding(
        "PACKAGE-AREA-OWNER",
        Severity.WARNING,
        (
            "An answer names an interest area whose owner the package does not tell.",
            "Et svar nævner et interesseområde, hvis ejer ikke fremgår af pakken.",
        ),
        _ASK_AGAIN,
        path="UtilityPackageInfo/indberetningsNr",
        found=number,
    )


def ownerless(count: int, *, kept: bool) -> Finding:
    """Features name no owner."""
    what, what_da = (
        ("are kept under 00000000", "er samlet under 00000000")
        if kept
        else (
            "were left out",
            "er udeladt",
        )
    )
    return _finding(
        "LER-PACKAGE-OWNER",
        Severity.WARNING,
        (
            f"{count} features of the package name no owner (ledningsejer) and {what}.",
            f"{count} objekter i pakken nævner ingen ledningsejer og {what_da}.",
        ),
        (
            "They count for your dig all the same; ask LER whose they are.",
            "De gælder stadig for gravearbejdet; spørg LER, hvis de er.",
        ),
        path="ledningsejer",
        found=str(count),
    )


def missing_attachment(path: str, cvr: str, feature_id: str, line: int | None) -> Finding:
    """A feature names a file that is not in the package."""
    return Finding(
        "PACKAGE-ATTACHMENT-MISSING",
        Severity.WARNING,
        "The attachment is not among the files of the package.",
        "Bilaget er ikke blandt pakkens filer.",
        feature_id=feature_id,
        line=line,
        path="Informationsressource/sti",
        expected=f"{cvr}: {path}"[:200],
        hint="Fetch the package again, or ask the owner for the file.",
        hint_da="Hent pakken igen, eller bed ledningsejeren om filen.",
    )


def outside_area(name: str, gml_id: str, line: int | None, position: tuple[float, float]) -> Finding:
    """A feature does not touch the dig area."""
    return Finding(
        "PACKAGE-OUTSIDE-AREA",
        Severity.WARNING,
        "The feature does not touch the dig area.",
        "Objektet rører ikke graveområdet.",
        feature_id=gml_id,
        line=line,
        path=f"{name}/geometri",
        rule="UtilityGeometryWithinDiggingAreaRule",
        hint="Check that the package belongs to this dig; coordinates may also be wrong.",
        hint_da="Kontrollér, at pakken hører til dette gravearbejde; koordinaterne kan også være forkerte.",
        position=position,
    )


def completeness(
    owners: Sequence[PackageOwner], features: Mapping[str, int] | None, listed: Collection[str] | None
) -> Iterator[Finding]:
    """Yield what is missing of each owner's answer.

    Parameters
    ----------
    owners
        Owners of the package.
    features
        Number of features of each owner in the document, ``None`` for a status list that stands alone.
    listed
        CVR numbers in the status list, ``None`` when there is none to compare with.
    """
    for owner in owners:
        count = None if features is None else features.get(owner.cvr, 0)
        if listed is not None and owner.cvr not in listed and owner.cvr != UNKNOWN_OWNER:
            yield _not_listed(owner)
        yield from _answered(owner, count)
        yield from _expired(owner)


def _called(owner: PackageOwner) -> str:
    return f"{owner.name} ({owner.cvr})" if owner.name else owner.cvr


def _not_listed(owner: PackageOwner) -> Finding:
    return _finding(
        "PACKAGE-OWNER-NOT-LISTED",
        Severity.WARNING,
        (
            f"{_called(owner)} is in the package but not in the status list.",
            f"{_called(owner)} er i pakken, men ikke på statuslisten.",
        ),
        (
            "Use his lines all the same; fetch the package again to see his status.",
            "Brug ledningerne alligevel; hent pakken igen for at se status.",
        ),
        path=_STATUS_LIST,
        found=owner.cvr,
    )


def _answered(owner: PackageOwner, features: int | None) -> Iterator[Finding]:
    """Compare what the areas of an owner say with whether there are features."""
    statuses = [status_of(area.status) for area in owner.by_area()]
    for area, status in zip(owner.by_area(), statuses, strict=True):
        if not status.final and owner.cvr + owner.name != UNKNOWN_OWNER:
            yield _not_delivered(owner, area, status)
    if features is None:
        return
    with_data = any(status.carries_data for status in statuses)
    if with_data and not features:
        yield _without_data(
            owner,
            "gave information, and the package holds no features of his",
            "har udleveret oplysninger, men pakken har ingen objekter fra denne",
        )
    elif features and not with_data and owner.cvr != UNKNOWN_OWNER:
        yield _without_data(
            owner,
            f"has {features} features in the package, and his status is '{owner.status}'",
            f"har {features} objekter i pakken, men status er '{owner.status}'",
        )


def _not_delivered(owner: PackageOwner, area: PackageArea, status: AnswerStatus) -> Finding:
    manual = status is AnswerStatus.MANUAL
    return _finding(
        "PACKAGE-NOT-DELIVERED",
        Severity.WARNING,
        (
            f"{_called(owner)} {'handles the enquiry manually' if manual else 'has not answered'} "
            f"(interest area {area.number}).",
            f"{_called(owner)} {'behandler sagen manuelt' if manual else 'har ikke svaret'} "
            f"(interesseområde {area.number}).",
        ),
        _CALL,
        path=_STATUS_LIST,
        found=area.status,
    )


def _without_data(owner: PackageOwner, english: str, danish: str) -> Finding:
    return _finding(
        "PACKAGE-OWNER-WITHOUT-DATA",
        Severity.WARNING,
        (f"{_called(owner)} {english}.", f"{_called(owner)} {danish}."),
        (
            "Ask the owner which is right before you dig.",
            "Spørg ledningsejeren, hvad der er rigtigt, før der graves.",
        ),
        path=_STATUS_LIST,
        found=owner.status,
    )


def _expired(owner: PackageOwner) -> Iterator[Finding]:
    today = datetime.now(_DENMARK).date()
    if owner.valid_to is not None and owner.valid_to < today:
        yield _finding(
            "PACKAGE-EXPIRED",
            Severity.WARNING,
            (
                f"The information of {_called(owner)} was valid until {owner.valid_to.isoformat()}.",
                f"Oplysningerne fra {_called(owner)} gjaldt til {owner.valid_to.isoformat()}.",
            ),
            (
                "Send the request again before you dig.",
                "Gensend graveforespørgslen, før der graves.",
            ),
            path="UtilityPackageInfo/gyldigTil",
            found=owner.valid_to.isoformat(),
        )

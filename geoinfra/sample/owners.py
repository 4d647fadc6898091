"""Who owns what in Havnsby. All companies and numbers are fictitious."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["OWNERS", "Owner", "owners_of"]


@dataclass(frozen=True, slots=True)
class Owner:
    """One utility owner.

    Attributes
    ----------
    cvr
        Eight digits that pass the modulus-11 check of CVR numbers, in a range that is not in use.
    supplies
        Supply types as LER's code list ``Forsyningsart`` writes them.
    layers
        Layers of the town that this owner holds; the keys of ``geoinfra.sample.networks.LAYERS``.
    """

    cvr: str
    name: str
    supplies: tuple[str, ...]
    layers: tuple[str, ...]
    email: str
    phone: str


OWNERS = (
    Owner(
        "99100001", "Havnsby Elnet A/S", ("el",), ("low-voltage", "medium-voltage"),
        "graveinfo@elnet.example", "70000101",
    ),
    Owner(
        "99200006", "Sydkyst Transmission A/S", ("el", "gas"), ("transmission", "gas-transmission"),
        "ler@sydkyst.example", "70000102",
    ),
    Owner(
        "99300000", "Havnsby Vand a.m.b.a.", ("vand",), ("water",),
        "drift@vand.example", "70000103",
    ),
    Owner(
        "99400005", "Havnsby Spildevand A/S", ("afløb",), ("sewer",),
        "kloak@spildevand.example", "70000104",
    ),
    Owner(
        "99500018", "Havnsby Fjernvarme a.m.b.a.", ("fjernvarme/fjernkøling",), ("heating",),
        "varme@fjernvarme.example", "70000105",
    ),
    Owner(
        "99600004", "Sundgas Distribution A/S", ("gas",), ("gas",),
        "ledninger@sundgas.example", "70000106",
    ),
    Owner(
        "99700009", "Østkyst Fiber A/S", ("telekommunikation",), ("fibre",),
        "grav@fiber.example", "70000107",
    ),
    Owner(
        "99800003", "Dansk Kobbernet A/S", ("telekommunikation",), ("copper",),
        "ler@kobber.example", "70000108",
    ),
    Owner(
        "99010002", "Havnsby Kommune", ("el",), ("lighting", "other"),
        "vejogpark@kommune.example", "70000109",
    ),
    Owner(
        "99020008", "Havnsby Olieterminal A/S", ("olie",), ("oil",),
        "vagt@olie.example", "70000110",
    ),
)  # fmt: skip
"""The ten owners of a dense town."""

_MERGED = {"99010002": "99100001", "99020008": "99200006"}


def owners_of(size: str) -> tuple[Owner, ...]:
    """Return the owners of a town: ten for ``dense`` and larger, else eight.

    In the smaller towns the electricity company also holds the street lighting, and the transmission company
    the oil line.
    """
    if size not in ("tiny", "demo"):
        return OWNERS
    kept = {owner.cvr: owner for owner in OWNERS if owner.cvr not in _MERGED}
    for owner in OWNERS:
        if owner.cvr in _MERGED:
            heir = kept[_MERGED[owner.cvr]]
            supplies = tuple(dict.fromkeys(heir.supplies + owner.supplies))
            kept[heir.cvr] = replace(heir, supplies=supplies, layers=heir.layers + owner.layers)
    return tuple(kept.values())

"""One dig damage as an owner reports it: the published example of LER's call 18, in LER's members."""

from __future__ import annotations

from typing import Any

DAMAGE: dict[str, Any] = {
    "xKoordinat": "575220.924",
    "yKoordinat": "6224761.471",
    "projektion": "EPSG:25832",
    "skadevolderType": "2",
    "skadevolderCvr": "",
    "skadesDato": "12-09-2019",
    "skadesDatoUkendt": "FALSE",
    "forsyningsart": "10",
    "forsyningsartAnden": "",
    "lerNummer": "",
    "omfangFunktionsevne": "0",
    "omfangNaermiljoe": "1",
    "omfangOmkostningUdbedring": "20000",
    "omfangOmkostningAdministration": "1500",
    "aarsag": "2;1",
    "bemaerkning": "Gravet over",
}

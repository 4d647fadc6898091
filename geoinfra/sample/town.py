"""Havnsby: writes a whole town with its open layers, terrain, owners and their LER deliveries."""

from __future__ import annotations

import math
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import shapely

from geoinfra.errors import InvalidInput
from geoinfra.sample import openlayers, terrain
from geoinfra.sample.features import Draft, with_heights
from geoinfra.sample.networks import LAYERS
from geoinfra.sample.owners import Owner, owners_of
from geoinfra.sample.plan import DISTRICT_ROWS, Plan, district_plan, havnsby_plan
from geoinfra.sample.plots import build_plots
from geoinfra.sample.site import Site
from geoinfra.sample.streams import stream
from geoinfra.sample.streets import build_network
from geoinfra.tables import BATCH_ROWS, FeatureBatch
from geoinfra.utilities.formats import ler
from geoinfra.utilities.model import AnswerHeader, Contact, FeatureRows, ResponseType

__all__ = ["SEED", "TownSummary", "enquiry_area", "generate_town"]

SEED = 20261124
_GRID = 16  # districts side by side before the next row of them
_LINES_A_ROW = 2500
_SIZES = ("tiny", "demo", "dense")
_NAMESPACE = uuid.UUID("6f1f2a52-6d0c-5a55-9f0e-48617673627a")

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class TownSummary:
    """What was written.

    Attributes
    ----------
    features
        CVR number -> utility features delivered.
    layers
        Open layer -> features.
    bounds
        Area in EPSG:25832 metres.
    """

    folder: Path
    size: str
    seed: int
    bounds: tuple[float, float, float, float]
    features: Mapping[str, int]
    layers: Mapping[str, int]
    interest_areas: int
    tiles: int
    seconds: float

    @property
    def total_features(self) -> int:
        """Utility features of all owners."""
        return sum(self.features.values())


def generate_town(
    out_dir: Path,
    size: str = "demo",
    *,
    seed: int = SEED,
    lines: int | None = None,
    progress: Progress | None = None,
) -> TownSummary:
    """Write the sample town.

    Parameters
    ----------
    out_dir
        Folder to write into; made when absent. Files of an earlier run are replaced.
    size
        ``tiny`` for tests, ``demo``, or ``dense`` (one square kilometre with 40,000 utility features).
    seed
        Equal seeds give equal content.
    lines
        When given, dense districts are repeated until about this many utility features (at most
        10 million) are written, in constant memory; `size` is then ignored.
    progress
        Called with a fraction and a text.

    Raises
    ------
    InvalidInput
        The size is unknown or `lines` is out of range.
    """
    _plan(size)
    if lines is not None and not 1 <= lines <= 10_000_000:
        raise InvalidInput("The number of lines must lie between 1 and 10,000,000.")
    begun = time.monotonic()
    size = "dense" if lines is not None else size
    return _Writer(out_dir, size, seed, lines, progress).run(begun)


def enquiry_area(size: str = "demo") -> shapely.Polygon:
    """Return a dig area of about 2,000 m2 on the main street, EPSG:25832.

    Raises
    ------
    InvalidInput
        The size is unknown.
    """
    plan = _plan(size)
    street = next(s for s in build_network(plan).streets if s.name == plan.main_street)
    middle = street.length_m * 0.6
    course = shapely.LineString(street.between(middle - 52.0, middle + 52.0))
    return shapely.simplify(shapely.buffer(course, 9.6, cap_style="flat"), 0.2)


def _plan(size: str) -> Plan:
    if size not in _SIZES:
        raise InvalidInput(f"'{size[:40]}' is not a size of town.", hint=f"Use one of {', '.join(_SIZES)}.")
    return district_plan(0, 0, SEED) if size == "dense" else havnsby_plan(tiny=size == "tiny")


class _Writer:
    """One run of the generator."""

    def __init__(
        self, out_dir: Path, size: str, seed: int, lines: int | None, progress: Progress | None
    ) -> None:
        self._folder = out_dir
        self._size = size
        self._seed = seed
        self._lines = lines
        self._progress = progress
        self._owners = owners_of(size)
        self._areas: list[tuple[str, int, shapely.Polygon]] = []
        self._bounds: list[tuple[float, float, float, float]] = []
        self._written = 0

    def run(self, begun: float) -> TownSummary:
        deliveries = self._folder / "deliveries"
        deliveries.mkdir(parents=True, exist_ok=True)
        with (
            openlayers.OpenLayers(self._folder) as layers,
            _Answers(deliveries, self._owners, self._seed) as answers,
        ):
            for site in self._sites():
                layers.add(site)
                self._bounds.append(site.plan.bounds)
                for owner in self._owners:
                    self._deliver(site, owner, answers)
                self._report(self._done(), f"{self._written} utility features")
            layers.add_landscape(_joined(self._bounds), self._plan_greens, self._seed)
        self._report(0.95, "terrain")
        tiles = terrain.write_tiles(self._folder / "terrain", _joined(self._bounds))
        self._write_owners()
        self._report(1.0, "ready")
        return TownSummary(
            self._folder, self._size, self._seed, _joined(self._bounds), answers.counts, layers.counts,
            len(self._areas), len(tiles), time.monotonic() - begun,
        )  # fmt: skip

    def _sites(self) -> Iterator[Site]:
        if self._size != "dense":
            plan = havnsby_plan(tiny=self._size == "tiny")
            self._plan_greens = plan.greens
            yield self._site(plan, "")
            return
        self._plan_greens = ()
        if self._lines is None:
            yield self._site(district_plan(0, 0, self._seed), "")
            return
        number = 0
        while self._written < self._lines:
            per_row = self._written // (number * DISTRICT_ROWS) if number else _LINES_A_ROW
            rows = min(DISTRICT_ROWS, max(2, math.ceil((self._lines - self._written) / per_row)))
            plan = district_plan(number % _GRID, number // _GRID, self._seed, rows)
            yield self._site(plan, f"d{number}.")
            number += 1

    def _site(self, plan: Plan, prefix: str) -> Site:
        network = build_network(plan)
        blocked = openlayers.not_for_building(plan)
        return Site(
            plan, network, build_plots(plan, network, blocked, self._seed, prefix), prefix, self._seed
        )

    def _deliver(self, site: Site, owner: Owner, answers: _Answers) -> None:
        kept: list[shapely.Geometry] = []
        for layer in owner.layers:
            rng = stream(self._seed, site.prefix, layer, "heights")
            for chunk in _chunks(LAYERS[layer](site)):
                rows = FeatureRows(owner.cvr)
                for draft in with_heights(chunk, rng):
                    rows.add(
                        draft.feature_class, draft.gml_id, draft.properties, draft.geometry, draft.heights_m
                    )
                    if draft.geometry is not None:
                        kept.append(draft.geometry)
                self._written += len(rows)
                answers.put(owner.cvr, rows.batch())
        for area in openlayers.interest_areas(kept):
            number = len(self._areas) + 1
            self._areas.append((owner.cvr, 100_000 + number, area))

    def _report(self, fraction: float, text: str) -> None:
        if self._progress is not None:
            self._progress(fraction, text)

    def _done(self) -> float:
        return 0.9 if self._lines is None else min(0.9, 0.9 * self._written / self._lines)

    def _write_owners(self) -> None:
        numbers: dict[str, list[int]] = {}
        for cvr, number, _ in self._areas:
            numbers.setdefault(cvr, []).append(number)
        owners = [
            {
                "cvr": owner.cvr,
                "name": owner.name,
                "supply_types": list(owner.supplies),
                "contact": {
                    "name": f"{owner.name}, ledningsregistrering",
                    "email": owner.email,
                    "phone": owner.phone,
                },
                "interest_areas": numbers.get(owner.cvr, []),
            }
            for owner in self._owners
            if owner.cvr in numbers
        ]
        (self._folder / "owners.json").write_bytes(orjson.dumps(owners, option=orjson.OPT_INDENT_2))
        supplies = {owner.cvr: list(owner.supplies) for owner in self._owners}
        features = [
            {
                "type": "Feature",
                "properties": {"cvr": cvr, "indberetningsNr": number, "supply_types": supplies[cvr]},
                "geometry": orjson.Fragment(shapely.to_geojson(area)),
            }
            for cvr, number, area in self._areas
        ]
        crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::25832"}}
        document: dict[str, Any] = {"type": "FeatureCollection", "crs": crs, "features": features}
        (self._folder / "interest-areas.geojson").write_bytes(orjson.dumps(document))


def _joined(bounds: list[tuple[float, float, float, float]]) -> tuple[float, float, float, float]:
    held = np.array(bounds)
    low, high = held.min(axis=0), held.max(axis=0)
    return float(low[0]), float(low[1]), float(high[2]), float(high[3])


def _chunks(drafts: Iterable[Draft]) -> Iterator[list[Draft]]:
    held: list[Draft] = []
    for draft in drafts:
        held.append(draft)
        if len(held) == BATCH_ROWS:
            yield held
            held = []
    if held:
        yield held


class _Answers:
    """Writes the answers of all owners side by side, each in its own thread, a few batches ahead at most."""

    def __init__(self, folder: Path, owners: tuple[Owner, ...], seed: int) -> None:
        self.counts: dict[str, int] = {}
        self._folder = folder
        self._owners = owners
        self._seed = seed
        self._queues: dict[str, queue.Queue[FeatureBatch | None]] = {}
        self._futures: dict[str, Future[int]] = {}
        self._pool = ThreadPoolExecutor(max_workers=len(owners), thread_name_prefix="answer")
        self._stopped = threading.Event()

    def __enter__(self) -> _Answers:
        return self

    def put(self, cvr: str, batch: FeatureBatch) -> None:
        """Hand one batch to its owner's writer; raises what that writer raised."""
        if cvr not in self._futures:
            self._queues[cvr] = queue.Queue(maxsize=4)
            self._futures[cvr] = self._pool.submit(self._write, cvr)
        self._hand(cvr, batch)

    def _hand(self, cvr: str, batch: FeatureBatch | None) -> None:
        while not self._futures[cvr].done():
            try:
                self._queues[cvr].put(batch, timeout=0.2)
            except queue.Full:
                continue
            return
        self._futures[cvr].result()

    def _batches(self, cvr: str) -> Iterator[FeatureBatch]:
        while not self._stopped.is_set():
            try:
                batch = self._queues[cvr].get(timeout=0.2)
            except queue.Empty:
                continue
            if batch is None:
                return
            yield batch

    def _write(self, cvr: str) -> int:
        owner = next(owner for owner in self._owners if owner.cvr == cvr)
        header = AnswerHeader(
            answer_id=str(uuid.uuid5(_NAMESPACE, f"{cvr}/{self._seed}")),
            response_type=ResponseType.DELIVERED,
            valid_to=date(2027, 6, 30),
            contact=Contact(f"{owner.name}, ledningsregistrering", owner.phone, owner.email),
        )
        return ler.write_answer(self._folder / f"{cvr}.gml", header, self._batches(cvr))

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is not None:
                self._stopped.set()
                return
            for cvr in self._futures:
                self._hand(cvr, None)
            self.counts = {cvr: future.result() for cvr, future in self._futures.items()}
        finally:
            self._stopped.set()
            self._pool.shutdown(wait=True)

// The script of the offline page. Everything that comes from owners reaches the document by textContent only.
(() => {
  const byId = (id) => document.getElementById(id);
  const english = () => document.documentElement.lang === "en";

  const KINDS = {
    line: ["Ledning", "Line"], trace: ["Ledningstrace", "Trace"], component: ["Komponent", "Component"],
    information: ["Bilag", "Document"], dimension: ["Målsætning", "Dimension"], annotation: ["Tekst", "Annotation"],
  };
  const RANK = { "meget farlig": 3, farlig: 2, "": 1, "ikke farlig": 0 };
  const NOTES = "notes"; // texts, dimensions and documents are of no utility type
  const SUNLIGHT = 1.5; // how much thicker everything is drawn

  // ---------------------------------------------------------------- language and the day

  const both = (da, en) => {
    const pair = document.createDocumentFragment();
    for (const [lang, text] of [["da", da], ["en", en]]) {
      const span = document.createElement("span");
      span.lang = lang;
      span.textContent = text;
      pair.append(span);
    }
    return pair;
  };

  const element = (name, className = "", ...children) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    made.append(...children);
    return made;
  };

  const translateAttributes = () => {
    for (const item of document.querySelectorAll("[data-da]")) {
      const text = english() ? item.dataset.en : item.dataset.da;
      item.setAttribute("aria-label", text);
      if (item.tagName === "BUTTON") item.title = text;
      if (item.tagName === "INPUT") item.placeholder = text;
    }
  };

  const localDay = () => {
    const now = new Date();
    const two = (n) => String(n).padStart(2, "0");
    return `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
  };

  /** Mark deadlines of owners that have passed. */
  const markPassed = () => {
    const now = new Date().toISOString();
    for (const line of document.querySelectorAll("[data-due]")) {
      if (line.dataset.due >= now) continue;
      line.classList.add("expired");
      line.append(both(" – overskredet. Ring til ejeren.", " – passed. Call the owner."));
    }
  };

  /** Mark in red what has run out by today; the file itself does not know the day. */
  const markExpired = () => {
    const today = localDay();
    let owners = 0;
    for (const cell of document.querySelectorAll("[data-valid-to]")) {
      const valid = cell.dataset.validTo;
      if (valid && valid < today) {
        owners += 1;
        cell.classList.add("expired");
        cell.append(element("b", "", both(" udløbet", " expired")));
      }
    }
    const period = document.querySelector("[data-period-to]");
    const over = period && period.dataset.periodTo < today;
    if (over) {
      period.classList.add("expired");
      period.append(element("b", "", both(" udløbet", " is over")));
    }
    markPassed();
    const warning = byId("expired");
    if (owners) warning.append(both(
      `Oplysninger fra ${owners} ledningsejer${owners === 1 ? "" : "e"} er udløbet. Hent nye, før du graver. `,
      `Information from ${owners} owner${owners === 1 ? "" : "s"} has expired. Get new before you dig. `));
    if (over) warning.append(both("Graveperioden er slut. ", "The dig period is over. "));
    const until = document.querySelector("[data-until]");
    const gone = until && until.dataset.until < new Date().toISOString();
    if (gone) warning.append(both("Pakken må ikke bruges længere. Spørg igen.", "The package may not be used any more. Ask again."));
    warning.hidden = !owners && !over && !gone;
    if (!warning.hidden) warning.parentElement.classList.add("stop");
  };

  const switchLanguage = () => {
    document.documentElement.lang = english() ? "da" : "en";
    translateAttributes();
  };

  // ---------------------------------------------------------------- UTM zone 32 on GRS80, Krüger's series

  const K0 = 0.9996, EASTING_0 = 500000, MERIDIAN = 9 * Math.PI / 180;
  const FLATTENING = 1 / 298.257222101, N = FLATTENING / (2 - FLATTENING);
  const RADIUS = 6378137 / (1 + N) * (1 + N ** 2 / 4 + N ** 4 / 64);
  const ALPHA = [
    N / 2 - 2 * N ** 2 / 3 + 5 * N ** 3 / 16 + 41 * N ** 4 / 180,
    13 * N ** 2 / 48 - 3 * N ** 3 / 5 + 557 * N ** 4 / 1440,
    61 * N ** 3 / 240 - 103 * N ** 4 / 140,
    49561 * N ** 4 / 161280,
  ];
  const E1 = Math.sqrt(FLATTENING * (2 - FLATTENING));

  /** Easting and northing in metres (EPSG:25832) of a longitude and latitude in degrees. */
  const utm32 = (longitudeDeg, latitudeDeg) => {
    const sine = Math.sin(latitudeDeg * Math.PI / 180), lambda = longitudeDeg * Math.PI / 180 - MERIDIAN;
    const t = Math.sinh(Math.atanh(sine) - E1 * Math.atanh(E1 * sine));
    const xi = Math.atan2(t, Math.cos(lambda)), eta = Math.asinh(Math.sin(lambda) / Math.hypot(t, Math.cos(lambda)));
    let x = xi, y = eta;
    ALPHA.forEach((a, i) => {
      const m = 2 * (i + 1);
      x += a * Math.sin(m * xi) * Math.cosh(m * eta);
      y += a * Math.cos(m * xi) * Math.sinh(m * eta);
    });
    return [EASTING_0 + K0 * RADIUS * y, K0 * RADIUS * x];
  };

  /** Grid metres for one metre on the ground at an easting. */
  const gridScale = (easting) => K0 * (1 + (easting - EASTING_0) ** 2 / (2 * 6.38e6 ** 2));

  // ---------------------------------------------------------------- data

  const unpack = async () => {
    const text = atob(byId("data").textContent.trim());
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return JSON.parse(await new Response(stream).text());
  };

  const cumulated = (steps, origin) => {
    const metres = new Float64Array(steps.length);
    let sum = 0;
    for (let i = 0; i < steps.length; i += 1) {
      sum += steps[i];
      metres[i] = (sum - origin) / 100;
    }
    return metres;
  };

  /** The values of a column of so many rows; see `_column` of the writer. */
  const columnOf = ({ list, values, index }, rows) =>
    list ?? (index.length ? index.map((i) => values[i]) : new Array(rows).fill(values[0] ?? null));

  /** LER attributes by row, and those columns that can be searched. */
  const propertiesOf = ({ table, tables }) => {
    const sizes = tables.map(() => 0), place = table.map((t) => { sizes[t] += 1; return sizes[t] - 1; });
    const columns = tables.map(({ columns: packed }, t) => packed.map((one) => columnOf(one, sizes[t])));
    const rowsOf = tables.map(() => []);
    table.forEach((t, f) => rowsOf[t].push(f));
    const of = (f) => {
      const t = table[f];
      return Object.fromEntries(tables[t].names.map((name, i) => [name, columns[t][i][place[f]]]));
    };
    const value = (f, name) => {
      const t = table[f], i = tables[t].names.indexOf(name);
      return i < 0 ? undefined : columns[t][i][place[f]];
    };
    return { of, value, tables: tables.map(({ names, columns: packed }, t) => ({ names, packed, columns: columns[t], rows: rowsOf[t] })) };
  };

  const boxOf = (x, y, from, to) => {
    let a = Infinity, b = Infinity, c = -Infinity, d = -Infinity;
    for (let i = from; i < to; i += 1) {
      if (x[i] < a) a = x[i];
      if (x[i] > c) c = x[i];
      if (y[i] < b) b = y[i];
      if (y[i] > d) d = y[i];
    }
    return [a, b, c, d];
  };

  /** Paths with metres from the origin, the index of their first vertex, and their bounds. */
  const pathsOf = (packed, origin) => {
    const x = cumulated(packed.x, origin[0]), y = cumulated(packed.y, origin[1]);
    const count = packed.vertices.length, first = new Uint32Array(count + 1), box = new Float64Array(4 * count);
    for (let p = 0; p < count; p += 1) {
      first[p + 1] = first[p] + packed.vertices[p];
      box.set(boxOf(x, y, first[p], first[p + 1]), 4 * p);
    }
    return { x, y, first, box, kind: packed.kind, count, feature: packed.feature ?? new Array(count).fill(0) };
  };

  // ---------------------------------------------------------------- the map

  const openMap = (data) => {
    const origin = [data.dig.x[0], data.dig.y[0]];
    const dig = pathsOf(data.dig, origin), net = pathsOf(data.lines, origin);
    const columns = {}, featureCount = data.drawing.look.length;
    for (const [name, packed] of Object.entries(data.columns)) columns[name] = columnOf(packed, featureCount);
    const properties = propertiesOf(data.properties);
    const owners = new Map(data.owners.map((owner) => [owner.cvr, owner]));
    const drawing = mapDrawing({ style: data.drawing, net, english });
    const { dimensions, classes, look } = data.drawing;
    const classesOf = (name) => dimensions[name].map(([key, da, en, colour]) => ({ key, da, en, colour }));
    const TYPES = classesOf("type"), STATUSES = classesOf("status"), HAZARDS = classesOf("hazard");
    const typeOf = (f) => TYPES[classes[look[f]][0]];
    const statusOf = (f) => STATUSES[classes[look[f]][1]];
    const hazardClassOf = (f) => HAZARDS[classes[look[f]][2]];
    const hazardOf = (f) => columns.hazard[f] ?? "";
    const isNote = (f) => columns.supply[f] === null && !["line", "trace", "component"].includes(columns.kind[f]);
    const visible = new Uint8Array(featureCount).fill(1);
    const pathsOfFeature = Array.from({ length: featureCount }, () => []);
    for (let p = 0; p < net.count; p += 1) pathsOfFeature[net.feature[p]].push(p);
    const ground = gridScale(origin[0] / 100);

    const canvas = byId("canvas"), pen = canvas.getContext("2d");
    const view = { x: 0, y: 0, scale: 4 }; // centre in metres from the origin, CSS pixels a metre
    /** A canvas under the one that takes the pointer: drawn once, then only moved and scaled. */
    const sheet = () => {
      const paper = element("canvas", "sheet");
      paper.setAttribute("aria-hidden", "true");
      canvas.before(paper);
      return { paper, ink: paper.getContext("2d", { alpha: false }), x: 0, y: 0, scale: 1, width: 0, height: 0 };
    };
    const MARGIN = 0.25; // of the view, drawn ahead on each side
    let front = sheet(), back = sheet(), stale = true, painting = null, budget = 24, boost = 1;
    let width = 1, height = 1, ratio = 1, selected = -1, position = null, measured = null;

    // -- drawing the scene

    const frameOf = (v, w, h) => ({
      left: v.x - w / 2 / v.scale, right: v.x + w / 2 / v.scale,
      bottom: v.y - h / 2 / v.scale, top: v.y + h / 2 / v.scale, scale: v.scale });

    /** Add a path to the current one; vertices closer than half a pixel are left out. */
    const trace = (context, paths, p, frame, close) => {
      const { x, y, first } = paths, s = frame.scale, last = first[p + 1] - 1;
      let px = (x[first[p]] - frame.left) * s, py = (frame.top - y[first[p]]) * s;
      context.moveTo(px, py);
      for (let i = first[p] + 1; i <= last; i += 1) {
        const nx = (x[i] - frame.left) * s, ny = (frame.top - y[i]) * s;
        if (i < last && Math.abs(nx - px) + Math.abs(ny - py) < 0.5) continue;
        context.lineTo(nx, ny);
        px = nx; py = ny;
      }
      if (close) context.closePath();
    };

    const drawGrid = (context, frame, w, h) => {
      const step = [1, 5, 10, 50, 100, 500, 1000, 5000, 10000].find((m) => m * frame.scale >= 60) ?? 50000;
      const east = origin[0] / 100, north = origin[1] / 100;
      context.strokeStyle = "#e6e6e6";
      context.lineWidth = 1;
      context.beginPath();
      for (let m = Math.ceil((frame.left + east) / step) * step; m < frame.right + east; m += step) {
        const px = Math.round((m - east - frame.left) * frame.scale) + 0.5;
        context.moveTo(px, 0);
        context.lineTo(px, h);
      }
      for (let m = Math.ceil((frame.bottom + north) / step) * step; m < frame.top + north; m += step) {
        const py = Math.round((frame.top - m + north) * frame.scale) + 0.5;
        context.moveTo(0, py);
        context.lineTo(w, py);
      }
      context.stroke();
    };

    const drawDig = (context, frame, fill) => {
      context.beginPath();
      for (let p = 0; p < dig.count; p += 1) trace(context, dig, p, frame, true);
      if (fill) {
        context.fillStyle = "#fff7d6";
        context.fill("evenodd");
        return;
      }
      context.lineJoin = "round";
      context.strokeStyle = "#ffffff";
      context.lineWidth = 5;
      context.stroke();
      context.strokeStyle = "#111111";
      context.lineWidth = 2.5;
      context.setLineDash([12, 4, 2, 4]);
      context.stroke();
      context.setLineDash([]);
    };

    /** Draw the lines around the present view on a sheet; pauses after each part. */
    const paint = function* (target) {
      const w = Math.ceil(width * (1 + 2 * MARGIN)), h = Math.ceil(height * (1 + 2 * MARGIN)), ink = target.ink;
      target.paper.width = w * ratio; // also clears what an unfinished drawing left
      target.paper.height = h * ratio;
      target.paper.style.width = `${w}px`;
      target.paper.style.height = `${h}px`;
      Object.assign(target, { x: view.x, y: view.y, scale: view.scale, width: w, height: h });
      const frame = frameOf(view, w, h);
      ink.setTransform(ratio, 0, 0, ratio, 0, 0);
      ink.fillStyle = "#ffffff";
      ink.fillRect(0, 0, w, h);
      drawDig(ink, frame, true);
      drawGrid(ink, frame, w, h);
      yield* drawing.paint(ink, frame, w, h, ratio, visible, boost);
      drawDig(ink, frame, false);
    };

    /** Go on with the drawing behind the one that is shown, for some milliseconds; swap them when it is done. */
    const paintOn = () => {
      const until = performance.now() + budget;
      while (performance.now() < until) {
        if (!painting.next().done) continue;
        [front, back] = [back, front];
        painting = null;
        return;
      }
    };

    // -- drawing the view: the scene moved and scaled, and what lies on it

    const toScreen = (x, y) => [(x - view.x) * view.scale + width / 2, (view.y - y) * view.scale + height / 2];
    const toMap = (px, py) => [(px - width / 2) / view.scale + view.x, (height / 2 - py) / view.scale + view.y];

    const drawSelected = () => {
      if (selected < 0) return;
      const frame = frameOf(view, width, height), half = drawing.corridorM(selected, Math.max(view.scale, 4));
      pen.lineJoin = pen.lineCap = "round";
      for (const [colour, alpha, wide] of [
        ["#0a84ff", 0.18, 2 * half * view.scale], ["#ffffff", 1, 11], ["#0050c8", 1, 8], [typeOf(selected).colour, 1, 3.5]]) {
        if (!wide) continue;
        pen.globalAlpha = alpha;
        pen.strokeStyle = pen.fillStyle = colour;
        pen.lineWidth = wide;
        for (const p of pathsOfFeature[selected]) {
          pen.beginPath();
          if (net.kind[p] === 0) {
            pen.arc(...toScreen(net.x[net.first[p]], net.y[net.first[p]]), alpha < 1 ? wide / 2 : 4 + wide / 2, 0, 7);
            pen.fill();
          } else {
            trace(pen, net, p, frame, net.kind[p] === 2);
            pen.stroke();
          }
        }
      }
      pen.globalAlpha = 1;
    };

    const drawMeasured = () => {
      if (!measured || !measured.length) return;
      pen.strokeStyle = "#ffffff";
      for (const [colour, wide] of [["#ffffff", 6], ["#111111", 3]]) {
        pen.strokeStyle = colour;
        pen.lineWidth = wide;
        pen.beginPath();
        measured.forEach(([x, y], i) => (i ? pen.lineTo(...toScreen(x, y)) : pen.moveTo(...toScreen(x, y))));
        pen.stroke();
      }
      for (const [x, y] of measured) {
        pen.beginPath();
        pen.arc(...toScreen(x, y), 5, 0, 7);
        pen.fillStyle = "#ffffff";
        pen.fill();
        pen.lineWidth = 2.5;
        pen.stroke();
      }
    };

    const drawPosition = () => {
      if (!position) return;
      const [px, py] = toScreen(position.x, position.y);
      pen.beginPath();
      pen.arc(px, py, Math.max(8, position.accuracy * view.scale), 0, 7);
      pen.fillStyle = "rgba(10,132,255,.18)";
      pen.fill();
      pen.beginPath();
      pen.arc(px, py, 8, 0, 7);
      pen.fillStyle = "#0a84ff";
      pen.fill();
      pen.strokeStyle = "#ffffff";
      pen.lineWidth = 3;
      pen.stroke();
    };

    const drawCross = () => {
      pen.strokeStyle = "#111111";
      pen.lineWidth = 1.5;
      pen.beginPath();
      pen.moveTo(width / 2 - 12, height / 2);
      pen.lineTo(width / 2 + 12, height / 2);
      pen.moveTo(width / 2, height / 2 - 12);
      pen.lineTo(width / 2, height / 2 + 12);
      pen.stroke();
    };

    let scaleShown = 0;
    const drawScale = () => {
      const perMetre = view.scale * ground;
      if (perMetre === scaleShown) return;
      scaleShown = perMetre;
      let metres = 10 ** Math.floor(Math.log10(110 / perMetre));
      for (const times of [5, 2]) if (metres * times * perMetre <= 110) { metres *= times; break; }
      byId("scale").firstElementChild.style.width = `${Math.round(metres * perMetre)}px`;
      byId("scale").lastElementChild.textContent =
        metres >= 1000 ? `${metres / 1000} km` : metres >= 1 ? `${metres} m` : `${Math.round(metres * 100)} cm`;
    };

    /** Lay the sheet that is ready where it belongs. */
    const layDown = () => {
      if (!front.width) return;
      const k = view.scale / front.scale, [x, y] = toScreen(front.x, front.y);
      const onPixel = (px) => (k === 1 ? Math.round(px * ratio) / ratio : px);
      const left = onPixel(x - front.width * k / 2), top = onPixel(y - front.height * k / 2);
      front.paper.style.transform = `translate(${left}px,${top}px) scale(${k})`;
      front.paper.style.visibility = "visible";
      back.paper.style.visibility = "hidden";
    };

    let dirty = false;
    /** What lies on the sheet: selection, measure, position, cross. */
    const drawAbove = () => {
      const cross = document.activeElement === canvas && canvas.matches(":focus-visible");
      const wanted = selected >= 0 || measured || position || cross;
      if (!wanted && !dirty) return;
      dirty = wanted;
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      pen.clearRect(0, 0, width, height);
      drawSelected();
      drawMeasured();
      drawPosition();
      if (cross) drawCross();
    };

    let asked = false, movedAt = 0;
    const last = {};
    const draw = (time) => {
      asked = false;
      const moving = view.x !== last.x || view.y !== last.y || view.scale !== last.scale;
      if (moving) movedAt = time;
      Object.assign(last, view);
      budget = !front.width ? 100 : time - movedAt < 150 ? 4 : 24; // a finger that moves the map comes first
      const away = Math.max(Math.abs(view.x - front.x) * front.scale / width,
        Math.abs(view.y - front.y) * front.scale / height) > MARGIN / 2;
      const outdated = painting && Math.abs(Math.log(back.scale / view.scale)) > 0.4;
      if (stale || outdated || (!painting && (away || front.scale !== view.scale))) {
        stale = false;
        painting = paint(back);
      }
      if (painting) {
        paintOn();
        redraw();
      }
      layDown();
      drawAbove();
      drawScale();
      busy(asked);
    };
    const busy = (yes) => {
      if (canvas.getAttribute("aria-busy") !== String(yes)) canvas.setAttribute("aria-busy", String(yes));
    };
    const redraw = () => {
      if (asked) return;
      asked = true;
      busy(true);
      requestAnimationFrame(draw);
    };

    const resize = () => {
      const box = canvas.getBoundingClientRect();
      width = Math.max(1, box.width);
      height = Math.max(1, box.height);
      ratio = Math.min(2, window.devicePixelRatio || 1);
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      dirty = true;
      stale = true;
      redraw();
    };

    const clampScale = (scale) => Math.max(0.01, Math.min(400, scale));
    const zoomAt = (factor, px = width / 2, py = height / 2) => {
      const [x, y] = toMap(px, py);
      view.scale = clampScale(view.scale * factor);
      view.x = x - (px - width / 2) / view.scale;
      view.y = y + (py - height / 2) / view.scale;
      redraw();
    };
    const show = ([left, bottom, right, top], most = 60) => {
      view.x = (left + right) / 2;
      view.y = (bottom + top) / 2;
      const space = Math.min((width - 90) / Math.max(right - left, 0.1), (height - 110) / Math.max(top - bottom, 0.1));
      view.scale = clampScale(Math.min(most, space));
      stale = true;
      redraw();
    };
    const showDig = () => show(boxOf(dig.x, dig.y, 0, dig.x.length));

    // ---------------------------------------------------------------- pick and show one feature

    const distanceTo = (p, x, y) => {
      const a = net.first[p], b = net.first[p + 1];
      if (b - a === 1) return Math.hypot(net.x[a] - x, net.y[a] - y);
      let best = Infinity, inside = false;
      for (let i = a + 1; i < b; i += 1) {
        const x0 = net.x[i - 1], y0 = net.y[i - 1], dx = net.x[i] - x0, dy = net.y[i] - y0, square = dx * dx + dy * dy;
        const t = square ? Math.max(0, Math.min(1, ((x - x0) * dx + (y - y0) * dy) / square)) : 0;
        best = Math.min(best, Math.hypot(x0 + t * dx - x, y0 + t * dy - y));
        if ((y0 > y) !== (net.y[i] > y) && x < x0 + (y - y0) / dy * dx) inside = !inside;
      }
      return net.kind[p] === 2 && inside ? 0 : best;
    };

    /** Features within reach of a point, the most dangerous first, then the nearest. */
    const hitsAt = (x, y, reachPx) => {
      const nearest = new Map(), reach = reachPx / view.scale;
      for (let p = 0; p < net.count; p += 1) {
        const f = net.feature[p], b = 4 * p;
        const slack = reach + (net.kind[p] === 1 ? drawing.widthPx(f, view.scale) / 2 / view.scale : 0);
        if (!visible[f] || x < net.box[b] - slack || x > net.box[b + 2] + slack
          || y < net.box[b + 1] - slack || y > net.box[b + 3] + slack) continue;
        const distance = distanceTo(p, x, y);
        if (distance <= slack) nearest.set(f, Math.min(distance, nearest.get(f) ?? Infinity));
      }
      return [...nearest.keys()].sort((a, b) => RANK[hazardOf(b)] - RANK[hazardOf(a)] || nearest.get(a) - nearest.get(b));
    };

    const number = (value) => String(value).replace(".", ",");

    const find = (cvr, gmlId) => {
      for (let f = 0; f < featureCount; f += 1) {
        if (columns.gml_id[f] === gmlId && columns.owner_cvr[f] === cvr) return f;
      }
      return -1;
    };

    const link = (f, target) => {
      const button = element("button", "link");
      button.type = "button";
      button.textContent = target;
      button.addEventListener("click", () => reveal(f));
      return button;
    };

    /** What a LER value reads as; see the shapes of `properties` in the data model. */
    const shown = (value, cvr) => {
      const text = (words) => document.createTextNode(words);
      if (value === null || value === undefined) return both("ikke oplyst", "not stated");
      if (value === true) return both("ja", "yes");
      if (value === false) return both("nej", "no");
      if (typeof value === "number") return text(number(value));
      if (typeof value !== "object") return text(String(value));
      if (Array.isArray(value)) {
        const list = document.createDocumentFragment();
        value.forEach((one, i) => { if (i) list.append(", "); list.append(shown(one, cvr)); });
        return list;
      }
      if (value.nil) {
        const reason = value.reason && value.reason !== "unknown" ? ` (${value.reason})` : "";
        return both(`ikke oplyst${reason}`, `not stated${reason}`);
      }
      if ("href" in value) {
        const target = String(value.href), f = target.startsWith("#") ? find(cvr, target.slice(1)) : -1;
        return f >= 0 ? link(f, target.slice(1)) : text(target);
      }
      if ("height_m" in value) return text(value.height_m === null ? "–" : `${number(value.height_m)} m DVR90`);
      if ("uom" in value) return text(`${number(value.value)} ${value.uom === "Cel" ? "°C" : value.uom}`);
      if ("indeterminate" in value) return both(`før ${value.value}`, `before ${value.value}`);
      const parts = Object.entries(value).filter(([key, v]) => key !== "gml_id" && v !== null && v !== "");
      return text(parts.map(([, v]) => (typeof v === "object" ? JSON.stringify(v) : String(v))).join(", "));
    };

    const row = (list, label, value) => list.append(element("dt", "", label), element("dd", "", value));

    const ownValues = (f) => {
      const list = element("dl");
      for (const [name, [da, en]] of Object.entries(data.titles)) {
        const value = columns[name][f];
        if (value === null || ["feature_class", "kind", "supply", "hazard", "owner_cvr"].includes(name)) continue;
        const status = name === "status" && statusOf(f);
        const before = name === "established" && value.startsWith("<") && value.slice(1);
        row(list, both(da, en), status ? both(status.da, status.en)
          : before ? both(`før ${before}`, `before ${before}`) : shown(value, columns.owner_cvr[f]));
      }
      return list;
    };

    const lerValues = (f) => {
      const list = element("dl", "ler");
      for (const [name, value] of Object.entries(properties.of(f))) row(list, name, shown(value, columns.owner_cvr[f]));
      return list;
    };

    const contactOf = (f) => {
      const owner = owners.get(columns.owner_cvr[f]) ?? { cvr: columns.owner_cvr[f], name: "" };
      const line = element("p", "contact", element("b", "", owner.name), ` CVR ${owner.cvr} `);
      for (const [href, text] of [[owner.dial && `tel:${owner.dial}`, owner.phone], [owner.email && `mailto:${owner.email}`, owner.email]]) {
        if (!text) continue;
        const anchor = element(href ? "a" : "span", "", text);
        if (href) anchor.setAttribute("href", href);
        line.append(anchor, " ");
      }
      return line;
    };

    let hits = [];
    const card = byId("card");
    const close = () => { card.hidden = true; selected = -1; hits = []; redraw(); };

    const showFeature = (f) => {
      selected = f;
      const hazard = hazardClassOf(f);
      const kind = KINDS[columns.kind[f]] ?? [columns.kind[f], columns.kind[f]];
      const supply = isNote(f) ? { da: "", en: "", colour: "#303030" } : typeOf(f);
      const shut = element("button", "shut", "×");
      shut.type = "button";
      Object.assign(shut.dataset, { da: "Luk", en: "Close" });
      shut.addEventListener("click", close);
      const swatch = element("i", "swatch");
      swatch.style.background = supply.colour;
      const head = element("div", "head", swatch, element("h3", "", columns.feature_class[f]), shut);
      const name = { "meget farlig": "very", farlig: "dangerous", "ikke farlig": "good" }[hazardOf(f)] ?? "care";
      const chips = element("p", "", element("span", `chip ${name}`, both(hazard.da, hazard.en)), " ",
        both([kind[0], supply.da].filter(Boolean).join(" · "), [kind[1], supply.en].filter(Boolean).join(" · ")));
      card.replaceChildren(head, ...pager(f), chips, contactOf(f));
      const caution = properties.value(f, "sikkerhedshensyn");
      if (typeof caution === "string") card.append(element("p", "caution", caution));
      if (columns.drawing_method[f] === "forskudt" || columns.drawing_method[f] === "skematisk") {
        card.append(element("p", "caution", both("Tegnet forskudt eller skematisk: ligger ikke nøjagtigt her.",
          "Drawn displaced or schematically: it does not lie exactly here.")));
      }
      card.append(ownValues(f), element("details", "", element("summary", "", both("Alle LER-attributter", "All LER attributes")), lerValues(f)));
      card.hidden = false;
      card.scrollTop = 0;
      setFilters(false);
      translateAttributes();
      redraw();
    };

    const pager = (f) => {
      if (hits.length < 2) return [];
      const at = hits.indexOf(f), parts = element("p", "pager");
      for (const [step, sign, da, en] of [[-1, "‹", "Forrige", "Previous"], [1, "›", "Næste", "Next"]]) {
        const button = element("button", "", sign);
        button.type = "button";
        Object.assign(button.dataset, { da, en });
        button.addEventListener("click", () => showFeature(hits[(at + step + hits.length) % hits.length]));
        parts.append(button);
      }
      parts.children[0].after(both(` ${at + 1} af ${hits.length} her `, ` ${at + 1} of ${hits.length} here `));
      return [parts];
    };

    const pick = (px, py, reachPx) => {
      const [x, y] = toMap(px, py);
      hits = hitsAt(x, y, reachPx);
      if (hits.length) {
        showFeature(hits[0]);
        const under = py - (card.offsetTop - 40);
        if (under > 0 && px > card.offsetLeft) { view.y -= under / view.scale; redraw(); }
      } else close();
      say(`E ${number((x + origin[0] / 100).toFixed(2))} · N ${number((y + origin[1] / 100).toFixed(2))}`);
    };

    /** Show a feature and go to it; a filter that hides it is lifted. */
    const reveal = (f) => {
      if (!visible[f]) resetFilters();
      hits = [f];
      showFeature(f);
      const boxes = pathsOfFeature[f].map((p) => net.box.subarray(4 * p, 4 * p + 4));
      if (boxes.length) show([Math.min(...boxes.map((b) => b[0])), Math.min(...boxes.map((b) => b[1])),
        Math.max(...boxes.map((b) => b[2])), Math.max(...boxes.map((b) => b[3]))], 25);
    };

    const say = (...words) => byId("status").replaceChildren(...words);

    // ---------------------------------------------------------------- filters

    const kindOf = (f) => `${columns.feature_class[f]}${columns.type[f] ? ` · ${columns.type[f]}` : ""}`;
    const dangerFirst = [...HAZARDS.slice(0, -1).reverse(), HAZARDS.at(-1)];
    const noted = { key: NOTES, da: "Tekst, mål og bilag", en: "Text, dimensions, documents" };
    // name, Danish, English, value of a feature, known values in their order, whether it is folded away
    const DIMENSIONS = [
      ["hazard", "Fareklasse", "Hazard", (f) => hazardClassOf(f).key, () => dangerFirst],
      ["type", "Forsyningsart", "Supply", (f) => (isNote(f) ? NOTES : typeOf(f).key), () => [...TYPES, noted]],
      ["status", "Driftsstatus", "Status", (f) => statusOf(f).key, () => STATUSES],
      ["owner", "Ledningsejer", "Owner", (f) => columns.owner_cvr[f],
        () => [...owners.values()].map((owner) => ({ key: owner.cvr, da: owner.name, en: owner.name }))],
      ["kind", "Type", "Type", kindOf, () => [], true],
    ];
    const off = new Map(DIMENSIONS.map(([name]) => [name, new Set()]));

    const applyFilters = () => {
      let very = 0, risky = 0;
      for (let f = 0; f < featureCount; f += 1) {
        visible[f] = DIMENSIONS.every(([name, , , valueOf]) => !off.get(name).has(valueOf(f))) ? 1 : 0;
        if (visible[f] || !pathsOfFeature[f].length) continue;
        if (hazardOf(f) === "meget farlig") very += 1;
        else if (hazardOf(f) === "farlig") risky += 1;
      }
      const warning = byId("hidden-danger");
      warning.hidden = !very && !risky;
      if (!warning.hidden) {
        const again = element("button", "link", both("Vis alt", "Show all"));
        again.type = "button";
        again.addEventListener("click", resetFilters);
        warning.replaceChildren(both(
          `Filteret skjuler ${very} meget farlige og ${risky} farlige objekter. `,
          `The filter hides ${very} very dangerous and ${risky} dangerous features. `), again);
      }
      if (selected >= 0 && !visible[selected]) close();
      stale = true;
      redraw();
    };

    const resetFilters = () => {
      off.forEach((values) => values.clear());
      for (const box of byId("filters").querySelectorAll("input")) box.checked = true;
      applyFilters();
    };

    const sampleOf = ({ symbol, form }) => {
      const canvas = element("canvas", "sample");
      canvas.setAttribute("aria-hidden", "true");
      drawing.sample(canvas, symbol, form);
      return canvas;
    };

    const { legend } = data.drawing;
    const signOf = (name, key) => legend.find(({ of }) => of && of[0] === name && of[1] === key);

    /** What else the drawing says: the signs that no filter has. */
    const legendPart = () => {
      const rows = legend.filter(({ of }) => !of).map((entry) =>
        element("p", "sign", sampleOf(entry), element("span", "", both(entry.da, entry.en))));
      const part = element("details", "signs", element("summary", "", both("Signaturer på kortet", "Signs on the map")), ...rows);
      return rows.length ? [part] : [];
    };

    const setFilters = (open) => {
      if (open && !byId("filters").childElementCount) buildFilters();
      byId("filters").hidden = !open;
      byId("filter").setAttribute("aria-expanded", String(open));
    };

    const buildFilters = () => {
      const panel = byId("filters");
      for (const [name, da, en, valueOf, values, folded] of DIMENSIONS) {
        const counts = new Map();
        for (let f = 0; f < featureCount; f += 1) counts.set(valueOf(f), (counts.get(valueOf(f)) ?? 0) + 1);
        const known = [...values()];
        for (const key of counts.keys()) if (!known.some((value) => value.key === key)) known.push({ key, da: key, en: key });
        known.splice(0, known.length, ...known.filter(({ key }) => counts.has(key)));
        if (folded) known.sort((a, b) => a.da.localeCompare(b.da, "da"));
        const set = element("fieldset", "", ...(folded ? [] : [element("legend", "", both(da, en))]));
        for (const value of known) {
          const box = element("input");
          box.type = "checkbox";
          box.checked = true;
          box.addEventListener("change", () => {
            off.get(name)[box.checked ? "delete" : "add"](value.key);
            applyFilters();
          });
          const sign = signOf(name, value.key);
          set.append(element("label", "", box, ...(sign ? [sampleOf(sign)] : []), element("span", "", both(value.da, value.en)),
            element("small", "", String(counts.get(value.key)))));
        }
        panel.append(folded ? element("details", "", element("summary", "", both(`${da} (${known.length})`, `${en} (${known.length})`)), set) : set);
      }
      panel.append(...legendPart());
      const all = element("button", "", both("Vis alt", "Show all"));
      all.type = "button";
      all.addEventListener("click", resetFilters);
      panel.append(all);
    };

    // ---------------------------------------------------------------- search

    const holds = (value, word) => {
      if (typeof value === "string") return value.toLocaleLowerCase().includes(word);
      if (typeof value === "number") return String(value) === word;
      return value !== null && typeof value === "object" && Object.values(value).some((one) => holds(one, word));
    };

    /** Mark the rows whose value in a column holds a word; each value is looked at once. */
    const markColumn = ({ list, values, index }, rows, word, marked) => {
      if (list) list.forEach((value, i) => { if (holds(value, word)) marked[rows ? rows[i] : i] = 1; });
      else {
        const found = values.map((value) => holds(value, word));
        if (!found.includes(true)) return;
        if (!index.length) (rows ?? marked).forEach((row, i) => { marked[rows ? row : i] = 1; });
        index.forEach((at, i) => { if (found[at]) marked[rows ? rows[i] : i] = 1; });
      }
    };

    /** Features that hold a word: in id, class, type, supply, owner, or any text of their attributes. */
    const markWord = (word) => {
      const marked = new Uint8Array(featureCount);
      for (const name of ["gml_id", "feature_class", "type", "level"]) markColumn(data.columns[name], null, word, marked);
      for (const { names, packed, rows } of properties.tables) names.forEach((_, i) => markColumn(packed[i], rows, word, marked));
      const named = ({ da, en }) => holds(da, word) || holds(en, word);
      const types = new Set(TYPES.filter(named).map(({ key }) => key));
      const whose = new Set([...owners.values()].filter(({ cvr, name }) => holds(name, word) || cvr === word).map(({ cvr }) => cvr));
      for (let f = 0; (types.size || whose.size) && f < featureCount; f += 1) {
        if (whose.has(columns.owner_cvr[f]) || (!isNote(f) && types.has(typeOf(f).key))) marked[f] = 1;
      }
      return marked;
    };

    const MOST_FOUND = 20;
    const search = () => {
      const words = byId("query").value.trim().toLocaleLowerCase().split(/\s+/).filter(Boolean).slice(0, 6), list = byId("found");
      const marks = words.map(markWord), results = [];
      for (let f = 0; words.length && f < featureCount; f += 1) if (marks.every((marked) => marked[f])) results.push(f);
      const exact = (f) => words.length === 1 && columns.gml_id[f].toLocaleLowerCase() === words[0];
      results.sort((a, b) => exact(b) - exact(a) || RANK[hazardOf(b)] - RANK[hazardOf(a)] || a - b);
      list.replaceChildren(...results.slice(0, MOST_FOUND).map((f) => {
        const owner = owners.get(columns.owner_cvr[f]);
        const button = element("button", "", element("b", "", kindOf(f)),
          element("small", "", ` ${columns.gml_id[f]} · ${owner ? owner.name : columns.owner_cvr[f]}`));
        button.type = "button";
        button.addEventListener("click", () => { list.hidden = true; reveal(f); });
        return element("li", "", button);
      }));
      const more = results.length - MOST_FOUND;
      if (more > 0) list.append(element("li", "", both(`… og ${more} flere`, `… and ${more} more`)));
      if (words.length && !results.length) list.append(element("li", "", both("Intet fundet", "Nothing found")));
      list.hidden = !words.length;
      return results;
    };

    // ---------------------------------------------------------------- measure, position

    const sayMeasured = () => {
      if (!measured) return;
      const legs = measured.slice(1).map(([x, y], i) => Math.hypot(x - measured[i][0], y - measured[i][1]) / ground);
      if (!legs.length) say(both("Tryk på kortet for at måle", "Tap the map to measure"));
      else {
        const total = number(legs.reduce((a, b) => a + b, 0).toFixed(2)), last = number(legs.at(-1).toFixed(2));
        say(both(`I alt ${total} m · sidste ${last} m`, `Total ${total} m · last ${last} m`));
      }
    };

    const toggleMeasure = () => {
      measured = measured ? null : [];
      byId("measure").setAttribute("aria-pressed", String(measured !== null));
      if (measured) { close(); sayMeasured(); } else say();
      redraw();
    };

    let watch = null;
    const stopLocating = () => {
      if (watch !== null) navigator.geolocation.clearWatch(watch);
      watch = position = null;
      byId("locate").setAttribute("aria-pressed", "false");
      redraw();
    };

    const located = (fix) => {
      const { longitude, latitude, accuracy } = fix.coords, [east, north] = utm32(longitude, latitude);
      const first = position === null;
      position = { x: east - origin[0] / 100, y: north - origin[1] / 100, accuracy };
      say(`E ${number(east.toFixed(2))} · N ${number(north.toFixed(2))} · ±${Math.round(accuracy)} m`);
      if (first) { view.x = position.x; view.y = position.y; stale = true; }
      redraw();
    };

    const toggleLocate = () => {
      if (watch !== null) { stopLocating(); say(); return; }
      byId("locate").setAttribute("aria-pressed", "true");
      watch = navigator.geolocation.watchPosition(located, (error) => {
        stopLocating();
        if (error.code === error.PERMISSION_DENIED) byId("locate").hidden = true;
        say(both("Telefonen giver ikke siden en position.", "The device gives the page no position."));
      }, { enableHighAccuracy: true, maximumAge: 2000, timeout: 30000 });
    };

    // ---------------------------------------------------------------- pointer and keys

    const pointers = new Map();
    let start = null;
    const spread = () => {
      const [a, b] = [...pointers.values()];
      return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, length: Math.hypot(a.x - b.x, a.y - b.y) };
    };
    const at = (event) => ({ x: event.offsetX, y: event.offsetY });

    canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, at(event));
      start = pointers.size === 1 ? { ...at(event), moved: false } : { moved: true };
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      if (pointers.size === 1) {
        const now = at(event);
        if (!start.moved && Math.hypot(now.x - start.x, now.y - start.y) < 6) return;
        start.moved = true;
        view.x -= (now.x - before.x) / view.scale;
        view.y += (now.y - before.y) / view.scale;
        pointers.set(event.pointerId, now);
        redraw();
        return;
      }
      const old = spread();
      pointers.set(event.pointerId, at(event));
      const now = spread();
      view.x -= (now.x - old.x) / view.scale;
      view.y += (now.y - old.y) / view.scale;
      if (old.length > 0) zoomAt(now.length / old.length, now.x, now.y);
    });
    const released = (event) => {
      if (!pointers.delete(event.pointerId) || event.type === "pointercancel" || start.moved) return;
      if (measured) {
        measured.push(toMap(start.x, start.y));
        sayMeasured();
        redraw();
      } else pick(start.x, start.y, event.pointerType === "mouse" ? 8 : 20);
    };
    canvas.addEventListener("pointerup", released);
    canvas.addEventListener("pointercancel", released);
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 30 : 1;
      zoomAt(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.002)), event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.addEventListener("dblclick", (event) => { if (!measured) zoomAt(2, event.offsetX, event.offsetY); });
    canvas.addEventListener("focus", redraw);
    canvas.addEventListener("blur", redraw);

    const pan = (dx, dy) => () => { view.x += dx * width / view.scale; view.y += dy * height / view.scale; redraw(); };
    const KEYS = {
      ArrowLeft: pan(-0.15, 0), ArrowRight: pan(0.15, 0), ArrowUp: pan(0, 0.15), ArrowDown: pan(0, -0.15),
      "+": () => zoomAt(1.5), "=": () => zoomAt(1.5), "-": () => zoomAt(1 / 1.5), 0: showDig,
      Enter: () => pick(width / 2, height / 2, 14), Escape: () => (measured ? toggleMeasure() : close()),
    };
    canvas.addEventListener("keydown", (event) => {
      const act = KEYS[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
    });

    // ---------------------------------------------------------------- controls

    const press = (id, act) => byId(id).addEventListener("click", act);
    press("zoom-in", () => zoomAt(1.6));
    press("zoom-out", () => zoomAt(1 / 1.6));
    press("fit", showDig);
    press("measure", toggleMeasure);
    press("locate", toggleLocate);
    press("filter", () => {
      const open = byId("filters").hidden;
      if (open) close();
      setFilters(open);
    });
    press("sun", () => {
      boost = boost === 1 ? SUNLIGHT : 1;
      document.documentElement.classList.toggle("sun", boost !== 1);
      byId("sun").setAttribute("aria-pressed", String(boost !== 1));
      stale = true;
      redraw();
    });
    byId("language").addEventListener("click", () => { stale = true; redraw(); });
    press("enlarge", () => {
      const large = byId("map").classList.toggle("large");
      byId("enlarge").setAttribute("aria-pressed", String(large));
    });
    byId("query").addEventListener("input", search);
    byId("finder").addEventListener("submit", (event) => {
      event.preventDefault();
      const [best] = search();
      if (best !== undefined) { byId("found").hidden = true; reveal(best); }
    });
    byId("locate").hidden = !("geolocation" in navigator);

    /** Names of features in the text lead to the map. */
    for (const name of document.querySelectorAll("[data-feature]")) {
      const [cvr] = name.dataset.feature.split(".", 1), f = find(cvr, name.dataset.feature.slice(cvr.length + 1));
      if (f < 0) continue;
      const button = element("button", "feature", ...name.childNodes);
      button.type = "button";
      button.addEventListener("click", () => { byId("map").scrollIntoView(); reveal(f); });
      name.replaceWith(button);
    }

    byId("stage").hidden = false;
    translateAttributes();
    resize();
    showDig();
    new ResizeObserver(resize).observe(canvas);
  };

  window.addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("main details")) part.open = true;
  });

  const begin = async () => {
    byId("language").hidden = false;
    byId("language").addEventListener("click", switchLanguage);
    markExpired();
    if (!("DecompressionStream" in window)) {
      byId("trouble").append(both(
        "Kortet kræver en nyere browser (Chrome 80, Firefox 113, Safari 16.4). Brug GML- eller GeoPackage-filen.",
        "The map needs a newer browser (Chrome 80, Firefox 113, Safari 16.4). Use the GML or GeoPackage file."));
      byId("trouble").hidden = false;
      return;
    }
    openMap(await unpack());
  };

  begin().catch((error) => {
    byId("trouble").append(both("Kortet kan ikke vises: filen er beskadiget. Hent pakken igen.",
      "The map cannot be shown: the file is damaged. Download the package again."));
    byId("trouble").hidden = false;
    throw error;
  });
})();

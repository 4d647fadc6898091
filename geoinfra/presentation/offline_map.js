"use strict";
// Draws features on a canvas by layers, bottom to top. No rule of the drawing stands here: which layers a
// feature has, and their colours, widths, dashes, signs and texts, come with the page's data.

/** A drawing of the paths `net` (see the page's script); each feature f has its `style.look[f]`. */
const mapDrawing = ({ style, net, english }) => {
  const { layers, symbols, looks, bands, look, labels } = style;
  const halfWidthsMm = style.half_width_mm;
  const CHUNK = 150; // subpaths a stroke: very long paths are slow to rasterise
  const LETTER = 1.4; // size of a font whose capitals are as high as asked
  const LEAST_TEXT_PX = 11;
  const PEN_PX = 0.5; // vertices nearer than this are one
  const SHIFTS = [0, 0.14, -0.14, 0.28, -0.28, 0.42];
  const LONG_PX = 4000;
  const WHITE = "#ffffff";
  const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

  // ---------------------------------------------------------------- the table

  const bandOf = (scale) => {
    const denominator = 1000 / (scale * style.pixel_mm);
    const at = bands.findIndex(([from, below]) => denominator >= from && denominator < below);
    return at >= 0 ? at : denominator < bands[0][0] ? 0 : bands.length - 1;
  };
  const symbolOf = (f, scale) => symbols[looks[look[f]][bandOf(scale)]];
  const halfWidthM = (layer, f) => layer.half_width_m + halfWidthsMm[f] / 1000;

  /** Widest stroke of a feature in pixels. */
  const widthPx = (f, scale) =>
    Math.max(2, ...symbolOf(f, scale).map((i) => (layers[i].draw === "stroke" ? layers[i].width_px : 0)));

  /** Half the width of the corridor in metres, 0 without one. */
  const corridorM = (f, scale) =>
    Math.max(0, ...symbolOf(f, scale).map((i) => (layers[i].draw === "corridor" ? halfWidthM(layers[i], f) : 0)));

  const WIDEST_M = Math.max(0, ...layers.map((layer) => layer.half_width_m ?? 0))
    + halfWidthsMm.reduce((most, mm) => Math.max(most, mm), 0) / 1000;

  // ---------------------------------------------------------------- ways along a path

  const reach = new Float64Array(net.x.length); // metres from the start of the path
  for (let p = 0; p < net.count; p += 1) {
    for (let i = net.first[p] + 1; i < net.first[p + 1]; i += 1) {
      reach[i] = reach[i - 1] + Math.hypot(net.x[i] - net.x[i - 1], net.y[i] - net.y[i - 1]);
    }
  }
  const lengthM = (p) => reach[net.first[p + 1] - 1];

  /** Index of the vertex that begins the leg on which a distance from the start lies. */
  const legAt = (p, metres) => {
    let low = net.first[p], high = net.first[p + 1] - 2;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (reach[middle] <= metres) low = middle; else high = middle - 1;
    }
    return low;
  };

  /** Place on the sheet and direction of the line, some pixels along it. */
  const spotAt = (p, px, frame) => {
    const metres = px / frame.scale, i = legAt(p, metres), leg = reach[i + 1] - reach[i];
    const t = leg > 0 ? Math.max(0, Math.min(1, (metres - reach[i]) / leg)) : 0;
    const dx = net.x[i + 1] - net.x[i], dy = net.y[i + 1] - net.y[i];
    return {
      x: (net.x[i] + t * dx - frame.left) * frame.scale,
      y: (frame.top - net.y[i] - t * dy) * frame.scale,
      turn: Math.atan2(-dy, dx),
    };
  };

  /** Part of the leg a-b inside a rectangle as two shares of its length, or null. */
  const clip = (ax, ay, bx, by, left, top, right, bottom) => {
    let enter = 0, leave = 1;
    for (const [from, by_, low, high] of [[ax, bx - ax, left, right], [ay, by - ay, top, bottom]]) {
      if (by_ === 0) {
        if (from < low || from > high) return null;
        continue;
      }
      const a = (low - from) / by_, b = (high - from) / by_;
      enter = Math.max(enter, Math.min(a, b));
      leave = Math.min(leave, Math.max(a, b));
    }
    return enter < leave ? [enter, leave] : null;
  };

  /** Stretches of a path that lie on the sheet, in pixels from its start. */
  const stretches = (p, frame, w, h) => {
    const found = [], s = frame.scale, last = net.first[p + 1] - 1;
    for (let i = net.first[p]; i < last; i += 1) {
      const part = clip((net.x[i] - frame.left) * s, (frame.top - net.y[i]) * s,
        (net.x[i + 1] - frame.left) * s, (frame.top - net.y[i + 1]) * s, 0, 0, w, h);
      if (!part) continue;
      const leg = (reach[i + 1] - reach[i]) * s, from = reach[i] * s + part[0] * leg, to = reach[i] * s + part[1] * leg;
      const before = found.at(-1);
      if (before && from - before[1] < 0.01) before[1] = to; else found.push([from, to]);
    }
    return found;
  };

  /** Add a line to a Path2D: what lies off the sheet is left out where the line is long. */
  const addLine = (target, p, frame, w, h, beyond, period) => {
    const { x, y, first } = net, s = frame.scale, last = first[p + 1] - 1, long = lengthM(p) * s > LONG_PX;
    const right = w + beyond, bottom = h + beyond;
    let px = (x[first[p]] - frame.left) * s, py = (frame.top - y[first[p]]) * s, down = false;
    for (let i = first[p] + 1; i <= last; i += 1) {
      const nx = (x[i] - frame.left) * s, ny = (frame.top - y[i]) * s;
      if (i < last && Math.abs(nx - px) + Math.abs(ny - py) < PEN_PX) continue;
      let enter = 0, leave = 1;
      if (long) {
        const part = clip(px, py, nx, ny, -beyond, -beyond, right, bottom);
        [enter, leave] = part ?? [1, 0];
        const leg = Math.hypot(nx - px, ny - py);
        if (part && period) enter = Math.floor(enter * leg / period) * period / leg; // dashes keep their places
      }
      if (enter < leave) {
        if (!down || enter > 0) target.moveTo(px + enter * (nx - px), py + enter * (ny - py));
        target.lineTo(px + leave * (nx - px), py + leave * (ny - py));
      }
      down = enter < leave && leave === 1;
      px = nx; py = ny;
    }
  };

  const addRing = (target, p, frame) => {
    const { x, y, first } = net, s = frame.scale;
    for (let i = first[p]; i < first[p + 1] - 1; i += 1) {
      const px = (x[i] - frame.left) * s, py = (frame.top - y[i]) * s;
      if (i === first[p]) target.moveTo(px, py); else target.lineTo(px, py);
    }
    target.closePath();
  };

  const pointOn = (p, frame) =>
    [(net.x[net.first[p]] - frame.left) * frame.scale, (frame.top - net.y[net.first[p]]) * frame.scale];

  // ---------------------------------------------------------------- signs

  const markPaths = new Map(Object.entries(style.marks).map(([name, shapes]) => [name, shapes.map((shape) => {
    const path = new Path2D();
    if (shape.radius) path.arc(...shape.points[0], shape.radius, 0, 2 * Math.PI);
    else shape.points.forEach(([x, y], i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)));
    if (shape.closed && !shape.radius) path.closePath();
    return { path, width: shape.width, ink: shape.ink };
  })]));
  const drawingPaths = new Map(Object.entries(style.drawings).map(([name, parts]) =>
    [name, parts.map(({ path, width, ink }) => ({ path: new Path2D(path), width, ink }))]));

  /** Draw shapes of a unit box whose middle is the origin. */
  const drawShapes = (ink, shapes, colour) => {
    ink.lineCap = ink.lineJoin = "round";
    ink.setLineDash([]);
    for (const { path, width, ink: inked } of shapes) {
      ink.fillStyle = ink.strokeStyle = inked ? colour : WHITE;
      if (width) {
        ink.lineWidth = width;
        ink.stroke(path);
      } else ink.fill(path);
    }
  };

  const upright = (turn) => (turn > Math.PI / 2 ? turn - Math.PI : turn <= -Math.PI / 2 ? turn + Math.PI : turn);

  const drawLetter = (ink, text, colour, size) => {
    ink.beginPath();
    ink.arc(0, 0, size * 0.6, 0, 2 * Math.PI);
    ink.fillStyle = WHITE;
    ink.fill();
    ink.font = `700 ${size * LETTER}px ${FONT}`;
    ink.textAlign = "center";
    ink.textBaseline = "alphabetic";
    ink.fillStyle = colour;
    ink.fillText(text, 0, size * 0.5);
  };

  const drawMark = (ink, layer, x, y, turn, size, ratio) => {
    const text = layer.marker === "text", angle = text ? upright(turn) : turn;
    const c = Math.cos(angle) * ratio, s = Math.sin(angle) * ratio, by = text ? 1 : size;
    ink.setTransform(c * by, s * by, -s * by, c * by, x * ratio, y * ratio);
    ink.globalAlpha = layer.opacity;
    if (text) drawLetter(ink, layer.text, layer.colour, size);
    else drawShapes(ink, markPaths.get(layer.marker), layer.colour);
  };

  const sprites = new Map();
  /** A drawing as a picture, its feature in the middle. */
  const spriteOf = (layer, size, ratio) => {
    const key = `${layer.symbol}|${layer.colour}|${size}|${ratio}`;
    if (!sprites.has(key)) {
      const picture = document.createElement("canvas"), half = Math.ceil(size * ratio * 1.25);
      picture.width = picture.height = 2 * half;
      const ink = picture.getContext("2d");
      ink.setTransform(size * ratio, 0, 0, size * ratio, half, half);
      drawShapes(ink, drawingPaths.get(layer.symbol), layer.colour);
      sprites.set(key, picture);
    }
    return sprites.get(key);
  };

  const drawPoint = (ink, layer, x, y, size, ratio) => {
    const sprite = spriteOf(layer, size, ratio), half = sprite.width / 2;
    ink.drawImage(sprite, Math.round(x * ratio - half), Math.round(y * ratio - half));
  };

  /** What fills an area. */
  const paintOf = (ink, layer, boost) => {
    if (!layer.pattern) return layer.colour;
    const tile = document.createElement("canvas"), pen = tile.getContext("2d"), side = Math.round(8 * boost);
    tile.width = tile.height = side;
    pen.strokeStyle = pen.fillStyle = layer.colour;
    pen.beginPath();
    if (layer.pattern === "dots") pen.arc(side / 2, side / 2, side / 6, 0, 2 * Math.PI);
    else {
      pen.moveTo(0, side);
      pen.lineTo(side, 0);
    }
    if (layer.pattern === "cross") {
      pen.moveTo(0, 0);
      pen.lineTo(side, side);
    }
    if (layer.pattern === "dots") pen.fill(); else pen.stroke();
    return ink.createPattern(tile, "repeat");
  };

  // ---------------------------------------------------------------- room on the sheet

  const CELL = 3;
  /** Which cells of the sheet are taken. */
  const roomOf = (w, h) => {
    const across = Math.ceil(w / CELL) + 1, down = Math.ceil(h / CELL) + 1, taken = new Uint8Array(across * down);
    const every = (left, top, right, bottom, holds) => {
      const a = Math.max(0, Math.floor(left / CELL)), b = Math.min(across - 1, Math.floor(right / CELL));
      const c = Math.max(0, Math.floor(top / CELL)), d = Math.min(down - 1, Math.floor(bottom / CELL));
      for (let y = c; y <= d; y += 1) for (let x = a; x <= b; x += 1) if (!holds(y * across + x)) return false;
      return true;
    };
    return {
      free: (x, y, half) => every(x - half, y - half, x + half, y + half, (cell) => !taken[cell]),
      take: (x, y, half) => every(x - half, y - half, x + half, y + half, (cell) => { taken[cell] = 1; return true; }),
    };
  };

  /** Places of the marks of one layer on one path; one that finds no room a little further on is left out. */
  const placeMarks = (layer, p, frame, w, h, boost, room, marks) => {
    const size = layer.size_px * boost, spacing = layer.spacing_px > 0 ? layer.spacing_px * boost : Infinity;
    const first = layer.first_px * boost, total = lengthM(p) * frame.scale, half = size * 0.5;
    if (!(total > 0)) return;
    const place = (along, step) => {
      for (const tried of [(x, y) => room.marks.free(x, y, half) && room.points.free(x, y, half), (x, y) => room.marks.free(x, y, half)]) {
        for (const shift of SHIFTS) {
          const at = along + shift * step;
          if (at < 0 || at > total) continue;
          const { x, y, turn } = spotAt(p, at, frame);
          if (x < 0 || y < 0 || x > w || y > h || !tried(x, y)) continue;
          room.marks.take(x, y, half * 0.9);
          marks.push(x, y, turn);
          return;
        }
      }
    };
    if (total <= first) { // too short for its first mark: it has one in its middle
      place(total / 2, total / 2);
      return;
    }
    for (const [from, to] of stretches(p, frame, w, h)) {
      const most = spacing === Infinity ? 0 : Math.floor((to - first) / spacing);
      for (let n = Math.max(0, Math.ceil((from - first) / spacing)); n <= most; n += 1) {
        place(first + n * spacing, Math.min(spacing, total));
      }
    }
  };

  // ---------------------------------------------------------------- labels

  const pens = document.createElement("canvas").getContext("2d"), widths = new Map();
  const textWidth = (text, size) => {
    const key = `${size}|${text}`;
    if (!widths.has(key)) {
      pens.font = `600 ${size}px ${FONT}`;
      widths.set(key, pens.measureText(text).width);
    }
    return widths.get(key);
  };

  const textSize = (layer, boost) => Math.max(LEAST_TEXT_PX, layer.size_px * LETTER) * boost;

  /** Whether a text has room; it is tried as a row of squares along its base line. */
  const textSpots = (x, y, turn, width, size) => {
    const spots = [], half = size / 2, count = Math.max(1, Math.ceil(width / half));
    for (let n = 0; n <= count; n += 1) {
      const along = (n / count - 0.5) * width;
      spots.push([x + along * Math.cos(turn), y + along * Math.sin(turn)]);
    }
    return { spots, half: size * 0.5 };
  };

  /** Middle and turn of places beside a line, or around a point. */
  const labelPlaces = function* (layer, p, frame, w, h, boost, width, size) {
    if (net.kind[p] === 0) {
      const [x, y] = pointOn(p, frame), away = size * 0.9, aside = width / 2 + away;
      for (const [dx, dy] of [[aside, 0], [-aside, 0], [0, -1.4 * away], [0, 1.4 * away], [aside, -away], [aside, away]]) {
        yield { x: x + dx, y: y + dy, turn: 0 };
      }
      return;
    }
    const total = lengthM(p) * frame.scale;
    if (total < width * 0.6) return;
    for (const [from, to] of stretches(p, frame, w, h)) {
      const middle = (from + to) / 2, spare = Math.max(0, (to - from - width) / 2);
      for (const share of [0, 0.35, -0.35, 0.7, -0.7, 1, -1]) {
        const at = Math.max(width / 2, Math.min(total - width / 2, middle + share * spare));
        const a = spotAt(p, Math.max(0, at - width / 2), frame), b = spotAt(p, Math.min(total, at + width / 2), frame);
        const wanted = Math.min(total, at + width / 2) - Math.max(0, at - width / 2);
        if (Math.hypot(b.x - a.x, b.y - a.y) < 0.985 * wanted) continue;
        const turn = upright(Math.atan2(b.y - a.y, b.x - a.x)), away = size * 0.5 + 6 * boost;
        for (const side of [-1, 1]) {
          yield { x: (a.x + b.x) / 2 - side * away * Math.sin(turn), y: (a.y + b.y) / 2 + side * away * Math.cos(turn), turn };
        }
        if (!spare) break;
      }
    }
  };

  /** Put the labels where they can be read: greater priority first, none over another, few in one spot. */
  const placeLabels = function* (wishes, frame, w, h, boost, room) {
    const language = english() ? 1 : 0, placed = [], stand = new Map();
    let tried = 0;
    wishes.sort((a, b) => b.layer.priority - a.layer.priority || a.p - b.p);
    for (const { layer, p } of wishes) {
      const { texts, index } = labels[layer.template], text = texts[index[net.feature[p]]][language];
      if (!text) continue;
      const size = textSize(layer, boost), width = textWidth(text, size), near = layer.spacing_px * boost;
      const same = stand.get(text) ?? [];
      for (const { x, y, turn } of labelPlaces(layer, p, frame, w, h, boost, width, size)) {
        if (same.some(([sx, sy]) => Math.hypot(sx - x, sy - y) < near)) break;
        const { spots, half } = textSpots(x, y, turn, width, size);
        if (!spots.every(([sx, sy]) => sx > 0 && sy > 0 && sx < w && sy < h
          && room.marks.free(sx, sy, half) && room.points.free(sx, sy, half))) continue;
        for (const [sx, sy] of spots) room.marks.take(sx, sy, half);
        same.push([x, y]);
        stand.set(text, same);
        placed.push({ layer, x, y, turn, text, size });
        break;
      }
      if ((tried += 1) % 40 === 0) yield;
    }
    return placed;
  };

  const drawLabel = (ink, { layer, x, y, turn, text, size }, boost, ratio) => {
    const c = Math.cos(turn) * ratio, s = Math.sin(turn) * ratio;
    ink.setTransform(c, s, -s, c, x * ratio, y * ratio);
    ink.globalAlpha = layer.opacity;
    ink.font = `600 ${size}px ${FONT}`;
    ink.textAlign = "center";
    ink.textBaseline = "middle";
    ink.lineJoin = "round";
    ink.setLineDash([]);
    ink.strokeStyle = layer.halo_colour;
    ink.lineWidth = Math.max(3, 2 * layer.halo_px * boost);
    ink.strokeText(text, 0, 0);
    ink.fillStyle = layer.colour;
    ink.fillText(text, 0, 0);
  };

  // ---------------------------------------------------------------- a sheet

  /** Paths on the sheet by look; of those too small to be told apart one a pixel is kept. */
  const sorted = (frame, visible, slackM) => {
    const groups = new Map(), dots = new Set(), { box } = net, tiny = 0.7 / frame.scale;
    const across = Math.ceil((frame.right - frame.left) * frame.scale) + 1000;
    for (let p = 0; p < net.count; p += 1) {
      const b = 4 * p, f = net.feature[p];
      if (!visible[f] || box[b] > frame.right + slackM || box[b + 2] < frame.left - slackM
        || box[b + 1] > frame.top + slackM || box[b + 3] < frame.bottom - slackM) continue;
      if (net.kind[p] !== 0 && box[b + 2] - box[b] < tiny && box[b + 3] - box[b + 1] < tiny) {
        const cell = Math.floor((box[b] - frame.left) * frame.scale) + across * Math.floor((frame.top - box[b + 1]) * frame.scale);
        const key = cell * looks.length + look[f];
        if (dots.has(key)) continue;
        dots.add(key);
      }
      const group = groups.get(look[f]);
      if (group) group.push(p); else groups.set(look[f], [p]);
    }
    return groups;
  };

  const veil = document.createElement("canvas"), veilInk = veil.getContext("2d");
  const VEIL = 0.3; // bands fainter than this would get darker where they overlap

  /** Draw on a sheet of its own, opaque, and lay that over: overlaps do not get darker. Its edges may be soft. */
  const veiled = function* (ink, w, h, opacity, draw) {
    if (veil.width !== w || veil.height !== h) {
      veil.width = w;
      veil.height = h;
    }
    veilInk.clearRect(0, 0, w, h);
    yield* draw(veilInk);
    ink.globalAlpha = opacity;
    ink.drawImage(veil, 0, 0, w, h);
    ink.globalAlpha = 1;
    yield;
  };

  /** Draw all that is visible in the frame; pauses after each part. */
  const paint = function* (ink, frame, w, h, ratio, visible, boost) {
    const band = bandOf(frame.scale), groups = sorted(frame, visible, WIDEST_M + 30 / frame.scale);
    const wanted = new Map(); // layer -> looks
    for (const own of groups.keys()) {
      for (const i of symbols[looks[own][band]]) {
        if (wanted.has(i)) wanted.get(i).push(own); else wanted.set(i, [own]);
      }
    }
    const order = [...wanted.keys()].sort((a, b) => a - b);
    yield;

    const dashed = (own) => symbols[looks[own][band]].reduce(
      (longest, i) => Math.max(longest, (layers[i].dash_px ?? []).reduce((a, b) => a + b, 0)), 0) * boost;
    const shapes = new Map();
    /** Lines of a look in few Path2D, its areas one by one: the same for all strokes. */
    const shapeOf = (own) => {
      if (shapes.has(own)) return shapes.get(own);
      const made = { lines: [], areas: [] }, period = dashed(own);
      let count = 0, feature = -1;
      for (const p of groups.get(own)) {
        if (net.kind[p] === 1) {
          if (count % CHUNK === 0) made.lines.push(new Path2D());
          count += 1;
          addLine(made.lines.at(-1), p, frame, w, h, 40, period);
        } else if (net.kind[p] === 2) {
          if (net.feature[p] !== feature) made.areas.push(new Path2D());
          feature = net.feature[p];
          addRing(made.areas.at(-1), p, frame);
        }
      }
      shapes.set(own, made);
      return made;
    };

    const draws = {
      *corridor(pen, layer, own) {
        const byWidth = new Map();
        for (const p of groups.get(own)) {
          const half = halfWidthM(layer, net.feature[p]);
          if (net.kind[p] === 2) continue;
          if (byWidth.has(half)) byWidth.get(half).push(p); else byWidth.set(half, [p]);
        }
        pen.lineCap = pen.lineJoin = "round";
        pen.setLineDash([]);
        for (const [half, paths] of byWidth) {
          for (let i = 0; i < paths.length; i += CHUNK) {
            const lines = new Path2D(), discs = new Path2D(), radius = half * frame.scale;
            for (const p of paths.slice(i, i + CHUNK)) {
              if (net.kind[p] === 1) addLine(lines, p, frame, w, h, radius + 10, 0);
              else {
                const [x, y] = pointOn(p, frame);
                discs.moveTo(x + radius, y);
                discs.arc(x, y, radius, 0, 2 * Math.PI);
              }
            }
            pen.lineWidth = 2 * radius;
            pen.stroke(lines);
            pen.fill(discs);
            yield;
          }
        }
      },
      *fill(pen, layer, own) {
        pen.fillStyle = paintOf(pen, layer, boost);
        for (const area of shapeOf(own).areas) pen.fill(area, "evenodd");
        yield;
      },
      *stroke(pen, layer, own) {
        const { lines, areas } = shapeOf(own);
        pen.lineWidth = layer.width_px * boost;
        pen.lineCap = layer.cap;
        pen.lineJoin = pen.lineWidth > 1.5 ? "round" : "bevel";
        pen.setLineDash(layer.dash_px.map((px) => px * boost));
        for (const path of lines) { pen.stroke(path); if (lines.length > 1) yield; }
        for (const path of areas) pen.stroke(path);
        yield;
      },
      *point(pen, layer, own) {
        const size = layer.size_px * boost, circles = new Path2D();
        if (layer.symbol !== "circle") pen.setTransform(1, 0, 0, 1, 0, 0);
        for (const p of groups.get(own)) {
          if (net.kind[p] !== 0) continue;
          const [x, y] = pointOn(p, frame);
          if (layer.symbol === "circle") {
            circles.moveTo(x + size / 2, y);
            circles.arc(x, y, size / 2, 0, 2 * Math.PI);
          } else drawPoint(pen, layer, x, y, size, ratio);
        }
        pen.setTransform(ratio, 0, 0, ratio, 0, 0);
        pen.fill(circles);
        yield;
      },
    };

    // what needs room on the sheet finds it from the top of the order downwards
    const room = { marks: roomOf(w, h), points: roomOf(w, h) }, marks = new Map(), wishes = [];
    for (const i of order) {
      const layer = layers[i];
      if (layer.draw !== "point" || layer.symbol === "circle") continue;
      for (const own of wanted.get(i)) {
        for (const p of groups.get(own)) if (net.kind[p] === 0) room.points.take(...pointOn(p, frame), layer.size_px * boost * 0.4);
      }
    }
    for (const i of [...order].reverse()) {
      const layer = layers[i];
      if (layer.draw === "label") {
        for (const own of wanted.get(i)) for (const p of groups.get(own)) wishes.push({ layer, p });
      }
      if (layer.draw !== "marker") continue;
      const own = [];
      for (const l of wanted.get(i)) {
        let count = 0;
        for (const p of groups.get(l)) {
          if (net.kind[p] === 0) continue;
          placeMarks(layer, p, frame, w, h, boost, room, own);
          if ((count += 1) % 100 === 0) yield;
        }
      }
      marks.set(i, own);
      yield;
    }
    const placed = yield* placeLabels(wishes, frame, w, h, boost, room);

    const same = (a, b) => a.part === b.part && a.colour === b.colour && a.opacity === b.opacity;
    for (let at = 0; at < order.length;) {
      const layer = layers[order[at]];
      let end = at + 1;
      while (end < order.length && same(layers[order[end]], layer)) end += 1;
      const drawn = order.slice(at, end);
      at = end;
      if (layer.draw === "label") continue;
      if (layer.draw === "marker") {
        for (const i of drawn) {
          const spots = marks.get(i);
          for (let n = 0; n < spots.length; n += 3) {
            drawMark(ink, layers[i], spots[n], spots[n + 1], spots[n + 2], layers[i].size_px * boost, ratio);
          }
        }
        ink.globalAlpha = 1;
        ink.setTransform(ratio, 0, 0, ratio, 0, 0);
        yield;
        continue;
      }
      const all = function* (pen) {
        for (const i of drawn) {
          for (const own of wanted.get(i)) {
            pen.strokeStyle = pen.fillStyle = layer.colour;
            yield* draws[layer.draw](pen, layers[i], own);
          }
        }
      };
      if (layer.opacity < VEIL && layer.draw !== "point") yield* veiled(ink, w, h, layer.opacity, all);
      else {
        ink.globalAlpha = layer.opacity;
        yield* all(ink);
        ink.globalAlpha = 1;
      }
    }
    for (const label of placed) drawLabel(ink, label, boost, ratio);
    ink.setTransform(ratio, 0, 0, ratio, 0, 0);
    ink.globalAlpha = 1;
    ink.setLineDash([]);
  };

  // ---------------------------------------------------------------- samples of the legend

  const SAMPLE_SCALE = 1000 / (500 * style.pixel_mm);

  const sampleShape = (form, w, h) => {
    const path = new Path2D();
    if (form === "area") path.rect(5, 3, w - 10, h - 6);
    else {
      path.moveTo(form === "point" ? w / 2 : 3, h / 2);
      path.lineTo(form === "point" ? w / 2 : w - 3, h / 2);
    }
    return path;
  };

  /** Draw a symbol on a small canvas as it is on the map. */
  const sample = (canvas, symbol, form) => {
    const w = 46, h = 24, ratio = 2, ink = canvas.getContext("2d"), path = sampleShape(form, w, h);
    canvas.width = w * ratio;
    canvas.height = h * ratio;
    const drawn = symbols[symbol].map((i) => layers[i]), marks = drawn.filter((layer) => layer.draw === "marker");
    for (const layer of drawn) {
      ink.setTransform(ratio, 0, 0, ratio, 0, 0);
      ink.globalAlpha = layer.opacity;
      ink.strokeStyle = ink.fillStyle = layer.colour;
      ink.setLineDash(layer.dash_px ?? []);
      ink.lineJoin = "round";
      ink.lineCap = layer.cap ?? "butt";
      if (layer.draw === "stroke" || layer.draw === "corridor") {
        ink.lineWidth = layer.width_px ?? 2 * layer.half_width_m * SAMPLE_SCALE;
        ink.stroke(path);
      } else if (layer.draw === "fill") {
        ink.fillStyle = paintOf(ink, layer, 1);
        ink.fill(path);
      } else if (layer.draw === "marker") {
        drawMark(ink, layer, w * (marks.indexOf(layer) + 1) / (marks.length + 1), h / 2, 0, layer.size_px, ratio);
      } else if (layer.draw === "point" && layer.symbol !== "circle") {
        ink.setTransform(1, 0, 0, 1, 0, 0);
        drawPoint(ink, layer, w / 2, h / 2, Math.min(18, layer.size_px), ratio);
      } else if (layer.draw === "point") {
        ink.beginPath();
        ink.arc(w / 2, h / 2, Math.min(h / 2, layer.size_px / 2), 0, 2 * Math.PI);
        ink.fill();
      }
    }
  };

  return { paint, sample, widthPx, corridorM, symbolOf: (f, scale) => symbolOf(f, scale).map((i) => layers[i]) };
};

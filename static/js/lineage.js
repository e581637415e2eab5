// Lineage, left to right: boxes that are links, joined by arrows. Plain SVG, styled by portal.css.
const SVG = "http://www.w3.org/2000/svg";
const BOX = { width: 212, height: 52, gapX: 44, gapY: 18, pad: 6 };
const SMALLEST = 0.75; // below this the letters would be hard to read: the picture scrolls instead

const words = (text) => String(text ?? "").replaceAll("_", " ").replace(/^./, (letter) => letter.toUpperCase());
const cut = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

function make(name, attributes = {}, text = "") {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text) element.textContent = text;
  return element;
}

// Column of each node: its longest path from a source. Lineage has no cycles; the bound keeps a broken one finite.
function depths(data) {
  const depth = new Map(data.nodes.map((node) => [String(node.id), 0]));
  for (let round = 0; round < data.nodes.length; round += 1) {
    let moved = false;
    for (const { source, target } of data.edges) {
      const next = (depth.get(String(source)) ?? 0) + 1;
      if (depth.has(String(target)) && next > depth.get(String(target)) && next < data.nodes.length) {
        depth.set(String(target), next);
        moved = true;
      }
    }
    if (!moved) break;
  }
  return depth;
}

// Columns of boxes and of empty places that keep a way free for the edges which pass a column (K. Sugiyama's layered
// drawing: one sweep that puts everything near the middle of what it comes from).
function layout(data) {
  const depth = depths(data);
  const columns = Array.from({ length: Math.max(...depth.values()) + 1 }, () => []);
  const from = new Map();
  const link = (target, source) => from.set(target, [...(from.get(target) ?? []), source]);
  for (const node of data.nodes) columns[depth.get(String(node.id))].push({ id: String(node.id), node });
  const ways = data.edges
    .map((edge) => ({ ...edge, source: String(edge.source), target: String(edge.target) }))
    .filter((edge) => depth.has(edge.source) && depth.has(edge.target))
    .map((edge, index) => {
      const via = [];
      for (let level = depth.get(edge.source) + 1; level < depth.get(edge.target); level += 1) {
        const id = `way ${index} ${level}`;
        columns[level].push({ id });
        link(id, via.at(-1) ?? edge.source);
        via.push(id);
      }
      link(edge.target, via.at(-1) ?? edge.source);
      return { ...edge, via };
    });
  const middle = new Map();
  for (const column of columns) {
    const wish = (item) => {
      const sources = (from.get(item.id) ?? []).map((id) => middle.get(id)).filter((y) => y !== undefined);
      return sources.length ? sources.reduce((sum, y) => sum + y, 0) / sources.length : 0;
    };
    const wishes = new Map(column.map((item) => [item, wish(item)]));
    column.sort((one, other) => wishes.get(one) - wishes.get(other));
    const tall = column.reduce((sum, item) => sum + room(item), 0);
    let y = -tall / 2;
    for (const item of column) {
      middle.set(item.id, y + room(item) / 2);
      y += room(item);
    }
  }
  return { columns, ways, middle };
}

const room = (item) => (item.node ? BOX.height + BOX.gapY : BOX.gapY + 6);

export function drawLineage(element, data) {
  const { columns, ways, middle } = layout(data);
  const height = Math.max(...columns.map((column) => column.reduce((sum, item) => sum + room(item), 0))) - BOX.gapY + 2 * BOX.pad;
  const width = columns.length * (BOX.width + BOX.gapX) - BOX.gapX + 2 * BOX.pad;
  const scale = Math.max(SMALLEST, Math.min(1, (element.clientWidth || width) / width));
  const svg = make("svg", { width: width * scale, height: height * scale, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "xMinYMid meet" });
  const marker = make("marker", { id: "lineage-arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, orient: "auto" });
  marker.append(make("path", { d: "M0 0 8 4 0 8z", class: "lineage-arrow" }));
  const defs = make("defs");
  defs.append(marker);
  svg.append(defs);

  const places = new Map();
  columns.forEach((column, level) => {
    for (const item of column) places.set(item.id, { x: BOX.pad + level * (BOX.width + BOX.gapX), y: height / 2 + middle.get(item.id) });
  });
  for (const way of ways) {
    const path = make("path", { class: "lineage-edge", d: course(way, places), "marker-end": "url(#lineage-arrow)" });
    if (way.relation) path.append(make("title", {}, words(way.relation)));
    svg.append(path);
  }
  for (const { id, node } of columns.flat()) {
    if (node) svg.append(box(node, { x: places.get(id).x, y: places.get(id).y - BOX.height / 2 }));
  }
  element.classList.add("lineage");
  element.setAttribute("role", "group");
  element.replaceChildren(svg);
  const current = data.nodes.find((node) => node.current);
  if (current && !element.dataset.placed) {
    element.scrollLeft = (places.get(String(current.id)).x + BOX.width / 2) * scale - element.clientWidth / 2;
  }
  element.dataset.placed = "true"; // later drawings leave the reader where they are
}

// From the right side of a box to the left side of another, straight through the ways kept free between them.
function course({ source, target, via }, places) {
  const start = places.get(source);
  let [x, y] = [start.x + BOX.width, start.y];
  let text = `M${x} ${y}`;
  const curve = (toX, toY) => {
    const bend = Math.max(20, (toX - x) / 2);
    text += `C${x + bend} ${y} ${toX - bend} ${toY} ${toX} ${toY}`;
    [x, y] = [toX, toY];
  };
  for (const id of via) {
    const place = places.get(id);
    curve(place.x, place.y);
    x = place.x + BOX.width;
    text += `L${x} ${y}`;
  }
  const end = places.get(target);
  curve(end.x - 2, end.y);
  return text;
}

function box(node, { x, y }) {
  const group = make(node.url && !node.current ? "a" : "g", {
    class: `lineage-node${node.tone ? ` tone-${node.tone}` : ""}${node.current ? " is-current" : ""}`, transform: `translate(${x} ${y})`,
  });
  if (node.url && !node.current) group.setAttribute("href", node.url);
  const about = [words(node.kind), node.status && words(node.status)].filter(Boolean).join(" · ");
  group.append(
    make("title", {}, `${node.label} (${about})`),
    make("rect", { class: "lineage-box", width: BOX.width, height: BOX.height, rx: 8 }),
    make("rect", { class: "lineage-strip", x: 8, y: 10, width: 3, height: BOX.height - 20, rx: 1.5 }),
    make("text", { class: "lineage-kind", x: 20, y: 20 }, about),
    make("text", { class: "lineage-label", x: 20, y: 38 }, cut(node.label, 25)),
  );
  return group;
}

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
function columns(data) {
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
  const found = [];
  for (const node of data.nodes) {
    const level = depth.get(String(node.id));
    (found[level] ??= []).push(node);
  }
  return found.map((column) => column ?? []);
}

export function drawLineage(element, data) {
  const levels = columns(data);
  const tallest = Math.max(...levels.map((column) => column.length));
  const step = BOX.height + BOX.gapY;
  const width = levels.length * (BOX.width + BOX.gapX) - BOX.gapX + 2 * BOX.pad;
  const height = tallest * step - BOX.gapY + 2 * BOX.pad;
  const scale = Math.max(SMALLEST, Math.min(1, (element.clientWidth || width) / width));
  const svg = make("svg", { width: width * scale, height: height * scale, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "xMinYMid meet" });
  const marker = make("marker", { id: "lineage-arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, orient: "auto" });
  marker.append(make("path", { d: "M0 0 8 4 0 8z", class: "lineage-arrow" }));
  const defs = make("defs");
  defs.append(marker);
  svg.append(defs);

  const places = new Map();
  levels.forEach((column, level) => {
    const top = (height - (column.length * step - BOX.gapY)) / 2;
    column.forEach((node, row) => places.set(String(node.id), { x: BOX.pad + level * (BOX.width + BOX.gapX), y: top + row * step }));
  });
  for (const { source, target, relation } of data.edges) {
    const from = places.get(String(source));
    const to = places.get(String(target));
    if (!from || !to) continue;
    const [x1, y1, x2, y2] = [from.x + BOX.width, from.y + BOX.height / 2, to.x - 2, to.y + BOX.height / 2];
    const bend = Math.max(24, (x2 - x1) / 2);
    const path = make("path", { class: "lineage-edge", d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`, "marker-end": "url(#lineage-arrow)" });
    if (relation) path.append(make("title", {}, words(relation)));
    svg.append(path);
  }
  for (const node of data.nodes) svg.append(box(node, places.get(String(node.id))));
  element.classList.add("lineage");
  element.setAttribute("role", "group");
  element.replaceChildren(svg);
  const current = data.nodes.find((node) => node.current);
  const place = current && places.get(String(current.id));
  if (place && !element.dataset.placed) element.scrollLeft = (place.x + BOX.width / 2) * scale - element.clientWidth / 2;
  element.dataset.placed = "true"; // later drawings leave the reader where they are
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
    make("text", { class: "lineage-label", x: 20, y: 38 }, cut(node.label, 26)),
  );
  return group;
}

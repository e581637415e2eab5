// Tables that are wider than their place scroll sideways: then the keyboard must reach them too (WCAG 2.1.1).
const AREAS = ".table-responsive";

function update(area) {
  const scrolls = area.scrollWidth > area.clientWidth + 1;
  if (scrolls && !area.hasAttribute("tabindex")) {
    area.tabIndex = 0;
    area.setAttribute("role", "group");
    const title = area.closest("section, .card")?.querySelector(".card-title")?.textContent.trim() ?? "";
    area.setAttribute("aria-label", title ? `${title}, scrolls sideways` : "Table, scrolls sideways");
    area.dataset.scrolls = "";
  } else if (!scrolls && "scrolls" in area.dataset) {
    for (const name of ["tabindex", "role", "aria-label", "data-scrolls"]) area.removeAttribute(name);
  }
}

const watcher = new ResizeObserver((entries) => entries.forEach((entry) => update(entry.target)));

export function wireScrollAreas(root) {
  const found = [...(root.querySelectorAll?.(AREAS) ?? [])];
  if (root.matches?.(AREAS)) found.push(root);
  for (const area of found) {
    update(area);
    watcher.observe(area);
  }
}

// Entry of every page: wires the small modules; each works on what is there and again after HTMX swaps.
import { wireThemeMenus } from "./theme-menu.js";
import { showToast, wireToasts } from "./toasts.js";
import { wireConfirm } from "./confirm.js";
import { wireCopy } from "./copy.js";
import { wireJsonFields } from "./json-field.js";
import { refreshTimes } from "./times.js";
import { wireUploads } from "./upload.js";
import { wireCharts } from "./charts.js";
import { wirePickers } from "./pickers.js";
import { wireScrollAreas } from "./scroll-areas.js";

function wire(root) {
  wireThemeMenus(root);
  wireToasts(root);
  wireCopy(root);
  wireJsonFields(root);
  refreshTimes(root);
  wireUploads(root);
  wireCharts(root);
  wirePickers(root);
  wireScrollAreas(root);
  root.querySelector?.("[data-focus]")?.focus();
}

wireConfirm(document);
wire(document);
setInterval(() => refreshTimes(document), 30000);

document.body.addEventListener("htmx:load", (event) => wire(event.detail.elt));

// Empty filters do not belong into the address.
document.body.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.elt.matches?.("form[data-filters]")) {
    for (const [key, value] of [...event.detail.formData.entries()]) {
      if (value === "") event.detail.formData.delete(key);
    }
  }
});

// What the server wants people to know: HX-Trigger: {"toast": {"text", "tone"}}.
document.body.addEventListener("toast", (event) => showToast(event.detail.text, event.detail.tone));
document.body.addEventListener("toasts", (event) => {
  for (const item of event.detail.value ?? []) showToast(item.text, item.tone);
});
document.body.addEventListener("htmx:responseError", (event) => {
  const { xhr } = event.detail;
  if (xhr.getResponseHeader("HX-Trigger")) return;
  showToast(`The server answered ${xhr.status}. Reload the page; if it stays, tell the operators.`, "danger");
});
document.body.addEventListener("htmx:sendError", () => showToast("The portal does not answer. Is the connection up?", "danger"));

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const search = document.querySelector('[data-shortcut="/"]');
  if (search) {
    event.preventDefault();
    search.focus();
    search.select();
  }
});

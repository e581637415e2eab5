// Short notices in the corner. Successes leave by themselves; problems stay until dismissed.
const LIFETIME = { success: 5000, info: 6000, warning: 12000 };

export function showToast(text, tone = "info") {
  const template = document.getElementById("toast-template");
  const region = document.getElementById("toasts");
  if (!template || !region || !text) return;
  const item = template.content.firstElementChild.cloneNode(true);
  const level = tone === "error" ? "danger" : tone;
  item.classList.add(`tone-${level}`);
  item.querySelector(".toast-text").textContent = text;
  region.append(item);
  arm(item, LIFETIME[level]);
}

export function wireToasts(root) {
  for (const item of root.querySelectorAll("#toasts [data-toast]")) {
    const level = [...item.classList].find((name) => name.startsWith("tone-"))?.slice(5);
    arm(item, LIFETIME[level]);
  }
}

function arm(item, lifetime) {
  item.querySelector("[data-toast-close]")?.addEventListener("click", () => item.remove());
  if (lifetime) setTimeout(() => item.remove(), lifetime);
}

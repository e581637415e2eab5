// Questions before actions, in a <dialog>: hx-confirm="…" for HTMX, data-confirm="…" for plain forms.
// data-confirm-label names the button, data-confirm-tone="danger" colours it.
export function ask(text, { label = "Continue", tone = "primary", title = "Are you sure?" } = {}) {
  const dialog = document.getElementById("confirm-dialog");
  if (!dialog) return Promise.resolve(true);
  dialog.querySelector("#confirm-title").textContent = title;
  dialog.querySelector("#confirm-text").textContent = text;
  const yes = dialog.querySelector("[data-confirm-yes]");
  yes.textContent = label;
  yes.className = `btn btn-${tone}`;
  dialog.returnValue = "cancel";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "confirm"), { once: true });
  });
}

function wording(element) {
  const holder = element.closest("[data-confirm-label], [data-confirm-tone], [data-confirm-title]") ?? element;
  const { confirmLabel: label, confirmTone: tone, confirmTitle: title } = holder.dataset;
  return { ...(label && { label }), ...(tone && { tone }), ...(title && { title }) };
}

export function wireConfirm(root) {
  root.addEventListener("htmx:confirm", (event) => {
    if (!event.detail.question) return;
    event.preventDefault();
    ask(event.detail.question, wording(event.detail.elt)).then((yes) => yes && event.detail.issueRequest(true));
  });
  root.addEventListener("submit", (event) => {
    const form = event.target;
    const text = event.submitter?.dataset.confirm ?? form.dataset.confirm;
    if (!text || form.dataset.confirmed) return;
    event.preventDefault();
    event.stopPropagation();
    const { submitter } = event;
    ask(text, wording(submitter?.dataset.confirm ? submitter : form)).then((yes) => {
      if (!yes) return;
      form.dataset.confirmed = "1";
      form.requestSubmit(submitter);
      delete form.dataset.confirmed;
    });
  }, true);
}

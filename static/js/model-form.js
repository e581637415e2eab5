// The model form: parts that only one type of model has are shown for that type only. Without scripts all are shown.
const form = document.querySelector("[data-model-form]");
const type = form?.querySelector('select[name="type"]');

function show() {
  for (const part of form.querySelectorAll("[data-only-type]")) part.hidden = part.dataset.onlyType !== type.value;
}

if (type) {
  type.addEventListener("change", show);
  show();
}

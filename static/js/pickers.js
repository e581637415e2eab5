// <select data-picker>: searchable select (Tom Select), loaded only where one is on the page.
let library;

function load() {
  library ??= new Promise((resolve, reject) => {
    const base = document.body.dataset.tomSelect;
    if (!base) return reject(new Error("no picker library"));
    const sheet = document.createElement("link");
    sheet.rel = "stylesheet";
    sheet.href = document.body.dataset.tomSelectCss;
    document.head.append(sheet);
    const script = document.createElement("script");
    script.src = base;
    script.onload = () => resolve(window.TomSelect);
    script.onerror = reject;
    document.head.append(script);
  });
  return library;
}

export function wirePickers(root) {
  const fields = [...root.querySelectorAll("select[data-picker]:not(.tomselected)")];
  if (!fields.length) return;
  load().then((TomSelect) => {
    for (const field of fields) {
      const plugins = field.multiple ? ["remove_button"] : [];
      new TomSelect(field, { plugins, maxOptions: 500, hideSelected: field.multiple, copyClassesToDropdown: false });
      // The picker took over the label; the field behind it is for the form only.
      field.setAttribute("aria-hidden", "true");
      field.tabIndex = -1;
    }
  }).catch(() => undefined);  // The plain select stays.
}

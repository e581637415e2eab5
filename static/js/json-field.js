// <textarea data-json>: says while typing whether it is JSON, and indents it when left. Works as plain text without this.
export function wireJsonFields(root) {
  for (const area of root.querySelectorAll("textarea[data-json]:not([data-wired])")) {
    area.dataset.wired = "1";
    area.spellcheck = false;
    const state = document.createElement("p");
    state.className = "json-state";
    state.setAttribute("aria-live", "polite");
    area.after(state);
    const check = (tidy) => {
      const text = area.value.trim();
      let message = "";
      if (text) {
        try {
          const value = JSON.parse(text);
          if (tidy) area.value = JSON.stringify(value, null, 2);
          message = "Valid JSON.";
        } catch (error) {
          message = `Not valid JSON yet: ${error.message}`;
        }
      }
      const bad = message.startsWith("Not");
      state.textContent = message;
      state.classList.toggle("is-bad", bad);
      area.setCustomValidity(bad ? message : "");
      area.rows = Math.min(24, Math.max(5, area.value.split("\n").length + 1));
    };
    area.addEventListener("input", () => check(false));
    area.addEventListener("blur", () => check(true));
    area.addEventListener("keydown", (event) => {
      // Tab leaves the field as everywhere; Ctrl+] indents.
      if (event.key === "]" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        area.setRangeText("  ", area.selectionStart, area.selectionEnd, "end");
      }
    });
    check(true);
  }
}

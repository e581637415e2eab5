// Runs before the first paint: takes the chosen theme (light, dark, auto) and keeps <html> in step with it.
(() => {
  "use strict";
  const KEY = "llmops-theme";
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const read = () => {
    try {
      return localStorage.getItem(KEY) || "auto";
    } catch {
      return "auto";
    }
  };
  const apply = () => {
    const choice = read();
    const theme = choice === "auto" ? (dark.matches ? "dark" : "light") : choice;
    document.documentElement.setAttribute("data-bs-theme", theme);
    document.dispatchEvent(new CustomEvent("portal:theme", { detail: { choice, theme } }));
  };
  window.portalTheme = {
    read,
    choose(choice) {
      try {
        localStorage.setItem(KEY, choice);
      } catch {
        // Private windows may refuse storage: the choice then holds for this page only.
      }
      apply();
    },
  };
  dark.addEventListener("change", apply);
  apply();
})();

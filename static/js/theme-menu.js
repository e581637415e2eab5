// The menu that chooses light, dark or the system's theme.
export function wireThemeMenus(root) {
  for (const menu of root.querySelectorAll("[data-theme-menu]")) {
    const mark = () => {
      for (const item of menu.querySelectorAll("[data-theme-choice]")) {
        item.setAttribute("aria-checked", String(item.dataset.themeChoice === window.portalTheme.read()));
      }
    };
    menu.addEventListener("click", (event) => {
      const choice = event.target.closest("[data-theme-choice]")?.dataset.themeChoice;
      if (choice) window.portalTheme.choose(choice);
    });
    document.addEventListener("portal:theme", mark);
    mark();
  }
}

// Copy buttons: data-copy copies data-copy-text, or the text of the nearest [data-copy-source].
import { showToast } from "./toasts.js";

export function wireCopy(root) {
  for (const button of root.querySelectorAll("[data-copy]:not([data-wired])")) {
    button.dataset.wired = "1";
    button.addEventListener("click", async () => {
      const source = button.dataset.copyText ?? button.parentElement.querySelector("[data-copy-source]")?.textContent ?? "";
      try {
        await navigator.clipboard.writeText(source);
        showToast("Copied.", "success");
      } catch {
        showToast("The browser did not allow copying. Select the text and copy it by hand.", "warning");
      }
    });
  }
}

// Live logs: <pre class="log" data-log-url="…">. The address answers {"text", "offset", "nextOffset", "active"} for
// ?offset=…; a negative offset counts from the end. It is asked again until "active" is false and nothing is left.
// The view stays at the end unless the reader has scrolled up.
const LIMIT = 400_000;
const PAUSE = 1500;

class Log {
  constructor(element) {
    this.element = element;
    this.offset = -65536;
    this.read();
  }

  async read() {
    if (!this.element.isConnected) return;
    let wait = PAUSE;
    try {
      const url = new URL(this.element.dataset.logUrl, window.location.href);
      url.searchParams.set("offset", this.offset);
      const answer = await fetch(url, { headers: { Accept: "application/json" }, credentials: "same-origin" });
      if (!answer.ok) throw new Error(String(answer.status));
      const { text, nextOffset, active } = await answer.json();
      this.offset = nextOffset;
      this.append(text);
      if (!active && !text) return this.finish();
      if (text) wait = active ? PAUSE / 2 : 0;
    } catch (error) {
      this.element.dataset.logState = `The log could not be read (${error.message}); trying again.`;
      wait = PAUSE * 4;
    }
    setTimeout(() => this.read(), wait);
  }

  append(text) {
    if (!text) return;
    const { element } = this;
    const atEnd = element.scrollTop + element.clientHeight >= element.scrollHeight - 40;
    element.classList.remove("is-empty");
    const all = (element.dataset.logStarted ? element.textContent : "") + text;
    element.dataset.logStarted = "1";
    element.textContent = all.length > LIMIT ? all.slice(all.indexOf("\n", all.length - LIMIT) + 1) : all;
    if (atEnd) element.scrollTop = element.scrollHeight;
  }

  finish() {
    if (!this.element.dataset.logStarted) this.element.textContent = "It wrote nothing.";
  }
}

export function wireLogs(root) {
  for (const element of root.querySelectorAll("[data-log-url]:not([data-wired])")) {
    element.dataset.wired = "1";
    new Log(element);
  }
}

wireLogs(document);
document.addEventListener("htmx:afterSettle", (event) => wireLogs(event.target));

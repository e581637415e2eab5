// The upload form: files are dropped or chosen, sent in pieces with progress, pause, continue and cancel, then taken all
// together; what is wrong with them is listed below. Without this script the form sends them in one request.
import { call, forget, Upload } from "./upload-pieces.js";

const OPERATIONS = "/llm-ops/v1/operations/";
const POLL = 1200;
const SENT = ["received", "absent", "finishing", "refused", "cancelled"];

export function wireUploads(root) {
  for (const form of root.querySelectorAll("form[data-upload-api]:not([data-wired])")) {
    form.dataset.wired = "1";
    new UploadForm(form);
  }
}

class UploadForm {
  constructor(form) {
    this.form = form;
    this.api = form.dataset.uploadApi;
    this.csrf = form.querySelector('[name="csrfmiddlewaretoken"]').value;
    this.input = form.querySelector('input[type="file"]');
    this.list = form.querySelector("[data-upload-list]");
    this.drop = form.querySelector("[data-upload-drop]");
    this.problems = form.querySelector("[data-upload-problems]");
    this.said = form.querySelector("[data-upload-said]");
    this.button = form.querySelector('button[type="submit"]');
    this.rows = new Map();
    this.input.required = false; // files of an earlier visit may be all there is
    this.input.addEventListener("change", () => {
      this.choose([...this.input.files]);
      this.input.value = "";
    });
    for (const name of ["dragover", "dragenter"]) {
      this.drop.addEventListener(name, (event) => {
        event.preventDefault();
        this.drop.classList.add("is-over");
      });
    }
    this.drop.addEventListener("dragleave", () => this.drop.classList.remove("is-over"));
    this.drop.addEventListener("drop", (event) => {
      event.preventDefault();
      this.drop.classList.remove("is-over");
      this.choose([...event.dataTransfer.files]);
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    // Leaving in the middle loses nothing that was sent, but the person should mean it.
    window.addEventListener("beforeunload", (event) => {
      if ([...this.rows.keys()].some((upload) => upload.state === "sending")) event.preventDefault();
    });
    this.resume();
    this.refresh();
  }

  // What an earlier visit left: whole files, begun ones that want their file again, files that are being taken.
  async resume() {
    const { data } = await call(this.csrf, "GET", `${this.api}?limit=200`).catch(() => ({ data: [] }));
    const open = data.filter((session) => ["receiving", "received", "finishing"].includes(session.status)).reverse();
    for (const session of open) this.add(Upload.known(this.api, this.csrf, session, (upload) => this.draw(upload)));
    const operation = open.find((session) => session.status === "finishing")?.operationId;
    if (operation) this.follow(operation);
  }

  choose(files) {
    for (const file of files) {
      const begun = [...this.rows.keys()].find((upload) => upload.state === "absent" && upload.fits(file));
      if (begun) {
        begun.file = file;
        begun.set("waiting");
        continue;
      }
      // Within one upload names are unique: a file chosen again replaces the earlier one.
      for (const earlier of [...this.rows.keys()]) {
        if (earlier.name === file.name && earlier.state !== "finishing") earlier.cancel();
      }
      this.add(new Upload(this.api, this.csrf, file, (upload) => this.draw(upload)));
    }
    this.tell(`${files.length} ${files.length === 1 ? "file" : "files"} chosen.`);
  }

  add(upload) {
    const item = element("li", "upload-file");
    const parts = {
      item,
      name: element("span", "upload-file-name", upload.name),
      state: element("span", "upload-file-state"),
      meter: element("progress", "meter tone-info"),
      actions: element("span", "upload-file-actions"),
      hold: this.action("Pause", upload, () => (upload.state === "sending" ? upload.pause() : this.sendOne(upload))),
      cancel: this.action("Remove", upload, () => upload.cancel()),
    };
    parts.meter.max = 100;
    parts.meter.setAttribute("aria-label", `Upload of ${upload.name}`);
    parts.actions.append(parts.hold, parts.cancel);
    item.append(parts.name, parts.state, parts.meter, parts.actions);
    this.list.append(item);
    this.rows.set(upload, parts);
    this.draw(upload);
  }

  action(text, upload, act) {
    const button = element("button", "btn btn-quiet btn-sm", text);
    button.type = "button";
    button.addEventListener("click", act);
    return button;
  }

  draw(upload) {
    const parts = this.rows.get(upload);
    if (!parts) return;
    if (upload.state === "cancelled") {
      parts.item.remove();
      this.rows.delete(upload);
      forget(upload.id);
      this.tell(`${upload.name} removed.`);
      this.refresh();
      return;
    }
    const done = upload.state === "sending" ? (upload.shown ?? upload.offset) : upload.offset;
    const percent = upload.size ? Math.min(100, (100 * done) / upload.size) : 0;
    parts.meter.value = percent;
    parts.item.classList.toggle("tone-danger", ["failed", "refused"].includes(upload.state));
    parts.item.classList.toggle("tone-success", upload.state === "received");
    parts.state.textContent = words(upload, done, percent);
    const sending = upload.state === "sending";
    parts.hold.hidden = !(sending || upload.state === "paused" || upload.state === "failed");
    parts.hold.textContent = sending ? "Pause" : upload.state === "paused" ? "Continue" : "Try again";
    parts.hold.setAttribute("aria-label", `${parts.hold.textContent}: ${upload.name}`);
    parts.cancel.hidden = upload.state === "finishing";
    parts.cancel.setAttribute("aria-label", `Remove ${upload.name}`);
    this.refresh();
  }

  refresh() {
    const states = [...this.rows.keys()].map((upload) => upload.state);
    const busy = this.busy || states.some((state) => state === "sending" || state === "finishing");
    this.button.disabled = busy || !states.some((state) => !["absent", "refused", "cancelled"].includes(state));
  }

  async sendOne(upload) {
    await upload.run();
    if (this.waits && !this.unsent().length) this.take();
  }

  unsent() {
    return [...this.rows.keys()].filter((upload) => !SENT.includes(upload.state));
  }

  async send() {
    if (this.busy) return;
    this.waits = true;
    this.problems.replaceChildren();
    // One after the other: the line is the bottleneck, and the first files are safe sooner.
    for (const upload of this.unsent()) {
      await upload.run();
      if (upload.state === "received") this.tell(`${upload.name} sent.`);
    }
    if (!this.unsent().length) await this.take();
    else this.tell("Not all files were sent. Try again or remove what failed.");
  }

  async take() {
    const ready = [...this.rows.keys()].filter((upload) => upload.state === "received");
    if (!ready.length || this.busy) return;
    this.waits = false;
    this.busy = true;
    this.refresh();
    this.tell("All sent. Checking …");
    try {
      const { data } = await call(this.csrf, "POST", `${this.api}/complete`, { uploadIds: ready.map((one) => one.id) });
      for (const upload of ready) upload.set("finishing", "Being checked");
      if (data.status === "succeeded") this.finished();
      else await this.follow(data.id);
    } catch (problem) {
      for (const upload of ready) upload.set("finishing");
      this.refused(problem.message, problem.errors ?? []);
    }
  }

  async follow(operation) {
    this.busy = true;
    this.refresh();
    const taking = [...this.rows.keys()].filter((upload) => upload.state === "finishing");
    let silent = 0;
    while (silent < 20) {
      try {
        const { data } = await call(this.csrf, "GET", OPERATIONS + operation);
        silent = 0;
        if (data.status === "succeeded") return this.finished();
        if (["failed", "cancelled"].includes(data.status)) return this.refused(data.message, data.result?.errors ?? []);
        for (const upload of taking) {
          upload.message = `${data.message} (${data.progress} %)`;
          this.draw(upload);
          this.rows.get(upload).meter.value = data.progress;
        }
      } catch {
        silent += 1;
      }
      await new Promise((resolve) => setTimeout(resolve, POLL));
    }
    return this.refused("The portal does not say how far it is. Reload the page.", []);
  }

  finished() {
    for (const upload of this.rows.keys()) forget(upload.id);
    this.tell("Taken. The checks have started.");
    window.location.assign(this.form.dataset.uploadNext || window.location.href.split("#")[0]);
  }

  refused(message, errors) {
    this.busy = false;
    for (const upload of this.rows.keys()) {
      if (upload.state !== "finishing") continue;
      if (errors.some((error) => error.message.startsWith(upload.name))) upload.set("refused", "Refused, see below");
      else upload.set("received");
    }
    const notice = element("div", "notice tone-danger");
    notice.setAttribute("role", "alert");
    const body = element("div");
    body.append(element("p", "notice-title", message));
    if (errors.length > 1) {
      const list = element("ul", "notice-list");
      list.append(...errors.map((error) => element("li", "break-anywhere", error.message)));
      body.append(list);
    }
    body.append(element("p", "", "Nothing was taken. Remove the file that is wrong, choose the mended one and upload again; the others need not be sent again."));
    notice.append(body);
    this.problems.replaceChildren(notice);
    this.refresh();
  }

  tell(text) {
    this.said.textContent = text;
  }
}

function words(upload, done, percent) {
  if (upload.message) return upload.message;
  switch (upload.state) {
    case "sending":
      return `${size(done)} of ${size(upload.size)}, ${Math.floor(percent)} %`;
    case "paused":
      return `Paused at ${size(done)} of ${size(upload.size)}`;
    case "absent":
      return `${size(done)} of ${size(upload.size)} were sent. Choose the file again to go on.`;
    case "received":
      return `${size(upload.size)}, sent`;
    case "finishing":
      return "Being checked";
    default:
      return size(upload.size);
  }
}

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = -1;
  do {
    value /= 1024;
    unit += 1;
  } while (value >= 1024 && unit < units.length - 1);
  return `${value.toFixed(1)} ${units[unit]}`;
}

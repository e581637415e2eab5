// One file sent in pieces to ".../uploads": survives broken connections and, with the same file chosen
// again, a reload. Tells its owner of every change by `changed(upload)`; draws nothing.
const WAITS = [1000, 2000, 4000, 8000, 15000, 15000, 30000];

export class Upload {
  constructor(api, csrf, file, changed) {
    Object.assign(this, { api, csrf, file, changed, id: null, offset: 0, state: "waiting", message: "" });
    this.name = file.name;
    this.size = file.size;
  }

  // An upload that the portal knows already; `file` comes when the person chooses it again.
  static known(api, csrf, session, changed) {
    const upload = new Upload(api, csrf, { name: session.filename, size: session.size }, changed);
    upload.file = null;
    upload.adopt(session);
    return upload;
  }

  adopt(session) {
    this.id = session.id;
    this.offset = session.offset;
    this.step = session.chunkSize;
    this.operation = session.operationId;
    if (session.status === "received") this.set("received");
    else if (session.status === "finishing") this.set("finishing");
    else this.set(this.file ? this.state : "absent");
  }

  // Whether `file` looks like the one that was begun: name, size and, where remembered, its time.
  fits(file) {
    const time = remembered(this.id);
    return file.name === this.name && file.size === this.size && (time === null || time === String(file.lastModified));
  }

  set(state, message = "") {
    this.state = state;
    this.message = message;
    this.changed(this);
  }

  async run() {
    if (!["waiting", "paused", "failed"].includes(this.state)) return;
    this.set("sending");
    let failures = 0;
    while (this.state === "sending") {
      try {
        if (this.id === null) await this.begin();
        if (this.offset >= this.size) break;
        await this.piece();
        failures = 0;
      } catch (problem) {
        if (this.state !== "sending") return;
        if (problem.final || failures >= WAITS.length) {
          this.set("failed", problem.message);
          return;
        }
        this.message = `${problem.message} Trying again …`;
        this.changed(this);
        await new Promise((resolve) => setTimeout(resolve, WAITS[failures]));
        failures += 1;
        if (this.state === "sending") await this.find().catch(() => {});
      }
    }
    if (this.state === "sending") this.set("received");
  }

  async begin() {
    const { data } = await this.call("POST", this.api, { filename: this.name, size: this.size });
    this.adopt(data);
    remember(this.id, this.file.lastModified);
  }

  // Where the portal is, after a break.
  async find() {
    if (this.id === null) return;
    const { data } = await this.call("GET", `${this.api}/${this.id}`);
    this.adopt(data);
  }

  piece() {
    const from = this.offset;
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      this.request = request;
      request.open("PATCH", `${this.api}/${this.id}`);
      request.setRequestHeader("X-CSRFToken", this.csrf);
      request.setRequestHeader("Content-Type", "application/offset+octet-stream");
      request.setRequestHeader("Upload-Offset", String(from));
      request.upload.addEventListener("progress", (event) => {
        this.shown = from + event.loaded;
        this.message = "";
        this.changed(this);
      });
      request.addEventListener("load", () => {
        const offset = Number(request.getResponseHeader("Upload-Offset") ?? NaN);
        // A 409 that names an offset only says that we lost count.
        if (Number.isInteger(offset) && (request.status < 300 || request.status === 409)) {
          this.offset = this.shown = offset;
          resolve();
        } else reject(trouble(request.status, request.responseText));
      });
      request.addEventListener("error", () => reject(new Error("The connection broke.")));
      request.addEventListener("abort", () => reject(new Error("Stopped.")));
      request.send(this.file.slice(from, from + this.step));
    });
  }

  pause() {
    if (this.state !== "sending") return;
    this.set("paused");
    this.request?.abort();
  }

  async cancel() {
    this.state = "cancelled";
    this.request?.abort();
    if (this.id !== null) await this.call("DELETE", `${this.api}/${this.id}`).catch(() => {});
    this.set("cancelled");
  }

  call(method, address, body) {
    return call(this.csrf, method, address, body);
  }
}

// A call of the portal's API; gives the envelope, throws its message (`final`: no use in trying again; `errors`: details).
export async function call(csrf, method, address, body) {
  const answer = await fetch(address, {
    method,
    headers: { "X-CSRFToken": csrf, ...(body ? { "Content-Type": "application/json" } : {}) },
    body: body ? JSON.stringify(body) : undefined,
  }).catch(() => {
    throw new Error("The portal does not answer.");
  });
  const text = await answer.text();
  if (!answer.ok) throw trouble(answer.status, text);
  return JSON.parse(text);
}

function trouble(status, text) {
  let envelope = {};
  try {
    envelope = JSON.parse(text);
  } catch {
    // A proxy in between answered; its page says nothing to people.
  }
  const problem = new Error(envelope.message || `The portal answered ${status}.`);
  problem.final = status >= 400 && status < 500 && ![408, 425, 429, 460].includes(status);
  problem.errors = envelope.data?.errors ?? [];
  return problem;
}

function remember(id, time) {
  try {
    localStorage.setItem(`upload:${id}`, String(time));
  } catch {
    // No storage: name and size have to do.
  }
}

function remembered(id) {
  try {
    return localStorage.getItem(`upload:${id}`);
  } catch {
    return null;
  }
}

export function forget(id) {
  try {
    localStorage.removeItem(`upload:${id}`);
  } catch {
    // Nothing was kept.
  }
}

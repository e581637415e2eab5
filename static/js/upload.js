// Uploads with drag-and-drop and progress per file: one multipart POST per file to the form's address.
// The server answers 2xx (optionally HX-Redirect), or an error whose text is shown at the file.
export function wireUploads(root) {
  for (const form of root.querySelectorAll("form[data-upload]:not([data-wired])")) {
    form.dataset.wired = "1";
    const input = form.querySelector('input[type="file"]');
    const list = form.querySelector("[data-upload-list]");
    const drop = form.querySelector("[data-upload-drop]");
    const button = form.querySelector('button[type="submit"]');
    let rows = [];

    const choose = (files) => {
      rows = [...files].map((file) => row(list, file));
    };
    input.addEventListener("change", () => {
      list.replaceChildren();
      choose(input.files);
    });
    for (const name of ["dragover", "dragenter"]) {
      drop.addEventListener(name, (event) => {
        event.preventDefault();
        drop.classList.add("is-over");
      });
    }
    drop.addEventListener("dragleave", () => drop.classList.remove("is-over"));
    drop.addEventListener("drop", (event) => {
      event.preventDefault();
      drop.classList.remove("is-over");
      input.files = event.dataTransfer.files;
      input.dispatchEvent(new Event("change"));
    });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (!rows.length) return;
      button.disabled = true;
      let target = null;
      let failed = false;
      // "Together": all files in one request, where the server checks them as a set (data-upload="together").
      const batches = form.dataset.upload === "together" ? [rows] : rows.filter((item) => !item.done).map((item) => [item]);
      for (const batch of batches) {
        const answer = await send(form, batch);
        failed ||= !answer.ok;
        target = answer.target ?? target;
      }
      button.disabled = false;
      if (!failed) window.location.assign(target ?? form.dataset.uploadNext ?? window.location.href);
    });
  }
}

function row(list, file) {
  const item = document.createElement("li");
  item.className = "upload-file";
  const name = document.createElement("span");
  name.className = "upload-file-name";
  name.textContent = file.name;
  const state = document.createElement("span");
  state.className = "upload-file-state";
  state.textContent = size(file.size);
  const meter = document.createElement("progress");
  meter.className = "meter tone-info";
  meter.max = 100;
  meter.value = 0;
  meter.setAttribute("aria-label", `Upload of ${file.name}`);
  item.append(name, state, meter);
  list.append(item);
  return { file, item, state, meter, done: false };
}

function send(form, batch) {
  return new Promise((resolve) => {
    const body = new FormData();
    for (const [key, value] of new FormData(form).entries()) {
      if (!(value instanceof File)) body.append(key, value);
    }
    const field = form.querySelector('input[type="file"]').name;
    for (const { file } of batch) body.append(field, file, file.name);
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("X-Requested-With", "XMLHttpRequest");
    request.setRequestHeader("HX-Request", "true");
    const total = batch.reduce((sum, { file }) => sum + file.size, 0) || 1;
    request.upload.addEventListener("progress", (event) => {
      const percent = Math.min(100, (100 * event.loaded) / (event.total || total));
      for (const { meter, state } of batch) {
        meter.value = percent;
        state.textContent = percent < 100 ? `${Math.round(percent)} %` : "Checking …";
      }
    });
    const finish = (ok, text, target) => {
      for (const item of batch) {
        item.done = ok;
        item.meter.value = ok ? 100 : 0;
        item.item.classList.add(ok ? "tone-success" : "tone-danger");
        item.item.classList.remove(ok ? "tone-danger" : "tone-success");
        item.state.textContent = text;
      }
      resolve({ ok, target });
    };
    request.addEventListener("load", () => {
      const ok = request.status < 400;
      const problems = form.querySelector("[data-upload-problems]");
      // What exactly is wrong comes as HTML of our own templates; the toast's sentence stands at the file.
      const told = request.status < 500 && !/^\s*<!doctype/i.test(request.responseText);
      if (problems) problems.innerHTML = !ok && told ? request.responseText : "";
      const said = problems?.childElementCount ? "Refused, see below" : reason(request);
      finish(ok, ok ? "Uploaded" : said, request.getResponseHeader("HX-Redirect"));
    });
    request.addEventListener("error", () => finish(false, "The connection broke. Send it again."));
    request.send(body);
  });
}

function reason(request) {
  try {
    const { toast } = JSON.parse(request.getResponseHeader("HX-Trigger") ?? "{}");
    if (toast?.text) return toast.text;
  } catch {
    // No machine-readable reason: fall through to the status.
  }
  return request.status === 413 ? "The file is too large." : `Refused (${request.status}).`;
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

// Chat with an endpoint: streams the answer by fetch and ReadableStream over the same path that programs call,
// with the session's cookie and its CSRF token. The conversation lives in this page only.

const root = document.querySelector("[data-chat]");
const settings = root.querySelector(".chat-settings");
const log = root.querySelector("[data-chat-log]");
const welcome = root.querySelector("[data-chat-welcome]");
const entry = root.querySelector("[data-chat-entry]");
const text = entry.querySelector("textarea");
const send = entry.querySelector("[data-chat-send]");
const stop = entry.querySelector("[data-chat-stop]");
const state = root.querySelector("[data-chat-state]");
const degree = root.querySelector("[data-chat-temperature]");

let history = [];
let running = null;

function element(tag, className, content = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = content;
  return made;
}

function addMessage(role, content) {
  welcome.hidden = true;
  const item = element("li", `chat-message is-${role}`);
  const bubble = element("div", "chat-bubble", content);
  item.append(element("div", "chat-who", role === "user" ? "You" : chosen().text.split(" · ")[0]), bubble);
  log.append(item);
  item.scrollIntoView({ block: "end" });
  return { item, bubble };
}

function chosen() {
  return settings.elements.endpoint.selectedOptions[0];
}

function showState() {
  const option = chosen();
  state.textContent = option.dataset.serving === "true" ? "" : `It does not answer now. ${option.dataset.detail}`;
}

function request() {
  const instruction = settings.elements.system.value.trim();
  const messages = instruction ? [{ role: "system", content: instruction }, ...history] : history;
  const tokens = Number.parseInt(settings.elements.max_tokens.value, 10);
  return {
    messages,
    temperature: Number.parseFloat(settings.elements.temperature.value),
    ...(Number.isFinite(tokens) ? { max_tokens: tokens } : {}),
    stream: true,
  };
}

async function ask(question) {
  history.push({ role: "user", content: question });
  addMessage("user", question);
  const answer = addMessage("assistant", "");
  answer.item.classList.add("is-running");
  running = new AbortController();
  setBusy(true);
  const began = performance.now();
  const seen = { content: "", first: 0, usage: null, problem: "" };
  try {
    const option = chosen();
    const response = await fetch(`${option.value}/chat?environment=${option.dataset.environment}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": root.dataset.csrf },
      credentials: "same-origin",
      body: JSON.stringify(request()),
      signal: running.signal,
    });
    if (!response.ok) {
      seen.problem = await explanation(response);
    } else {
      await read(response.body, seen, answer.bubble, began);
    }
  } catch (error) {
    seen.problem = error.name === "AbortError" ? "" : "The connection broke. Try again.";
    seen.stopped = error.name === "AbortError";
  }
  finish(answer, seen, performance.now() - began);
}

async function explanation(response) {
  if (response.status === 401) return "Your session has ended. Reload the page and sign in.";
  try {
    return (await response.json()).message;
  } catch {
    return `The portal answered ${response.status}.`;
  }
}

async function read(body, seen, bubble, began) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) take(event, seen, began);
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    bubble.textContent = seen.content;
    if (atEnd) log.scrollTop = log.scrollHeight;
  }
}

function take(event, seen, began) {
  const data = event.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim()).join("");
  if (!data || data === "[DONE]") return;
  const chunk = JSON.parse(data);
  if (chunk.error) {
    seen.problem = chunk.error.message;
    return;
  }
  if (chunk.usage) seen.usage = chunk.usage;
  const piece = chunk.choices?.[0]?.delta?.content;
  if (piece) {
    seen.first ||= performance.now() - began;
    seen.content += piece;
  }
}

function finish(answer, seen, elapsed) {
  answer.item.classList.remove("is-running");
  answer.bubble.textContent = seen.content || (seen.problem ? "" : "(no answer)");
  answer.bubble.hidden = !answer.bubble.textContent;
  if (seen.problem) {
    answer.item.classList.add("is-failed");
    const problem = element("div", "chat-problem", seen.problem);
    problem.setAttribute("role", "alert");
    answer.item.append(problem);
  }
  const facts = [`${(elapsed / 1000).toFixed(1)} s`];
  if (seen.first) facts.push(`first word after ${(seen.first / 1000).toFixed(1)} s`);
  if (seen.usage) facts.push(`${seen.usage.prompt_tokens} tokens read, ${seen.usage.completion_tokens} written`);
  if (seen.stopped) facts.push("stopped");
  answer.item.append(element("div", "chat-facts", facts.join(" · ")));
  if (seen.content) {
    history.push({ role: "assistant", content: seen.content });
  } else {
    history.pop();
  }
  running = null;
  setBusy(false);
  log.scrollTop = log.scrollHeight;
  text.focus();
}

function setBusy(busy) {
  send.disabled = busy;
  stop.hidden = !busy;
  log.setAttribute("aria-busy", String(busy));
}

entry.addEventListener("submit", (event) => {
  event.preventDefault();
  const question = text.value.trim();
  if (!question || running) return;
  text.value = "";
  ask(question);
});
text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    entry.requestSubmit();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && running) running.abort();
});
stop.addEventListener("click", () => running?.abort());
document.querySelector("[data-chat-clear]").addEventListener("click", () => {
  running?.abort();
  history = [];
  log.replaceChildren();
  welcome.hidden = false;
  text.focus();
});
settings.addEventListener("submit", (event) => event.preventDefault());
settings.elements.temperature.addEventListener("input", (event) => {
  degree.textContent = event.target.value;
});
settings.elements.endpoint.addEventListener("change", showState);
degree.textContent = settings.elements.temperature.value;
showState();
text.focus();

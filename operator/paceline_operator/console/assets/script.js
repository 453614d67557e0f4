// The page is live: on each event it fetches itself anew and replaces `main`. Without the operator it says so and keeps
// what it shows.
"use strict";

const live = document.getElementById("live");
const trouble = document.getElementById("trouble");
let fetching = false;
let again = false;
let heard = Date.now();
let events = null;
let waiting = 0;

function say(state, text) {
  live.className = `live ${state}`;
  live.textContent = text;
}

function complain(text) {
  trouble.textContent = text;
  trouble.hidden = text === "";
}

function filter() {
  const field = document.getElementById("filter");
  if (!field) return;
  const wanted = field.value.trim().toLowerCase();
  for (const row of document.querySelectorAll("#fleet > li")) {
    row.hidden = !row.dataset.name.toLowerCase().includes(wanted);
  }
}

// What a person was at stays as it was: the field and its text, the link in focus.
function replaced(fresh) {
  const old = document.getElementById("main");
  const field = document.getElementById("filter");
  const focused = document.activeElement;
  const text = field ? field.value : "";
  const caret = field ? field.selectionStart : 0;
  const href = old.contains(focused) ? focused.getAttribute("href") : null;
  old.replaceWith(fresh);
  const newField = document.getElementById("filter");
  if (newField) newField.value = text;
  filter();
  if (field && focused === field && newField) {
    newField.focus();
    newField.setSelectionRange(caret, caret);
  } else if (href !== null) {
    const same = [...fresh.querySelectorAll("a")].find((link) => link.getAttribute("href") === href);
    if (same) same.focus({ preventScroll: true });
  }
}

async function refresh() {
  if (fetching) {
    again = true;
    return;
  }
  fetching = true;
  try {
    const response = await fetch(location.href, { signal: AbortSignal.timeout(10000) });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = page.getElementById("main");
    if (fresh) replaced(document.adoptNode(fresh));
    document.title = page.title || document.title;
    complain("");
    heard = Date.now();
  } catch {
    lost();
  } finally {
    fetching = false;
    if (again) {
      again = false;
      refresh();
    }
  }
}

function lost() {
  say("lost", "Not connected");
  const time = new Date(heard).toISOString().slice(11, 19);
  complain(`No connection to the operator; trying again. What you see is from ${time} UTC. Is the port-forward still running?`);
}

function listen() {
  const events = new EventSource("/events");
  events.onopen = () => say("on", "Live");
  events.onmessage = (event) => {
    if (event.data !== document.getElementById("main").dataset.version || !trouble.hidden) refresh();
  };
  events.onerror = () => {
    lost();
    if (events.readyState !== EventSource.CLOSED) return;
    stop();
    waiting = setTimeout(start, 5000);
  };
  return events;
}

// A page that nobody sees holds no connection: a browser has six of them for all its tabs.
function start() {
  clearTimeout(waiting);
  if (events === null && !document.hidden) events = listen();
}

function stop() {
  clearTimeout(waiting);
  if (events !== null) events.close();
  events = null;
}

document.addEventListener("visibilitychange", () => {
  stop();
  start();
});

document.addEventListener("input", (event) => {
  if (event.target.id === "filter") filter();
});

document.addEventListener("keydown", (event) => {
  const field = document.getElementById("filter");
  if (!field || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/" && document.activeElement !== field) {
    event.preventDefault();
    field.focus();
  } else if (event.key === "Escape" && document.activeElement === field) {
    field.value = "";
    filter();
  }
});

start();

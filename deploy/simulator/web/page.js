// Shows what arrives. Messages hold what strangers wrote: every text goes in by textContent, never as markup.
"use strict";

const MOST_ROWS = 500;
const FAULTS = [
  ["500", { kind: "status", code: 500 }],
  ["503, retry after 5 s", { kind: "status", code: 503, headers: { "Retry-After": "5" } }],
  ["429, retry after 2 s", { kind: "status", code: 429, headers: { "Retry-After": "2" } }],
  ["400", { kind: "status", code: 400 }],
  ["Delay 2 s", { kind: "delay", ms: 2000 }],
  ["Hang", { kind: "hang" }],
  ["Drop before", { kind: "drop_before" }],
  ["Drop after accept", { kind: "drop_after_accept" }],
  ["Garbage", { kind: "garbage" }],
  ["Refuse recipient", { kind: "refuse_recipient" }],
];

const find = (id) => document.getElementById(id);
const rows = new Map(); // message id -> its row
let clears = null;

function element(name, text, className) {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function button(text, label, action) {
  const made = element("button", text);
  made.type = "button";
  made.setAttribute("aria-label", label);
  made.addEventListener("click", action);
  return made;
}

async function call(method, path, body) {
  const answer = await fetch(path, {
    method,
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body ? JSON.stringify(body) : undefined,
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status}`);
  return answer;
}

function fits(row) {
  return row.dataset.text.includes(find("filter").value.trim().toLowerCase());
}

function show(message) {
  const row = document.createElement("tr");
  const plain = ["http", message.channel.toLowerCase()].includes(message.protocol);
  const channel = plain ? message.channel : `${message.channel} · ${message.protocol}`;
  const checked = message.verification ? ` · signature ${message.verification}` : "";
  row.append(
    element("td", message.at.slice(11, 23), "time"),
    element("td", channel + checked),
    element("td", message.to),
    element("td", message.subject),
    element("td", message.body, "body"),
    element("td", String(message.attempts), "number"),
  );
  row.title = `${message.id} · ${message.at}`;
  row.dataset.text = [channel, message.to, message.subject, message.body, message.id].join("\n").toLowerCase();
  row.classList.toggle("repeated", message.attempts > 1);
  row.hidden = !fits(row);
  const known = rows.get(message.id);
  if (known) known.replaceWith(row);
  else find("rows").prepend(row);
  rows.set(message.id, row);
  if (rows.size > MOST_ROWS) {
    const [oldest, gone] = rows.entries().next().value;
    gone.remove();
    rows.delete(oldest);
  }
}

function words(fault) {
  const { kind, ...rest } = fault.action;
  const details = Object.values(rest).filter((value) => ["string", "number"].includes(typeof value)).join(" ");
  const who = [fault.channel, fault.to].filter(Boolean).join(" ") || "all channels";
  const often = fault.times ? `${fault.used} of ${fault.times}` : `${fault.used}×`;
  const share = fault.proportion === undefined ? "" : `, ${Math.round(fault.proportion * 100)} %`;
  return `${kind.replaceAll("_", " ")} ${details}`.trim() + ` — ${who}${share}, ${often}`;
}

function showFaults(faults) {
  find("remove-all").hidden = faults.length < 2;
  find("faults").replaceChildren(
    ...faults.map((fault) => {
      const item = element("li", words(fault));
      item.append(button("✕", `Remove fault ${fault.id}`, () => change("DELETE", `/faults/${fault.id}`)));
      return item;
    }),
  );
}

async function change(method, path, body) {
  try {
    await call(method, path, body);
  } catch (error) {
    console.warn(error); // a fault that another page removed first
  }
  showFaults(await (await call("GET", "/faults")).json());
}

function addFault(action) {
  const rule = { action };
  const channel = find("channel").value;
  const often = find("often").value;
  if (channel) rule.channel = channel;
  if (often === "half") rule.proportion = 0.5;
  else if (often !== "all") rule.times = Number(often);
  return change("POST", "/faults", rule);
}

function empty() {
  rows.clear();
  find("rows").replaceChildren();
}

function listen() {
  const stream = new EventSource("/stream");
  const state = (name, text) => {
    find("live").dataset.state = name;
    find("live").textContent = text;
  };
  stream.addEventListener("open", () => state("live", "live"));
  stream.addEventListener("error", () => state("lost", "connection lost, trying again"));
  stream.addEventListener("news", (event) => {
    const news = JSON.parse(event.data);
    if (clears !== news.clears) empty();
    clears = news.clears;
    for (const message of news.messages) show(message);
    for (const [name, count] of Object.entries(news.counts)) find(name).textContent = count.toLocaleString("en");
    showFaults(news.faults);
    find("empty").hidden = rows.size > 0;
  });
}

for (const [text, action] of FAULTS) find("buttons").append(button(text, `Add fault: ${text}`, () => addFault(action)));
find("clear").addEventListener("click", () => call("DELETE", "/messages"));
find("remove-all").addEventListener("click", () => change("DELETE", "/faults"));
find("filter").addEventListener("input", () => {
  for (const row of rows.values()) row.hidden = !fits(row);
});
listen();

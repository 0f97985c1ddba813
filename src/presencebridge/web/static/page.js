// What the server can't do: move rows as they change, find, sort, give orders, and go on foot through the list.
// The page is complete without it. Nothing here knows what the words mean: rows come written.
"use strict";

const root = document.body.dataset.root;
const main = document.querySelector("main");
const live = document.getElementById("live");
const find = (id) => document.getElementById(id);

// Times, in the zone of whoever looks on, and with 24 hours in both languages

function localTimes(within) {
  for (const time of within.querySelectorAll("time")) {
    time.textContent = new Date(time.dateTime).toLocaleTimeString("de");
  }
  for (const hour of within.querySelectorAll("[data-hour]")) {
    hour.textContent = new Date(hour.dataset.hour).toLocaleTimeString("de", { hour: "2-digit", minute: "2-digit" });
  }
}

function written(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  localTimes(template.content);
  return template.content;
}

// Part of a page anew; whoever stands in it goes on standing there.
function replace(part, html) {
  const open = [...part.querySelectorAll("details")].map((one) => one.open);
  part.replaceChildren(written(html));
  part.querySelectorAll("details").forEach((one, number) => { one.open = open[number]; });
}

// Orders

function ordersFor(condition) {
  for (const button of document.querySelectorAll("[data-order]")) {
    const wanted = button.dataset.for;
    const here = document.activeElement === button;
    button.hidden = Boolean(wanted) && (wanted === "paused") !== (condition === "paused");
    if (here && button.hidden) document.querySelector("[data-for]:not([hidden])")?.focus();
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-order]");
  if (!button) return;
  const said = find("said");
  said.textContent = "";
  let why = "";
  try {
    const answer = await fetch(button.dataset.order, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: button.dataset.body || "{}",
    });
    if (!answer.ok) why = (await answer.json().catch(() => ({}))).error || String(answer.status);
  } catch (error) {
    why = error.message;
  }
  said.textContent = why ? button.dataset.failed.replace("{why}", why) : button.dataset.done;
});

// The list

const RANKS = { trouble: 0, waiting: 1, working: 2, paused: 3 };
const rows = new Map();
let looks = null;

function keysOf(row) {
  return {
    row,
    text: row.dataset.f,
    tags: row.dataset.t.split(" "),
    rank: RANKS[row.className] ?? 9,
    extension: row.cells[1].textContent,
    name: row.cells[0].textContent,
  };
}

const byExtension = (a, b) => a.extension.length - b.extension.length || (a.extension < b.extension ? -1 : 1);
const ORDERS = {
  extension: byExtension,
  name: (a, b) => a.name.localeCompare(b.name, document.documentElement.lang) || byExtension(a, b),
  trouble: (a, b) => a.rank - b.rank || byExtension(a, b),
};

let shown = 0;

function isShown(one) {
  return one.tags.includes(looks.show) && one.text.includes(looks.find);
}

function showFound() {
  const text = find("found");
  const all = shown === rows.size;
  const now = all ? "" : text.dataset.found.replace("{shown}", shown).replace("{all}", rows.size);
  if (text.textContent !== now) text.textContent = now;
  find("nobody").hidden = shown > 0;
}

function filter() {
  shown = 0;
  for (const one of rows.values()) {
    const is = isShown(one);
    if (one.row.hidden === is) one.row.hidden = !is;
    shown += is;
  }
  showFound();
}

function sort() {
  const sorted = [...rows.values()].sort(ORDERS[looks.order]);
  find("rows").append(...sorted.map((one) => one.row));
}

// Where a row belongs among those that are in order already
function place(one) {
  const body = find("rows"), before = ORDERS[looks.order];
  const others = [...body.rows].filter((row) => row !== one.row);
  let low = 0, high = others.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (before(rows.get(others[middle].id), one) < 0) low = middle + 1;
    else high = middle;
  }
  const next = others[low] ?? null;
  if (one.row.nextElementSibling === next && one.row.isConnected) return;
  const held = one.row.contains(document.activeElement) ? document.activeElement : null;
  body.insertBefore(one.row, next);
  held?.focus();
}

function change(row) {
  const old = rows.get(row.id);
  if (!old) {
    const one = keysOf(row);
    rows.set(row.id, one);
    row.hidden = !isShown(one);
    shown += !row.hidden;
    row.querySelector("a").tabIndex = -1;
    place(one);
    return;
  }
  const there = old.row;
  for (let number = 0; number < row.cells.length; number++) {
    const now = there.cells[number];
    if (now.innerHTML === row.cells[number].innerHTML) continue;
    if (number === 0) {
      now.querySelector("a").textContent = row.cells[0].textContent;
      continue;
    }
    const cell = row.cells[number].cloneNode(true);
    cell.classList.add("moved");
    now.replaceWith(cell);
  }
  there.className = row.className;
  there.dataset.f = row.dataset.f;
  there.dataset.t = row.dataset.t;
  const one = keysOf(there);
  rows.set(row.id, one);
  const is = isShown(one);
  shown += is - !there.hidden;
  there.hidden = !is;
  if (looks.order !== "extension" && (old.rank !== one.rank || old.name !== one.name)) place(one);
}

function gone(id) {
  const one = rows.get(id);
  if (!one) return;
  shown -= !one.row.hidden;
  one.row.remove();
  rows.delete(id);
}

// On foot: one stop of the Tab key for the whole list, arrows within it

let stand = null;

function standAt(link, { focus = true } = {}) {
  if (stand) stand.tabIndex = -1;
  stand = link;
  link.tabIndex = 0;
  if (focus) link.focus();
}

function step(row, key) {
  const backwards = key === "ArrowUp" || key === "End";
  let next = row;
  if (key === "Home" || key === "End") next = backwards ? row.parentNode.lastElementChild : row.parentNode.firstElementChild;
  else next = backwards ? row.previousElementSibling : row.nextElementSibling;
  while (next?.hidden) next = backwards ? next.previousElementSibling : next.nextElementSibling;
  if (next) standAt(next.querySelector("a"));
}

function list(form) {
  const input = form.elements.find;
  const buttons = [...form.querySelectorAll(".tags button")];
  const chosen = () => buttons.find((button) => button.getAttribute("aria-pressed") === "true")?.value ?? "all";
  looks = { find: input.value.trim().toLowerCase(), show: chosen(), order: form.elements.order.value };
  for (const row of find("rows").rows) {
    rows.set(row.id, keysOf(row));
    row.querySelector("a").tabIndex = -1;
  }
  filter();

  function look() {
    looks = { find: input.value.trim().toLowerCase(), show: chosen(), order: form.elements.order.value };
    const asked = new URLSearchParams();
    if (looks.find) asked.set("find", input.value.trim());
    if (looks.show !== "all") asked.set("show", looks.show);
    if (looks.order !== "extension") asked.set("order", looks.order);
    history.replaceState(null, "", asked.size ? `?${asked}` : location.pathname);
    filter();
    if (stand?.closest("tr").hidden) stand = null;
    firstStand();
  }
  function firstStand() {
    const first = find("rows").querySelector("tr:not([hidden]) a");
    if (first && !stand?.isConnected) standAt(first, { focus: false });
  }
  firstStand();
  input.addEventListener("input", look);
  form.elements.order.addEventListener("change", () => { look(); sort(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const button of buttons) {
    button.type = "button";
    button.addEventListener("click", () => {
      for (const one of buttons) one.setAttribute("aria-pressed", String(one === button));
      look();
    });
  }
  find("rows").addEventListener("focusin", (event) => {
    const link = event.target.closest("th a");
    if (link) standAt(link, { focus: false });
  });
  find("rows").addEventListener("keydown", (event) => {
    if (!["ArrowUp", "ArrowDown", "Home", "End"].includes(event.key) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    step(event.target.closest("tr"), event.key);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.closest("input, select, textarea") && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      input.focus();
    } else if (event.key === "Escape" && event.target === input) {
      input.value = "";
      look();
    } else if (event.key === "ArrowDown" && event.target === input && stand) {
      event.preventDefault();
      stand.focus();
    }
  });
  counts(Object.fromEntries([...form.querySelectorAll("[data-count]")].map((one) => [one.dataset.count, Number(one.textContent)])));
}

function counts(numbers) {
  for (const one of document.querySelectorAll("[data-count]")) {
    const number = String(numbers[one.dataset.count]);
    if (one.textContent !== number) one.textContent = number;
    one.parentNode.classList.toggle("zero", number === "0");
  }
}

// Live

function show(state) {
  live.hidden = false;
  if (live.dataset.state === state) return;
  live.dataset.state = state;
  live.textContent = live.dataset[state];
}

function follow() {
  const events = new EventSource(main.dataset.live);
  const on = (name, what) => events.addEventListener(name, (event) => { show("live"); what(event.data); });
  events.addEventListener("open", () => show("live"));
  events.addEventListener("error", () => show("lost"));
  on("anew", () => { events.close(); location.reload(); });
  on("rows", (html) => {
    const table = written(`<table><tbody>${html}</tbody></table>`);
    for (const row of table.querySelectorAll("tr")) change(row);
    showFound();
  });
  on("gone", (keys) => { for (const key of JSON.parse(keys)) gone(`p-${key}`); showFound(); });
  on("counts", (numbers) => counts(JSON.parse(numbers)));
  on("sites", (html) => {
    const at = document.activeElement?.getAttribute("href");
    replace(main, html);
    if (at) main.querySelector(`a[href="${CSS.escape(at)}"]`)?.focus();
  });
  on("links", (html) => replace(find("links"), html));
  for (const part of ["now", "day", "why"]) {
    on(part, (html) => {
      replace(find(part), html);
      if (part === "now") ordersFor(find("now").firstElementChild.dataset.condition);
    });
  }
}

localTimes(document);
if (find("looks")) list(find("looks"));
ordersFor(find("now")?.firstElementChild.dataset.condition);
follow();

"use strict";
// Pages work without this; it copies, counts down, switches the theme, and asks in a dialog.

// Anything marked so is useless without scripts.
const reveal = () => {
  for (const one of document.querySelectorAll("[data-copy], [data-theme-switch]")) one.hidden = false;
};

const say = (text) => {
  const place = document.getElementById("said");
  if (place) place.textContent = text;
};

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  const label = button.dataset.label ??= button.textContent;
  try {
    await navigator.clipboard.writeText(source.value ?? source.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(source);
    button.textContent = "Press Ctrl+C";
  }
  say(button.textContent);
  setTimeout(() => { button.textContent = label; }, 2000);
});

const THEMES = { system: "◐ System", light: "☀ Light", dark: "☾ Dark" };
const themed = () => document.documentElement.dataset.theme ?? "system";
const nameTheme = () => {
  for (const button of document.querySelectorAll("[data-theme-switch]")) {
    button.textContent = THEMES[themed()].slice(0, 1);
    button.title = `Theme: ${THEMES[themed()].slice(2)}`;
    button.setAttribute("aria-label", button.title);
  }
};
document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-theme-switch]")) return;
  const names = Object.keys(THEMES);
  const next = names[(names.indexOf(themed()) + 1) % names.length];
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try { localStorage.setItem("theme", next); } catch { /* it lasts as long as the page */ }
  nameTheme();
  say(`Theme: ${next}`);
});

// A page that asks is a dialog where scripts run; the link with data-dialog leads to it elsewhere.
const openDialog = (content) => {
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", "dialog-title");
  dialog.append(...content);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-close]")) {
      event.preventDefault();
      dialog.close();
    }
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
};

const element = (tag, text, attributes = {}) => {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
};

document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-dialog]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  const answer = await fetch(link.href);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const question = page.querySelector("[data-question]");
  if (!question) { location.href = link.href; return; }
  const title = question.querySelector("h1");
  if (title) title.id = "dialog-title";
  openDialog([question]);
});

// One menu of a row is open at a time; a click elsewhere or Escape closes it.
const openMenus = () => document.querySelectorAll("details.menu[open]");
document.addEventListener("click", (event) => {
  for (const menu of openMenus()) if (!menu.contains(event.target) || event.target.closest("a")) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of openMenus()) { menu.open = false; menu.querySelector("summary").focus(); }
});

const count = () => {
  for (const clock of document.querySelectorAll("[data-seconds]:not([data-counting])")) {
    clock.dataset.counting = "yes";
    const end = performance.now() + 1000 * Number(clock.dataset.seconds);
    const tick = () => {
      const left = Math.ceil((end - performance.now()) / 1000);
      clock.textContent = left > 0
        ? `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}` : "expired";
      if (left > 0) setTimeout(tick, 250);
    };
    tick();
  }
};

// A ring that empties as time runs out; its number stands beside it in words.
const draw = () => {
  for (const ring of document.querySelectorAll("[data-ring]:empty")) {
    const name = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(name, "svg");
    svg.setAttribute("viewBox", "0 0 40 40");
    for (const part of ["whole", "left"]) {
      const circle = document.createElementNS(name, "circle");
      for (const [key, value] of Object.entries({ cx: 20, cy: 20, r: 17, pathLength: 1 })) circle.setAttribute(key, value);
      if (part === "left") circle.setAttribute("stroke-dasharray", "1 1");
      svg.append(circle);
    }
    ring.append(svg);
    const whole = 1000 * Number(ring.dataset.ring);
    const end = performance.now() + whole;
    const turn = () => {
      const left = Math.max(0, (end - performance.now()) / whole);
      svg.lastChild.setAttribute("stroke-dasharray", `${left} 1`);
      if (left > 0) setTimeout(turn, 1000);
    };
    turn();
  }
};

// A time is relative; under the pointer it shows the local time, and what that is in UTC.
const localise = () => {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const utc = time.dataset.utc ??= time.title;
    time.title = `${new Date(time.dateTime).toLocaleString()} (${utc})`;
  }
};

// The token that the page shows stands in the fields of the chosen tool, too.
const fillSecrets = () => {
  const token = document.getElementById("token");
  if (!token) return;
  for (const place of document.querySelectorAll("[data-secret]")) {
    const copied = element("span", "", { class: "copied" });
    const copy = element("button", "Copy", { type: "button", class: "quiet small", "data-copy": place.dataset.secret, "aria-label": place.dataset.label });
    copied.append(element("code", token.textContent, { id: place.dataset.secret }), " ", copy);
    place.replaceWith(copied);
  }
};

const prepare = () => { fillSecrets(); reveal(); nameTheme(); count(); draw(); localise(); };
prepare();
document.addEventListener("htmx:afterSettle", prepare);

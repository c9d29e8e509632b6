"use strict";
// Lists that filter as one types (htmx), and parts of pages that keep themselves fresh.
//   form[data-live=ID]   what is typed or chosen replaces the element with that id
//   nav[data-live=ID]    what its links lead to replaces that element
//   [data-fresh]         the pod sends it anew when it differs, from this page or data-from:
//                        one stream of server-sent events a page

const live = (root) => {
  for (const form of root.querySelectorAll("form[data-live]")) {
    const target = `#${form.dataset.live}`;
    form.setAttribute("hx-get", form.getAttribute("action"));
    form.setAttribute("hx-trigger", "input delay:150ms, submit");
    form.setAttribute("hx-target", target);
    form.setAttribute("hx-select", target);
    form.setAttribute("hx-swap", "morph:outerHTML");
    form.setAttribute("hx-replace-url", "true");
    form.setAttribute("hx-sync", "this:replace");
    // What is wrong with a filter stands beside its field, which stays as it is while one types.
    const faults = [...form.querySelectorAll("[data-fault]")];
    if (faults.length) form.setAttribute("hx-select-oob", faults.map((one) => `#${one.id}`).join(","));
    for (const one of faults) {
      const field = form.querySelector(`[aria-describedby~="${one.id}"]`);
      if (one.textContent) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
    }
    htmx.process(form);
  }
  for (const link of root.querySelectorAll("nav[data-live] a")) {
    const target = `#${link.closest("nav").dataset.live}`;
    link.setAttribute("hx-get", link.getAttribute("href").split("#")[0]);
    link.setAttribute("hx-target", target);
    link.setAttribute("hx-select", target);
    link.setAttribute("hx-swap", "morph:outerHTML");
    link.setAttribute("hx-replace-url", "true");
    htmx.process(link);
  }
};

// An address that is kept or sent has no empty fields.
document.addEventListener("htmx:configRequest", (event) => {
  if (!event.target.matches("form[role=search]")) return;
  const given = event.detail.parameters;
  for (const name of Object.keys(given)) if (given[name] === "") delete given[name];
});

// What somebody unfolded stays so, and what scripts added stays.
Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node, change) =>
  !(change === "remove" && ((name === "open" && node.tagName === "DETAILS") || name.startsWith("hx-")));
Idiomorph.defaults.ignoreActiveValue = true;
// A token is shown once: it stays while other parts of the page change, and so do the buttons that
// say that it is there.
Idiomorph.defaults.callbacks.beforeNodeRemoved = (node) => node.id !== "made";
Idiomorph.defaults.callbacks.beforeNodeMorphed = (node) => !node.matches?.("[data-stays]");

// A pod that doesn't answer is said once, and unsaid when it does again.
const lost = (gone) => { document.getElementById("lost").hidden = !gone; };

// Nothing moves under the pointer: rows that come and go wait until it has left, or it is pressed.
const rows = (part) => [...part.querySelectorAll("[id]")].map((one) => one.id).join(" ");
const held = new Map();
const waits = (part, fresh) => document.querySelector("dialog[open]") ||
  ((part.matches(":hover") || part.contains(document.activeElement)) && rows(part) !== rows(fresh));

const news = document.createElement("button");
news.type = "button";
news.className = "news";
news.hidden = true;
news.textContent = "Show what has changed";
document.body.append(news);
news.addEventListener("click", () => { for (const [id, fresh] of held) put(id, fresh); });

const put = (id, fresh) => {
  held.delete(id);
  news.hidden = held.size === 0;
  const part = document.getElementById(id);
  if (!part) return;
  Idiomorph.morph(part, fresh, { morphStyle: "outerHTML" });
  htmx.process(document.getElementById(id));
  document.dispatchEvent(new CustomEvent("htmx:afterSettle"));
};

const take = (html) => {
  const page = new DOMParser().parseFromString(html, "text/html");
  for (const fresh of [...page.body.children]) {
    const part = fresh.id && document.getElementById(fresh.id);
    if (!part) continue;
    if (waits(part, fresh)) {
      held.set(fresh.id, fresh);
      news.hidden = false;
    } else {
      put(fresh.id, fresh);
    }
  }
};

document.addEventListener("pointermove", () => {
  for (const [id, fresh] of held) {
    const part = document.getElementById(id);
    if (!part || !waits(part, fresh)) put(id, fresh);
  }
});

// What somebody has typed isn't thrown away: they sign in when they send it, and it comes back.
const typed = () => [...document.querySelectorAll("main form[method=post] :is(input, textarea)")].some(
  (one) => one.type === "checkbox" ? one.checked !== one.defaultChecked : one.value !== one.defaultValue);

let stream = null;
let watched = "";
const addresses = () => new URLSearchParams(
  [...new Set([...document.querySelectorAll("[data-fresh]")].map((part) =>
    part.dataset.from ?? location.pathname + location.search))].map((one) => ["address", one])).toString();

const follow = () => {
  const wanted = document.hidden ? "" : addresses();
  if (wanted === watched && (wanted === "" || stream?.readyState !== EventSource.CLOSED)) return;
  stream?.close();
  stream = null;
  watched = wanted;
  if (!wanted) return;
  stream = new EventSource(`/live?${wanted}`);
  stream.addEventListener("open", () => lost(false));
  stream.addEventListener("error", () => lost(true));
  stream.addEventListener("parts", (event) => { lost(false); take(event.data); });
  stream.addEventListener("end", (event) => {
    stream.close();
    if (event.data === "reload" && !typed()) location.reload();
  });
};

live(document);
follow();
document.addEventListener("htmx:afterSettle", () => { live(document); follow(); });
document.addEventListener("visibilitychange", follow);
// A stream that was refused, or had to make room for another tab's, is asked for again in a while.
setInterval(() => { if (stream?.readyState === EventSource.CLOSED) { watched = ""; follow(); } }, 15000);

// A row that changed is marked for a moment.
const marked = new MutationObserver((changes) => {
  for (const change of changes) {
    const node = change.target.nodeType === Node.TEXT_NODE ? change.target.parentElement : change.target;
    if (!node || node.closest("time")) continue;
    const rows = [node.closest("tr[id]"), ...change.addedNodes].filter((one) => one?.matches?.("tr[id]"));
    for (const row of rows) {
      row.classList.remove("changed");
      void row.offsetWidth;
      row.classList.add("changed");
    }
  }
});
for (const part of document.querySelectorAll("[data-fresh]")) {
  marked.observe(part.parentElement, { childList: true, characterData: true, subtree: true });
}

// Who isn't signed in any more is asked to, rather than shown an empty part.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (new URL(event.detail.xhr.responseURL).pathname !== "/sign-in") return;
  event.detail.shouldSwap = false;
  location.reload();
});
document.addEventListener("htmx:sendError", () => lost(true));
document.addEventListener("htmx:afterRequest", (event) => { if (event.detail.xhr.status) lost(false); });

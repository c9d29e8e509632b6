"use strict";
// Lists that filter as one types, and parts of pages that keep themselves fresh, by htmx.
//   form[data-live=ID]   what is typed or chosen replaces the element with that id
//   nav[data-live=ID]    what its links lead to replaces that element
//   [data-fresh=SECONDS] is loaded anew so often, while somebody looks, from this page or data-from

const from = (part) => part.dataset.from ?? location.pathname + location.search;

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
  for (const part of root.querySelectorAll("[data-fresh]")) {
    part.setAttribute("hx-get", from(part));
    part.setAttribute("hx-trigger", "stale");
    part.setAttribute("hx-select", `#${part.id}`);
    part.setAttribute("hx-headers", '{"X-Refresh": "yes"}');  // nobody acts: a sign-in ends as ever
    part.setAttribute("hx-swap", "morph:outerHTML");
    htmx.process(part);
  }
};

// What somebody unfolded stays so, and what scripts added stays.
Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node, change) =>
  !(change === "remove" && ((name === "open" && node.tagName === "DETAILS") || name.startsWith("hx-")));
Idiomorph.defaults.ignoreActiveValue = true;
// A token is shown once: it stays while what is beside it changes.
Idiomorph.defaults.callbacks.beforeNodeRemoved = (node) => node.id !== "made";

live(document);
document.addEventListener("htmx:afterSettle", () => live(document));

let turn = 0;
setInterval(() => {
  turn += 1;
  if (document.hidden || document.querySelector("dialog[open]")) return;
  for (const part of document.querySelectorAll("[data-fresh]")) {
    if (turn % Number(part.dataset.fresh) === 0) {
      part.setAttribute("hx-get", from(part));
      htmx.trigger(part, "stale");
    }
  }
}, 1000);

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

// A pod that doesn't answer is said once, and unsaid when it does again.
const lost = (gone) => { document.getElementById("lost").hidden = !gone; };
document.addEventListener("htmx:sendError", () => lost(true));
document.addEventListener("htmx:afterRequest", (event) => { if (event.detail.xhr.status) lost(false); });

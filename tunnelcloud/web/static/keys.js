"use strict";
// One-key shortcuts: / searches, n makes a new one, g and a letter goes to a page, ? lists them.
{
  const off = () => { try { return localStorage.getItem("shortcuts") === "off"; } catch { return false; } };
  const typing = (node) => node.closest("input, select, textarea, [contenteditable]");
  const pages = () => [...document.querySelectorAll("a[data-key]")];
  let going = -Infinity;

  const list = () => {
    const table = document.createElement("dl");
    const add = (keys, text) => {
      const dt = document.createElement("dt");
      keys.forEach((key, index) => dt.append(index ? " " : "", element("kbd", key)));
      table.append(dt, element("dd", text));
    };
    if (found("/")) add(["/"], "Search");
    if (document.querySelector("a[data-new]")) add(["n"], document.querySelector("a[data-new]").textContent);
    for (const link of pages()) add(["g", link.dataset.key], link.textContent.trim());
    if (document.querySelector("a[href='/admin/search']")) add(["Ctrl", "k"], "Search everything");
    add(["?"], "This list");
    const label = element("label", "", { class: "check" });
    const box = element("input", "", { type: "checkbox" });
    box.checked = !off();
    box.addEventListener("change", () => {
      try { localStorage.setItem("shortcuts", box.checked ? "on" : "off"); } catch { /* lasts not */ }
    });
    label.append(box, "One-key shortcuts (this list always opens)");
    const row = element("p", "", { class: "buttons" });
    row.append(element("button", "Close", { type: "button", "data-close": "", autofocus: "" }));
    openDialog([element("h2", "Keyboard", { id: "dialog-title" }), table, label, row]);
  };

  const found = (key) => {
    // A page without a search of its own leads to the one for everything.
    const everything = document.querySelector("a[href='/admin/search']");
    if (key === "/") return document.querySelector("input[type=search]") ?? everything;
    if (key === "n") return document.querySelector("a[data-new]");
    return null;
  };

  document.addEventListener("keydown", (event) => {
    const everything = document.querySelector("a[href='/admin/search']");
    if (everything && event.key === "k" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      everything.click();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "?") { event.preventDefault(); list(); return; }
    if (off()) return;
    if (performance.now() - going < 1500) {
      going = -Infinity;
      const page = pages().find((one) => one.dataset.key === event.key);
      if (page) { event.preventDefault(); page.click(); }
      return;
    }
    if (event.key === "g") { going = performance.now(); return; }
    const target = found(event.key);
    if (!target) return;
    event.preventDefault();
    if (target.matches("a")) target.click();
    else { target.focus(); target.select(); }
  });
}

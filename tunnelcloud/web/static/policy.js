"use strict";
// The policies' editor works without this; it adds rows and chips, and offers the browser's zone.

const MOST_ROWS = 12;

const rowsOf = (name) => [...document.querySelectorAll(`[data-rows="${name}"] .hour-row`)];

// A row that nobody has filled in gets the zone that the browser is in.
for (const zone of document.querySelectorAll("[data-zone]")) {
  if (rowsOf(zone.closest("[data-rows]").dataset.rows).length === 1) {
    zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? zone.value;
  }
}

for (const button of document.querySelectorAll("[data-add-row]")) button.hidden = false;
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-add-row]");
  if (!button) return;
  const rows = rowsOf(button.dataset.addRow);
  const number = rows.length;
  const row = rows.at(-1).cloneNode(true);
  row.setAttribute("aria-label", `Hours ${number + 1}`);
  for (const input of row.querySelectorAll("input")) {
    input.name = input.name.replace(/\d+$/, String(number));
    if (input.type === "checkbox") input.checked = false;
    else if (input.type === "time") input.value = "";
  }
  rows.at(-1).after(row);
  button.disabled = number + 1 >= MOST_ROWS;
  row.querySelector("input").focus();
});

document.addEventListener("change", (event) => {
  const gone = event.target.closest(".gone input");
  if (gone) gone.closest(".hour-row").classList.toggle("removed", gone.checked);
});

// A network that is typed becomes a chip at a comma, a blank or Enter; what is none stays text.
// Not when one leaves the field: the button that is being pressed would move away.
const NETWORK = /^[0-9a-f.:]+(\/\d{1,3})?$/i;
const toChips = (area) => {
  const chips = document.querySelector(`[data-chips="${area.dataset.toChips}"]`);
  const left = [];
  for (const text of area.value.split(/[\s,]+/).filter(Boolean)) {
    if (!NETWORK.test(text)) { left.push(text); continue; }
    const chip = element("label", "", { class: "chip" });
    const input = element("input", "", { type: "checkbox", name: `${area.dataset.toChips}_kept`, value: text });
    input.checked = true;
    chip.append(input, element("span", text));
    chips.append(chip);
  }
  area.value = left.join("\n");
};
for (const area of document.querySelectorAll("[data-to-chips]")) {
  area.addEventListener("input", () => { if (/[\s,]$/.test(area.value)) toChips(area); });
}

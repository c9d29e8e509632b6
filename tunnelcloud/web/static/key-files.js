"use strict";
// A public key's file that is dropped on its field, or chosen, is read here.
for (const area of document.querySelectorAll("textarea[name=public_key]")) {
  const take = async (file) => {
    if (file && file.size <= 20000) area.value = await file.text();
  };
  const chooser = area.closest("form").querySelector("[data-chooser]");
  const chosen = chooser.querySelector("input");
  chooser.hidden = false;
  chosen.addEventListener("change", () => take(chosen.files[0]));
  area.addEventListener("dragover", (event) => event.preventDefault());
  area.addEventListener("drop", (event) => {
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  });
}

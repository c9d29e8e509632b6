"use strict";
// Pages work without this; it copies, counts down and asks before what can't be undone.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const text = document.getElementById(button.dataset.copy).textContent;
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => { button.textContent = label; }, 2000);
});
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.ask;
  if (question && !confirm(question)) event.preventDefault();
});
for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
for (const clock of document.querySelectorAll("[data-seconds]")) {
  const end = performance.now() + 1000 * Number(clock.dataset.seconds);
  const tick = () => {
    const left = Math.ceil((end - performance.now()) / 1000);
    clock.textContent = left > 0
      ? `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}` : "expired";
    if (left > 0) setTimeout(tick, 250);
  };
  tick();
}
for (const form of document.querySelectorAll("form[data-live]")) {
  let waiting;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      const address = `${location.pathname}?${new URLSearchParams(new FormData(form))}`;
      const answer = await fetch(address);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById(form.dataset.live);
      if (fresh) document.getElementById(form.dataset.live).replaceChildren(...fresh.childNodes);
      for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
    }, 150);
  });
}

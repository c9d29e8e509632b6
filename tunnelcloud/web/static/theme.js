"use strict";
// Runs before anything is drawn, so that a chosen theme doesn't flash.
{
  let chosen = null;
  try { chosen = localStorage.getItem("theme"); } catch { /* without storage the system decides */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}

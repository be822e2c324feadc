// the arrows that open parts of the table of contents have no text
document.addEventListener("DOMContentLoaded", () => {
  for (const arrow of document.querySelectorAll("nav summary")) arrow.setAttribute("aria-label", "Show the pages below");
});

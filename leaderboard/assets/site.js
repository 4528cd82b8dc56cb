// All pages: the way past the navigation. Heat maps: the same word marked under all methods, and scores by keyboard.
// Without this file all of them are there.
"use strict";

// to the content without a new address: what the reader has chosen stands in it
document.querySelector("a.skip").addEventListener("click", (event) => {
  const main = document.getElementById("main");
  event.preventDefault();
  main.tabIndex = -1;
  main.focus();
  main.scrollIntoView();
});

(function heatMaps() {
  const texts = document.querySelectorAll(".heat");
  if (!texts.length) return;
  let tip = null;

  function mark(word) {
    for (const other of document.querySelectorAll("[data-same]")) other.removeAttribute("data-same");
    if (!word) return;
    for (const other of word.closest(".example").querySelectorAll(`[data-i="${word.dataset.i}"]`)) other.setAttribute("data-same", "");
  }

  function showTip(word) {
    if (!tip) {
      tip = document.createElement("div");
      tip.id = "tip";
      tip.setAttribute("role", "status");
      document.body.append(tip);
    }
    tip.hidden = !word;
    if (!word) return;
    const part = { evidence: " · evidence", necessary: " · necessary evidence", distractor: " · distractor" };
    tip.textContent = word.title + (part[word.dataset.part] || "");
    const box = word.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(box.left, innerWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${box.bottom + 5}px`;
  }

  // one stop of the tab key per text; the arrow keys go from word to word
  for (const text of texts) {
    text.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const all = [...text.querySelectorAll("[data-i]")];
      const at = all.indexOf(document.activeElement);
      const word = all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + step))];
      if (!word) return;
      event.preventDefault();
      if (at >= 0) all[at].removeAttribute("tabindex");
      word.tabIndex = -1;
      word.focus();
    });
  }
  document.addEventListener("focusin", (event) => {
    const word = event.target.closest(".heat [data-i]");
    mark(word);
    showTip(word);
  });
  document.addEventListener("mouseover", (event) => mark(event.target.closest(".heat [data-i]") || document.activeElement.closest(".heat [data-i]")));
  window.addEventListener("scroll", () => showTip(null), { passive: true });
})();

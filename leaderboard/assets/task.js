// The order of the examples, and its state in the address. Without this file they stand in the order of the data.
"use strict";

(function order() {
  const form = document.getElementById("order");
  if (!form) return;
  const field = form.querySelector("select");
  const lists = [...document.querySelectorAll("[data-examples]")].map((list) => [list, [...list.children]]);
  const apart = (example) => example.dataset.disagreement === undefined ? -Infinity : Number(example.dataset.disagreement);

  function apply() {
    for (const [list, drawn] of lists) {
      list.append(...(field.value ? [...drawn].sort((a, b) => apart(b) - apart(a)) : drawn));
    }
  }

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  field.addEventListener("change", () => {
    apply();
    history.replaceState(null, "", field.value ? `#order=${field.value}` : location.pathname + location.search);
  });
  if (location.hash === "#order=disagreement") field.value = "disagreement";
  apply();
})();

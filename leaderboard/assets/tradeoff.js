// Which cost the drawings are against, and its state in the address. Without this file both are there.
"use strict";

(function prices() {
  const form = document.getElementById("prices");
  if (!form) return;
  const field = form.elements.cost;
  const usual = field.value;
  const sections = [...document.querySelectorAll("section.task")].map((one) => [...one.querySelectorAll("[data-price]")]);

  function apply() {
    for (const drawings of sections) {
      // times may compare on some tasks alone: the others keep what they have
      const wanted = drawings.find((one) => one.dataset.price === field.value) || drawings[0];
      for (const one of drawings) one.hidden = one !== wanted;
    }
  }

  function read() {
    const asked = new URLSearchParams(location.hash.slice(1)).get("cost");
    // the address may lead to a place on the page instead
    if (asked === null && location.hash) return;
    field.value = [...field].some((one) => one.value === asked) ? asked : usual;
    apply();
  }

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", () => {
    apply();
    history.replaceState(null, "", field.value === usual ? location.pathname + location.search : `#cost=${field.value}`);
  });
  window.addEventListener("hashchange", read);
  apply();
  read();
})();

// Draws the page's charts when they come into view. Without this file every figure says in words what it shows.
"use strict";

(function charts() {
  // specs hold no addresses, and data stand in the page: nothing is ever to be loaded
  const refuse = async () => { throw new Error("a chart loads nothing"); };
  const loader = { load: refuse, sanitize: refuse };
  // height of an axis' labels and title
  const AROUND = 45;
  const contents = new Map();
  // per figure in view a promise of what takes its drawing away
  const drawings = new Map();

  // a group's lists are columns, anything else is the same in all its rows
  function rows(group) {
    const columns = Object.entries(group);
    const length = columns.reduce((most, [, column]) => Array.isArray(column) ? Math.max(most, column.length) : most, 0);
    return Array.from({ length }, (_, i) => Object.fromEntries(
      columns.map(([name, column]) => [name, Array.isArray(column) ? column[i] : column])));
  }

  // a copy of a spec with what the page gives put in the place of "@name"
  function filled(part, given) {
    if (typeof part === "string") return part[0] === "@" && Object.hasOwn(given, part.slice(1)) ? given[part.slice(1)] : part;
    if (Array.isArray(part)) return part.map((one) => filled(one, given));
    if (part === null || typeof part !== "object") return part;
    return Object.fromEntries(Object.entries(part).map(([name, one]) => [name, filled(one, given)]));
  }

  async function draw(figure, before) {
    const place = figure.querySelector(".chart"), words = place.querySelector("p");
    const { data, given } = contents.get(figure);
    const spec = filled(window.chartSpecs[figure.dataset.chart], given);
    spec.datasets = Object.fromEntries(Object.entries(data).map(([name, groups]) => [name, groups.flatMap(rows)]));
    spec.config.font = getComputedStyle(figure).fontFamily;
    const drawn = document.createElement("div");
    drawn.classList.add("pending");
    place.append(drawn);
    try {
      const { finalize } = await window.vegaEmbed(drawn, spec, {
        mode: "vega-lite", renderer: "svg", actions: false, defaultStyle: false, loader, tooltip: { disableDefaultStyle: true },
      });
      drawn.setAttribute("role", "img");
      drawn.removeAttribute("aria-roledescription");
      drawn.setAttribute("aria-label", words.textContent);
      drawn.querySelector("svg").setAttribute("aria-hidden", "true");
      drawn.classList.remove("pending");
      words.hidden = true;
      place.style.minHeight = "";
      if (before) before();
      return () => { finalize(); drawn.remove(); };
    } catch (error) {
      drawn.remove();
      console.error(error);
      return before;
    }
  }

  function next(figure) {
    drawings.set(figure, Promise.resolve(drawings.get(figure)).then((before) => draw(figure, before)));
  }

  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      next(target);
    }
  }, { rootMargin: "300px" });

  // other data for a chart, with what they say in words
  window.redraw = (figure, content, description) => {
    contents.set(figure, content);
    figure.querySelector(".chart > p").textContent = description;
    if (drawings.has(figure)) next(figure);
    else seen.observe(figure);
  };

  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    const content = figure.querySelector('script[type="application/json"]');
    const { data, given } = content ? JSON.parse(content.textContent) : { given: {} };
    // what is below does not move when it is drawn
    const height = filled(window.chartSpecs[figure.dataset.chart].height, given) + AROUND;
    figure.querySelector(".chart").style.minHeight = `${height}px`;
    // else another script has them
    if (!content) continue;
    contents.set(figure, { data, given });
    seen.observe(figure);
  }
})();

// A reader's choice of two methods and of a figure, from what is in the page. Without this file the best two are shown.
"use strict";

(function versus() {
  const data = JSON.parse(document.getElementById("figures").textContent);
  const first = document.getElementById("first"), second = document.getElementById("second");
  const chosen = document.getElementById("figure");
  const matrix = document.querySelector(".matrix tbody");
  const loaded = { [data.key]: data };
  let drawn = data;

  function line(index, x, y) {
    const [id, text, href] = data.examples[index];
    const row = document.createElement("tr"), head = document.createElement("th"), about = document.createElement("small");
    const name = document.createElement("bdi"), said = document.createElement("bdi");
    head.scope = "row";
    name.textContent = id;
    said.textContent = text;
    about.dir = "auto";
    about.append(said);
    if (href) {
      const link = document.createElement("a");
      link.href = `../${href}`;
      link.append(name);
      head.append(link, about);
    } else head.append(name, about);
    const numbers = [pairs.number(x[index]), pairs.number(y[index]), pairs.signed(x[index] - y[index])];
    row.append(head, ...numbers.map((number) => {
      const cell = document.createElement("td");
      cell.textContent = number;
      return cell;
    }));
    return row;
  }

  function scatter(a, b, shared) {
    const names = [data.methods[a], data.methods[b]];
    const [across, upright] = names.map((name) => `\u2192 ${name.slice(0, 40)}`);
    const of = (values) => shared.map((i) => values[i]);
    const examples = [{ id: of(data.examples).map(([id]) => id), first: of(drawn.values[a]), second: of(drawn.values[b]) }];
    window.redraw(
      document.querySelector('[data-chart="versus"]'),
      { data: { examples }, given: { first: across, second: upright, names, ends: drawn.ends } },
      `${drawn.figure} of each example under ${names[0]} and under ${names[1]}.`,
    );
  }

  function say(a, b) {
    const pair = pairs.read(drawn.pairs, data.methods.length, a, b);
    const ranked = Math.max(a, b) < data.ranked;
    const said = {
      difference: pair ? pairs.signed(pair.difference) : a === b ? "0" : "\u2013",
      interval: pair ? pairs.interval(...pair.interval) : a === b ? "the same method" : "no example in common",
      p: pair ? pairs.p(pair.p) : "no test",
      alone: pair && !ranked ? ", uncorrected, as they are not both ranked" : "",
      counts: pair ? `Better, the same, worse: ${pair.counts.join(" / ")} examples.` : "",
    };
    for (const [name, text] of Object.entries(said)) document.querySelector(`[data-said="${name}"]`).textContent = text;
  }

  // the matrix of the ranked methods, by another figure
  function fill() {
    for (const row of matrix ? matrix.rows : []) {
      [...row.cells].slice(1).forEach((cell, j) => {
        const pair = pairs.read(drawn.pairs, data.methods.length, Number(row.dataset.first), j);
        if (!pair) return;
        const better = pair.difference > 0 === (drawn.better === "higher");
        cell.className = pair.p <= 0.05 ? better ? "won" : "lost" : "";
        cell.dataset.v = pair.difference;
        const texts = [pairs.signed(pair.difference), pairs.interval(...pair.interval), pairs.p(pair.p)];
        [...cell.children].forEach((part, k) => { part.textContent = texts[k]; });
      });
    }
    const words = {
      title: drawn.figure,
      better: drawn.better,
      side: drawn.better === "higher" ? "below" : "above",
      examples: drawn.pairs.examples.toLocaleString("en"),
    };
    for (const part of document.querySelectorAll("[data-figure]")) part.textContent = words[part.dataset.figure];
  }

  function draw() {
    const a = Number(first.value), b = Number(second.value);
    const x = drawn.values[a], y = drawn.values[b];
    for (const [field, index] of [["first", a], ["second", b]]) {
      for (const name of document.querySelectorAll(`[data-name="${field}"]`)) name.textContent = data.methods[index];
    }
    say(a, b);
    const shared = [...x.keys()].filter((i) => x[i] !== null && y[i] !== null);
    scatter(a, b, shared);
    const order = shared.sort((i, j) => Math.abs(x[j] - y[j]) - Math.abs(x[i] - y[i])).slice(0, data.most);
    document.getElementById("differing").replaceChildren(...order.map((i) => line(i, x, y)));
    if (!matrix) return;
    for (const marked of matrix.querySelectorAll(".chosen")) marked.classList.remove("chosen");
    if (Math.max(a, b) < data.ranked) matrix.rows[a].cells[b + 1].classList.add("chosen");
  }

  // Draws by the chosen figure, at once or when its script has come.
  function show() {
    const key = chosen.value;
    if (!loaded[key]) {
      const script = document.createElement("script");
      script.src = `${data.folder}/${key}.js`;
      script.addEventListener("load", () => script.remove());
      // without its file the page stays, and says that it stays, with the figure that it shows
      script.addEventListener("error", () => {
        script.remove();
        if (chosen.value === key) choose(first.value, second.value, drawn.key);
      });
      document.head.append(script);
      return;
    }
    if (drawn !== loaded[key]) {
      drawn = loaded[key];
      fill();
    }
    draw();
  }

  // what such a script calls
  window.whybenchFigure = (figure) => {
    loaded[figure.key] = figure;
    if (chosen.value === figure.key) show();
  };

  function state() {
    const said = new URLSearchParams({ a: data.methods[first.value], b: data.methods[second.value] });
    if (chosen.value !== data.key) said.set("figure", chosen.value);
    return said.toString();
  }

  // the same two on another task, and on all
  function link() {
    for (const leads of document.querySelectorAll("a[data-pair]")) leads.hash = state();
  }

  function read() {
    const said = new URLSearchParams(location.hash.slice(1));
    const a = data.methods.indexOf(said.get("a")), b = data.methods.indexOf(said.get("b"));
    if (a < 0 || b < 0) return;
    const keys = [...chosen.options].map((option) => option.value);
    choose(a, b, keys.includes(said.get("figure")) ? said.get("figure") : data.key);
  }

  function choose(a, b, key) {
    first.value = a;
    second.value = b;
    chosen.value = key;
    show();
    history.replaceState(null, "", `#${state()}`);
    link();
  }

  document.getElementById("choose").hidden = false;
  for (const field of [first, second, chosen]) {
    field.addEventListener("change", () => choose(first.value, second.value, chosen.value));
  }
  document.getElementById("swap").addEventListener("click", () => choose(second.value, first.value, chosen.value));
  if (matrix) {
    matrix.addEventListener("click", (event) => {
      const cell = event.target.closest("td:not(.self)");
      if (!cell) return;
      choose(cell.parentElement.dataset.first, cell.cellIndex - 1, chosen.value);
      document.getElementById("pair").scrollIntoView();
    });
    matrix.closest("table").classList.add("clickable");
  }
  window.addEventListener("hashchange", read);
  draw();
  link();
  read();
})();

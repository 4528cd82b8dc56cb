// A reader's choice of two methods, drawn from the figures in the page. Without this file the best two are shown.
"use strict";

(function versus() {
  const data = JSON.parse(document.getElementById("figures").textContent);
  const first = document.getElementById("first"), second = document.getElementById("second");
  const matrix = document.querySelector(".matrix tbody");
  const minus = (text) => text.replace("-", "\u2212");
  const figure = (value) => minus(value.toFixed(3));

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
    const apart = x[index] - y[index];
    row.append(head, ...[figure(x[index]), figure(y[index]), (apart > 0 ? "+" : "") + figure(apart)].map((number) => {
      const cell = document.createElement("td");
      cell.textContent = number;
      return cell;
    }));
    return row;
  }

  function scatter(a, b) {
    const names = [data.methods[a], data.methods[b]];
    const [across, upright] = names.map((name) => `\u2192 ${name.slice(0, 40)}`);
    const examples = [{ id: data.examples.map(([id]) => id), first: data.values[a], second: data.values[b] }];
    window.redraw(
      document.querySelector('[data-chart="versus"]'),
      { data: { examples }, given: { first: across, second: upright, names, ends: data.ends } },
      `${data.figure} of each example under ${names[0]} and under ${names[1]}.`,
    );
  }

  function draw() {
    const a = Number(first.value), b = Number(second.value);
    const x = data.values[a], y = data.values[b];
    for (const [field, index] of [["first", a], ["second", b]]) {
      for (const name of document.querySelectorAll(`[data-name="${field}"]`)) name.textContent = data.methods[index];
    }
    const cell = matrix.rows[a].cells[b + 1];
    const said = a === b ? ["0", "0", "the same method"] : [...cell.children].map((part) => part.textContent);
    ["difference", "interval", "p"].forEach((name, i) => {
      document.querySelector(`[data-said="${name}"]`).textContent = said[i];
    });
    scatter(a, b);
    const order = [...x.keys()].sort((i, j) => Math.abs(x[j] - y[j]) - Math.abs(x[i] - y[i])).slice(0, data.most);
    document.getElementById("differing").replaceChildren(...order.map((i) => line(i, x, y)));
    for (const marked of matrix.querySelectorAll(".chosen")) marked.classList.remove("chosen");
    cell.classList.add("chosen");
  }

  function write() {
    const state = new URLSearchParams({ a: data.methods[first.value], b: data.methods[second.value] }).toString();
    history.replaceState(null, "", `#${state}`);
    // the same two on another task
    for (const link of document.querySelectorAll("a[data-pair]")) link.hash = state;
  }

  function read() {
    const state = new URLSearchParams(location.hash.slice(1));
    const a = data.methods.indexOf(state.get("a")), b = data.methods.indexOf(state.get("b"));
    if (a < 0 || b < 0) return;
    first.value = a;
    second.value = b;
    draw();
    write();
  }

  function choose(a, b) {
    first.value = a;
    second.value = b;
    draw();
    write();
  }

  document.getElementById("choose").hidden = false;
  for (const field of [first, second]) field.addEventListener("change", () => choose(first.value, second.value));
  document.getElementById("swap").addEventListener("click", () => choose(second.value, first.value));
  matrix.addEventListener("click", (event) => {
    const cell = event.target.closest("td:not(.self)");
    if (!cell) return;
    choose(cell.parentElement.dataset.first, cell.cellIndex - 1);
    document.getElementById("pair").scrollIntoView();
  });
  matrix.closest("table").classList.add("clickable");
  window.addEventListener("hashchange", read);
  draw();
  read();
})();

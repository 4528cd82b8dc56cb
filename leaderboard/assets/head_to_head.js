// A reader's choice of two methods, on all boards. Without this file the best two are shown.
"use strict";

(function headToHead() {
  const data = JSON.parse(document.getElementById("data").textContent);
  const first = document.getElementById("first"), second = document.getElementById("second");
  const figure = document.getElementById("figure");
  const table = document.querySelector(".duels tbody");
  const missing = document.getElementById("missing");

  const say = (name, text) => { document.querySelector(`[data-said="${name}"]`).textContent = text; };

  // The two on every board; null where one of them has no such figure.
  function lines(a, b) {
    const found = data.boards.map((board) => {
      const known = board.figures[figure.value], i = board.methods.indexOf(a), j = board.methods.indexOf(b);
      const pair = known && i >= 0 && j >= 0 ? pairs.read(known, board.methods.length, i, j) : null;
      return pair && { ...pair, ranked: [i < board.ranked, j < board.ranked] };
    });
    const there = found.filter(Boolean), corrected = pairs.holm(there.map((pair) => pair.p));
    there.forEach((pair, place) => {
      pair.p = corrected[place];
      const better = pair.difference > 0 === (data.figures[figure.value] === "higher");
      pair.winner = pair.p <= 0.05 ? better ? "first" : "second" : "";
    });
    return found;
  }

  function fill(row, pair, widest) {
    row.hidden = !pair;
    if (!pair) return;
    const [difference, p, better, ...others] = [...row.cells].slice(1), counts = others.pop();
    others.forEach((cell, side) => {
      const [mean, note] = cell.children;
      mean.textContent = pairs.number(pair.means[side]);
      note.textContent = pair.ranked[side] ? "" : "not ranked";
    });
    const place = (value) => (50 + 50 * value / (widest || 1)).toFixed(1);
    difference.children[0].textContent = pairs.signed(pair.difference);
    difference.children[1].textContent = pairs.interval(...pair.interval);
    difference.className = `apart${pair.winner ? pair.winner === "first" ? " won" : " lost" : ""}`;
    difference.style.cssText = `--l:${place(pair.interval[0])};--m:${place(pair.difference)};--h:${place(pair.interval[1])}`;
    p.textContent = pairs.p(pair.p);
    better.firstElementChild.textContent = pair.winner ? data.methods[(pair.winner === "first" ? first : second).value] : "undecided";
    counts.textContent = pair.counts.join(" / ");
  }

  function draw() {
    const a = Number(first.value), b = Number(second.value);
    for (const [field, index] of [["first", a], ["second", b]]) {
      for (const name of document.querySelectorAll(`[data-name="${field}"]`)) name.textContent = data.methods[index];
    }
    const [title, arrow] = [figure.selectedOptions[0].textContent.slice(0, -2), figure.selectedOptions[0].dataset.arrow];
    const words = { title, arrow, better: `${data.figures[figure.value]} is better` };
    for (const part of document.querySelectorAll("[data-figure]")) part.textContent = words[part.dataset.figure];
    const found = lines(a, b), there = found.filter(Boolean);
    const widest = Math.max(0, ...there.flatMap((pair) => [...pair.interval, pair.difference].map(Math.abs)));
    found.forEach((pair, place) => fill(table.rows[place], pair, widest));
    const tally = (winner) => there.filter((pair) => pair.winner === winner).length;
    say("better", tally("first"));
    say("worse", tally("second"));
    say("open", tally(""));
    say("all", there.length);
    const skills = [data.skill[a], data.skill[b]];
    document.getElementById("skill").hidden = !skills.every(Boolean);
    if (skills.every(Boolean)) {
      say("skill", `${skills[0][0]} against ${skills[1][0]}, ${skills[0][1].includes(b) ? "no" : "a"} significant difference`);
    }
    for (const note of document.querySelectorAll("[data-note]")) note.hidden = ![a, b].includes(Number(note.dataset.note));
    const without = data.boards.filter((_, place) => !found[place]).map((board) => board.title);
    missing.hidden = !without.length;
    missing.firstElementChild.replaceChildren(...without.flatMap((text, place) => {
      const name = document.createElement("bdi");
      name.textContent = text;
      return place ? [", ", name] : [name];
    }));
  }

  const two = () => ({ a: data.methods[first.value], b: data.methods[second.value] });

  // the same two on the page of a board, with their figure: it may open with another one
  function link() {
    const state = new URLSearchParams({ ...two(), figure: figure.value }).toString();
    for (const leads of document.querySelectorAll("a[data-pair]")) leads.hash = state;
  }

  function write() {
    const state = new URLSearchParams(figure.selectedIndex ? { ...two(), figure: figure.value } : two());
    history.replaceState(null, "", `#${state}`);
  }

  let chosen = [first.value, second.value];

  function choose(a, b, key) {
    // a method has no match with itself: who takes the other's place leaves it their own
    if (a === b) [a, b] = a === chosen[1] ? [a, chosen[0]] : [chosen[1], b];
    chosen = [a, b];
    first.value = a;
    second.value = b;
    figure.value = key;
    draw();
    write();
    link();
  }

  function read() {
    const state = new URLSearchParams(location.hash.slice(1));
    const a = data.methods.indexOf(state.get("a")), b = data.methods.indexOf(state.get("b"));
    if (a < 0 || b < 0 || a === b) return;
    choose(String(a), String(b), Object.hasOwn(data.figures, state.get("figure")) ? state.get("figure") : figure.options[0].value);
  }

  document.getElementById("choose").hidden = false;
  for (const field of [first, second, figure]) {
    field.addEventListener("change", () => choose(first.value, second.value, figure.value));
  }
  document.getElementById("swap").addEventListener("click", () => choose(second.value, first.value, figure.value));
  window.addEventListener("hashchange", read);
  draw();
  link();
  read();
})();

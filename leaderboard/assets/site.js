// Sorting, filtering, and the state of both in the address. Without this file every table is still there, whole.
"use strict";

(function overview() {
  const form = document.getElementById("controls");
  if (!form) return;
  const fields = { q: form.querySelector("#q"), family: form.querySelector("#family"), task: form.querySelector("#task") };
  const sections = [...document.querySelectorAll("section.task")];
  const bodies = [...document.querySelectorAll("table.board tbody")];
  const drawn = new Map(bodies.map((body) => [body, [...body.querySelectorAll("tr[data-row]")]]));
  const rows = [...document.querySelectorAll("[data-row]")];
  const words = new Map(rows.map((row) => {
    const section = row.closest("section.task");
    const name = row.querySelector("a").textContent;
    return [row, [name, row.dataset.family, section.dataset.task, section.dataset.model].join(" ").toLowerCase()];
  }));
  const names = new Intl.Collator("en", { numeric: true });
  // the column and direction that all tables are sorted by; null is the order in which they were written
  let sort = null;

  function value(row, index) {
    const cell = row.children[index];
    return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
  }

  function applySort() {
    for (const table of document.querySelectorAll("table.board")) {
      const heads = [...table.querySelectorAll("thead th[data-key]")];
      const index = sort ? heads.findIndex((head) => head.dataset.key === sort.key) : -1;
      heads.forEach((head, i) => {
        if (i === index) head.setAttribute("aria-sort", sort.order === "asc" ? "ascending" : "descending");
        else head.removeAttribute("aria-sort");
      });
      const sign = sort && sort.order === "desc" ? -1 : 1;
      for (const body of table.tBodies) {
        const ordered = [...drawn.get(body)];
        if (index === 0) ordered.sort((a, b) => sign * names.compare(words.get(a), words.get(b)));
        if (index > 0) {
          ordered.sort((a, b) => {
            const x = value(a, index), y = value(b, index);
            // a row without the figure stays last in both directions
            if (x === null || y === null) return (x === null) - (y === null);
            return sign * (x - y);
          });
        }
        body.append(...ordered);
      }
    }
  }

  function applyFilter() {
    const query = fields.q.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const section = row.closest("section.task");
      const keep = (!fields.family.value || row.dataset.family === fields.family.value)
        && (!fields.task.value || section.dataset.task === fields.task.value)
        && query.split(/\s+/).every((word) => words.get(row).includes(word));
      row.hidden = !keep;
      shown += keep;
    }
    const empty = (part) => !part.querySelector("[data-row]:not([hidden])");
    for (const section of sections) section.hidden = empty(section);
    for (const part of document.querySelectorAll(".failures, table.board, tbody.references")) part.hidden = empty(part);
    document.getElementById("nothing").hidden = shown > 0;
    document.getElementById("count").textContent = `${shown} of ${rows.length} rows`;
  }

  function write() {
    const state = new URLSearchParams();
    for (const [name, field] of Object.entries(fields)) if (field.value) state.set(name, field.value);
    if (sort) state.set("sort", `${sort.key}.${sort.order}`);
    const text = state.toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  }

  function read() {
    const text = location.hash.slice(1);
    // an address without "=" leads to a table, not to a state
    if (text && !text.includes("=")) return;
    const state = new URLSearchParams(text);
    for (const [name, field] of Object.entries(fields)) {
      field.value = state.get(name) || "";
      if (field.value !== (state.get(name) || "")) field.value = "";
    }
    const match = /^(.*)\.(asc|desc)$/.exec(state.get("sort") || "");
    sort = match ? { key: match[1], order: match[2] } : null;
    applySort();
    applyFilter();
  }

  function next(head) {
    const first = head.dataset.better === "higher" || head.dataset.key === "coverage" ? "desc" : "asc";
    const second = first === "asc" ? "desc" : "asc";
    const key = head.dataset.key;
    if (!sort || sort.key !== key) return { key, order: first };
    return sort.order === first ? { key, order: second } : null;
  }

  for (const head of document.querySelectorAll("table.board thead th[data-key]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => { sort = next(head); applySort(); write(); });
  }
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => { applyFilter(); write(); });
  function reset() {
    for (const field of Object.values(fields)) field.value = "";
    sort = null;
    applySort();
    applyFilter();
    write();
  }
  form.addEventListener("reset", (event) => { event.preventDefault(); reset(); });
  document.getElementById("clear").addEventListener("click", reset);
  window.addEventListener("hashchange", read);
  applyFilter();
  read();
})();

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

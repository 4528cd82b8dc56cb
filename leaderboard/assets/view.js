// The form that filters, sorts and shares the view of all boards of a page: its state is in the address. Without this
// file the boards are there, whole.
"use strict";

const boards = (function view() {
  const form = document.getElementById("controls");
  if (!form) return [];
  const fields = {};
  for (const name of ["q", "family", "task", "model", "signed", "standing", "gates"]) {
    const field = document.getElementById(name);
    if (field) fields[name] = field;
  }
  const chosen = (name) => (fields[name] ? fields[name].value : "");
  const said = document.getElementById("said");
  const chooser = document.getElementById("chooser");
  const columns = document.getElementById("columns");
  const sections = [...document.querySelectorAll("section.task")];
  // methods on boards, and lines that lead to boards, which no choice of methods leaves out
  const rows = [...document.querySelectorAll("[data-row], [data-line]")].map((row) => {
    const section = row.closest("section.task");
    const told = { ...section.dataset, ...row.dataset };
    const words = [row.querySelector("a").textContent, told.family, told.task, told.model].join(" ").toLowerCase();
    return { row, section, told, words, is: told.is?.split(" "), method: told.row !== undefined, kept: true };
  });
  const known = new Map(rows.map((one) => [one.row, one]));
  // the column and direction that all boards are sorted by; null is the order in which they were written
  let sort = null;
  let hidden = new Set();

  addChooser();
  const found = [...document.querySelectorAll("table.board")].filter((table) => !table.dataset.sorts).map((table) => {
    const board = enhance(table, () => {
      const [now] = board.api.order();
      sort = now && now[1] ? { key: board.heads[now[0]].dataset.key, order: now[1] } : null;
      for (const other of found) if (other !== board) applySort(other);
      write(true);
    }, (row) => known.get(row).kept);
    return Object.assign(board, { section: table.closest("section.task") });
  });

  function applySort({ api, heads }, draw = true) {
    const index = sort ? heads.findIndex((head) => head.dataset.key === sort.key) : -1;
    const [now] = api.order();
    if (index < 0 ? !now || !now[1] : now && now[0] === index && now[1] === sort.order) return;
    api.order(index < 0 ? [] : [[index, sort.order]]);
    if (draw) api.draw();
  }

  function applyColumns({ api, heads }) {
    const other = (head, name) => head.dataset[name] !== undefined && chosen(name) !== "" && head.dataset[name] !== chosen(name);
    const gone = heads.map((head) => hidden.has(head.dataset.key) || other(head, "task") || other(head, "model"));
    const now = api.columns().visible().toArray();
    for (const is of [true, false]) {
      const changed = gone.flatMap((no, i) => (no !== is && now[i] !== is ? [i] : []));
      if (changed.length) api.columns(changed).visible(is, false);
    }
  }

  function applyFilter() {
    const query = chosen("q").trim().toLowerCase().split(/\s+/);
    const wanted = ["signed", "standing", "gates"].map(chosen).filter(Boolean);
    const fits = ({ section, told }, name) => {
      if (!chosen(name) || told[name] === chosen(name)) return true;
      // a table over several tasks has a column for each
      return told[name] === undefined && [...section.querySelectorAll("th")].some((head) => head.dataset[name] === chosen(name));
    };
    for (const one of rows) {
      one.kept = fits(one, "task") && fits(one, "model") && query.every((word) => one.words.includes(word))
        && (!one.method || ((!chosen("family") || one.told.family === chosen("family"))
          && wanted.every((word) => one.is.includes(word))));
      if (one.row.tagName !== "TR") one.row.hidden = !one.kept;
    }
    const kept = rows.filter((one) => one.kept);
    const open = new Set(kept.map((one) => one.section));
    for (const section of sections) section.hidden = !open.has(section);
    for (const list of document.querySelectorAll(".failures")) list.hidden = !list.querySelector("[data-row]:not([hidden])");
    document.getElementById("nothing").hidden = kept.length > 0;
    const methods = (all) => all.filter((one) => one.method).length;
    document.getElementById("count").textContent = `${methods(kept)} of ${methods(rows)} rows`;
  }

  function apply() {
    applyFilter();
    for (const box of form.querySelectorAll("#columns input")) box.checked = !hidden.has(box.value);
    for (const board of found) {
      applySort(board, false);
      applyColumns(board);
      board.api.draw();
      board.table.closest(".scroll").hidden = !board.rows.some((row) => known.get(row).kept);
    }
  }

  // what is typed changes the address, what is chosen also leaves a step to go back to
  function write(step) {
    const state = new URLSearchParams();
    for (const [name, field] of Object.entries(fields)) if (field.value) state.set(name, field.value);
    if (sort) state.set("sort", `${sort.key}.${sort.order}`);
    if (hidden.size) state.set("hide", [...hidden].join(","));
    const text = state.toString();
    const address = text ? `#${text}` : location.pathname + location.search;
    if (`#${text}` === location.hash || (!text && !location.hash)) return;
    if (step) history.pushState(null, "", address);
    else history.replaceState(null, "", address);
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
    hidden = new Set((state.get("hide") || "").split(",").filter(Boolean));
    // the names of rows stay
    hidden.delete("method");
    apply();
  }

  function addChooser() {
    const groups = new Map();
    for (const table of document.querySelectorAll("table.board:has([data-ranked])")) {
      const above = [];
      const cells = table.querySelector("tr.groups");
      for (const cell of cells ? cells.cells : []) above.push(...Array(cell.colSpan).fill(cell.textContent));
      [...table.querySelectorAll("thead th[data-key]")].forEach((head, i) => {
        if (i === 0) return;
        const group = above[i] || (head.dataset.task === undefined ? "Place" : "Skill by task");
        if (!groups.has(group)) groups.set(group, new Map());
        const title = head.querySelector(".name").textContent;
        const model = head.dataset.model && head.dataset.model !== head.dataset.task ? `, ${head.dataset.model}` : "";
        groups.get(group).set(head.dataset.key, (title + model).slice(0, 60));
      });
    }
    for (const [group, keys] of groups) {
      const set = document.createElement("fieldset");
      set.append(Object.assign(document.createElement("legend"), { textContent: group }));
      for (const [key, title] of keys) {
        const label = document.createElement("label");
        const box = Object.assign(document.createElement("input"), { type: "checkbox", value: key, checked: true });
        label.append(box, ` ${title}`);
        set.append(label);
      }
      columns.append(set);
    }
  }

  function reset() {
    for (const field of Object.values(fields)) field.value = "";
    sort = null;
    hidden = new Set();
    apply();
    write(true);
  }

  async function copy() {
    try {
      await navigator.clipboard.writeText(location.href);
      said.textContent = "Link copied.";
    } catch {
      // a browser that keeps the clipboard from pages
      said.textContent = "The link is in the address bar.";
    }
    setTimeout(() => { said.textContent = ""; }, 4000);
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    if (event.target.type === "checkbox") {
      if (event.target.checked) hidden.delete(event.target.value);
      else hidden.add(event.target.value);
    }
    apply();
    write(event.target !== fields.q);
  });
  form.addEventListener("reset", (event) => { event.preventDefault(); reset(); });
  document.getElementById("copy").addEventListener("click", copy);
  document.getElementById("clear").addEventListener("click", reset);
  // it hangs from its button, and not over the edge of the page
  chooser.addEventListener("toggle", () => {
    columns.style.left = "";
    const over = columns.getBoundingClientRect().right + 16 - document.documentElement.clientWidth;
    if (over > 0) columns.style.left = `${-over}px`;
  });
  chooser.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !chooser.open) return;
    chooser.open = false;
    chooser.querySelector("summary").focus();
  });
  document.addEventListener("click", (event) => { if (!chooser.contains(event.target)) chooser.open = false; });
  window.addEventListener("hashchange", read);
  window.addEventListener("popstate", read);
  form.hidden = false;
  if (location.hash.includes("=")) read();
  else applyFilter();
  return found;
})();

// Sorting, filtering and choosing columns, and the state of all three in the address. Without this file every table is
// still there, whole.
"use strict";

(function overview() {
  const form = document.getElementById("controls");
  if (!form) return;
  const count = document.getElementById("count");
  const said = document.getElementById("said");
  const fields = {};
  for (const name of ["q", "family", "task", "model", "signed", "standing", "gates"]) {
    const field = document.getElementById(name);
    if (field) fields[name] = field;
  }
  const sections = [...document.querySelectorAll("section.task")];
  const tables = [...document.querySelectorAll("table.board")].map((table, number) => {
    table.dataset.n = number;
    const heads = [...table.querySelectorAll("thead th[data-key]")];
    const bodies = [...table.tBodies].map((body) => ({ body, drawn: [...body.querySelectorAll("tr[data-row]")] }));
    return { table, heads, bodies, section: table.closest("section.task") };
  });
  const rows = [...document.querySelectorAll("[data-row]")].map((row) => {
    const section = row.closest("section.task");
    const words = [row.querySelector("a").textContent, row.dataset.family, section.dataset.task, section.dataset.model];
    return { row, section, is: row.dataset.is.split(" "), words: words.join(" ").toLowerCase() };
  });
  const words = new Map(rows.map((one) => [one.row, one.words]));
  const names = new Intl.Collator("en", { numeric: true });
  const style = document.head.appendChild(document.createElement("style"));
  // the column and direction that all tables are sorted by; null is the order in which they were written
  let sort = null;
  let hidden = new Set();

  const chosen = (name) => (fields[name] ? fields[name].value : "");

  function value(row, index) {
    const cell = row.children[index];
    return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
  }

  function applySort() {
    for (const { heads, bodies } of tables) {
      const index = sort ? heads.findIndex((head) => head.dataset.key === sort.key) : -1;
      const before = heads.find((head) => head.hasAttribute("aria-sort"));
      // what is drawn as it should be is left alone
      if (index < 0 && !before) continue;
      heads.forEach((head, i) => {
        if (i === index) head.setAttribute("aria-sort", sort.order === "asc" ? "ascending" : "descending");
        else head.removeAttribute("aria-sort");
      });
      const sign = sort && sort.order === "desc" ? -1 : 1;
      for (const { body, drawn } of bodies) {
        const ordered = [...drawn];
        if (index === 0) ordered.sort((a, b) => sign * names.compare(words.get(a), words.get(b)));
        if (index > 0) {
          const values = new Map(ordered.map((row) => [row, value(row, index)]));
          ordered.sort((a, b) => {
            const x = values.get(a), y = values.get(b);
            // a row without the figure stays last in both directions
            if (x === null || y === null) return (x === null) - (y === null);
            return sign * (x - y);
          });
        }
        body.append(...ordered);
      }
    }
  }

  // columns are hidden by a rule for each: to go through all cells would take long in a large table
  function applyColumns() {
    const rules = [];
    for (const { table, heads } of tables) {
      const gone = heads.map((head) => hidden.has(head.dataset.key)
        || (head.dataset.task !== undefined && chosen("task") !== "" && head.dataset.task !== chosen("task"))
        || (head.dataset.model !== undefined && chosen("model") !== "" && head.dataset.model !== chosen("model")));
      gone.forEach((is, i) => {
        if (is) rules.push(`table[data-n="${table.dataset.n}"] tr:not(.groups) > :nth-child(${i + 1}) { display: none }`);
      });
      const groups = table.querySelector("tr.groups");
      if (groups) {
        let at = 0;
        for (const cell of groups.cells) {
          cell.dataset.span = cell.dataset.span || cell.colSpan;
          const width = Number(cell.dataset.span);
          const left = gone.slice(at, at + width).filter((is) => !is).length;
          cell.colSpan = Math.max(1, left);
          cell.hidden = !left;
          at += width;
        }
      }
      const left = gone.filter((is) => !is).length;
      for (const cell of table.querySelectorAll("tr.sub > th")) cell.colSpan = left;
    }
    style.textContent = rules.join("\n");
    for (const box of form.querySelectorAll("#columns input")) box.checked = !hidden.has(box.value);
  }

  function applyFilter() {
    const query = chosen("q").trim().toLowerCase().split(/\s+/);
    const wanted = ["signed", "standing", "gates"].map(chosen).filter(Boolean);
    const fits = (section, name) => {
      if (!chosen(name)) return true;
      if (section.dataset[name] !== undefined) return section.dataset[name] === chosen(name);
      // a table over several tasks has a column for each
      return [...section.querySelectorAll("th[data-task]")].some((head) => head.dataset[name] === chosen(name));
    };
    const open = new Set(sections.filter((section) => fits(section, "task") && fits(section, "model")));
    let shown = 0;
    for (const { row, section, is, words } of rows) {
      const keep = open.has(section)
        && (!chosen("family") || row.dataset.family === chosen("family"))
        && wanted.every((word) => is.includes(word))
        && query.every((word) => words.includes(word));
      row.hidden = !keep;
      shown += keep;
    }
    const empty = (part) => !part.querySelector("[data-row]:not([hidden])");
    for (const section of sections) section.hidden = empty(section);
    for (const part of document.querySelectorAll(".failures, table.board, tbody.references")) part.hidden = empty(part);
    document.getElementById("nothing").hidden = shown > 0;
    count.textContent = `${shown} of ${rows.length} rows`;
  }

  function apply() {
    applySort();
    applyFilter();
    applyColumns();
  }

  function state() {
    const found = new URLSearchParams();
    for (const [name, field] of Object.entries(fields)) if (field.value) found.set(name, field.value);
    if (sort) found.set("sort", `${sort.key}.${sort.order}`);
    if (hidden.size) found.set("hide", [...hidden].join(","));
    return found.toString();
  }

  // what is typed changes the address, what is chosen also leaves a step to go back to
  function write(step) {
    const text = state();
    const address = text ? `#${text}` : location.pathname + location.search;
    if (`#${text}` === location.hash || (!text && !location.hash)) return;
    if (step) history.pushState(null, "", address);
    else history.replaceState(null, "", address);
  }

  function read() {
    const text = location.hash.slice(1);
    // an address without "=" leads to a table, not to a state
    if (text && !text.includes("=")) return;
    const found = new URLSearchParams(text);
    for (const [name, field] of Object.entries(fields)) {
      field.value = found.get(name) || "";
      if (field.value !== (found.get(name) || "")) field.value = "";
    }
    const match = /^(.*)\.(asc|desc)$/.exec(found.get("sort") || "");
    sort = match ? { key: match[1], order: match[2] } : null;
    hidden = new Set((found.get("hide") || "").split(",").filter(Boolean));
    // the names of rows stay
    hidden.delete("method");
    apply();
  }

  function next(head) {
    const first = head.dataset.better === "higher" || head.dataset.key === "coverage" ? "desc" : "asc";
    const second = first === "asc" ? "desc" : "asc";
    const key = head.dataset.key;
    if (!sort || sort.key !== key) return { key, order: first };
    return sort.order === first ? { key, order: second } : null;
  }

  function addChooser() {
    const groups = new Map();
    for (const { table, heads } of tables) {
      const above = [];
      const cells = table.querySelector("tr.groups");
      for (const cell of cells ? cells.cells : []) above.push(...Array(cell.colSpan).fill(cell.textContent));
      heads.forEach((head, i) => {
        if (i === 0) return;
        const group = above[i] || (head.dataset.task === undefined ? "Place" : "Skill by task");
        if (!groups.has(group)) groups.set(group, new Map());
        const title = head.querySelector(".name").textContent;
        const model = head.dataset.model && head.dataset.model !== head.dataset.task ? `, ${head.dataset.model}` : "";
        groups.get(group).set(head.dataset.key, (title + model).slice(0, 60));
      });
    }
    for (const [group, columns] of groups) {
      const set = document.createElement("fieldset");
      set.append(Object.assign(document.createElement("legend"), { textContent: group }));
      for (const [key, title] of columns) {
        const label = document.createElement("label");
        const box = Object.assign(document.createElement("input"), { type: "checkbox", value: key, checked: true });
        label.append(box, ` ${title}`);
        set.append(label);
      }
      document.getElementById("columns").append(set);
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

  addChooser();
  for (const head of document.querySelectorAll("table.board thead th[data-key]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => { sort = next(head); applySort(); write(true); });
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    if (event.target.type === "checkbox") {
      if (event.target.checked) hidden.delete(event.target.value);
      else hidden.add(event.target.value);
    } else applyFilter();
    applyColumns();
    write(event.target !== fields.q);
  });
  form.addEventListener("reset", (event) => { event.preventDefault(); reset(); });
  document.getElementById("copy").addEventListener("click", copy);
  document.getElementById("clear").addEventListener("click", reset);
  const chooser = document.getElementById("chooser");
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
})();

// DataTables on the site's tables: sorting, and what the form of a page asks for. Without this file every table is
// there, whole.
"use strict";

const enhance = (function tables() {
  const collator = new Intl.Collator("en", { numeric: true });
  DataTable.ext.errMode = "throw";

  // what a cell is sorted by: its figure in full, else what it says; null where it says nothing
  function value(cell) {
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    const text = (cell.querySelector("bdi, span") || cell).textContent.trim();
    if (text === "" || text === "–") return null;
    const number = Number(text.replace("−", "-").replace(/[,×%\s]/g, ""));
    return cell.tagName === "TH" || Number.isNaN(number) ? text : number;
  }

  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : collator.compare(a, b));
  // a row without the figure stays last in both directions
  const by = (sign) => (a, b) => (a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b));
  DataTable.type("shown", { order: { asc: by(1), desc: by(-1) } });
  DataTable.ext.order.shown = (settings, index) =>
    new DataTable.Api(settings).column(index, { order: "index" }).nodes().toArray().map(value);

  // the better end first, then the other, then as it was written
  function sequence(head) {
    const falls = head.dataset.key === "coverage" || head.querySelector(".arrow")?.textContent === "↑";
    return falls ? ["desc", "asc"] : ["asc", "desc"];
  }

  // heading and sorting are one button, as wide as the heading; beside a heading that is a link it is one of its own
  function button(head) {
    const made = document.createElement("button");
    made.type = "button";
    const link = head.querySelector("a");
    if (link) {
      made.append("↕");
      made.setAttribute("aria-label", `Sort by ${link.textContent}`);
    } else made.append(...head.childNodes);
    head.append(made);
    return made;
  }

  // DataTables knows one body: the rows of all are given to it, and after every drawing go back to their own
  // `sorted` is called when a reader has sorted the table, and `kept` says of a row whether it is to be shown
  return function enhance(table, sorted, kept) {
    const bodies = [...table.tBodies].map((body) => {
      const rows = [...body.rows].filter((row) => !row.classList.contains("sub"));
      return { body, title: body.querySelector("tr.sub"), rows, own: new Set(rows) };
    });
    const rows = bodies.flatMap((one) => one.rows);
    bodies[0].body.replaceChildren(...rows);
    const heads = [...[...table.tHead.rows].at(-1).cells];
    const buttons = heads.map(button);
    const api = new DataTable(table, {
      autoWidth: false, info: false, paging: false, orderClasses: false, titleRow: false, order: [],
      ordering: { indicators: false, handler: false },
      layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null },
      language: { emptyTable: "", zeroRecords: "" },
      columns: heads.map(() => ({ type: "shown", orderDataType: "shown", searchable: false })),
      drawCallback() {
        const drawn = this.api();
        const shown = drawn.rows({ search: "applied" }).nodes().toArray();
        for (const { body, title, own } of bodies) {
          const here = shown.filter((row) => own.has(row));
          body.replaceChildren(...(title ? [title] : []), ...here);
          body.hidden = !here.length;
          if (title) title.cells[0].colSpan = [...table.tHead.rows].at(-1).cells.length;
        }
      },
    });
    if (kept) api.search.fixed("kept", (text, data, index) => kept(rows[index]));
    buttons.forEach((made, i) => made.addEventListener("click", () => {
      const [now] = api.order();
      const steps = sequence(heads[i]);
      const step = steps[now && now[0] === i ? steps.indexOf(now[1]) + 1 : 0];
      api.order(step ? [[i, step]] : []).draw();
      if (sorted) sorted();
    }));
    return { table, heads, rows, api };
  };
})();

// tables that no form asks anything of are enhanced when they come into view: a page can have very many
const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    enhance(target);
  }
}, { rootMargin: "400px" });
for (const table of document.querySelectorAll("table[data-sorts]")) seen.observe(table);

// Files of what is shown: the rows and columns of a board as they are filtered and sorted. Without this file the whole
// tables are there to download.
"use strict";

(function shown() {
  // texts are escaped where the whole table's files are: here rows and columns are only chosen
  const writers = {
    csv({ columns, lines }, rows, has) {
      const line = (cells) => `${cells.filter((cell, i) => has(columns[i])).join(",")}\r\n`;
      return ["text/csv", `\ufeff${[lines[0], ...rows.map((row) => lines[row + 1])].map(line).join("")}`];
    },
    json({ data, fields, cost, figures }, rows, has) {
      const part = (all, columns) => all && Object.fromEntries(Object.entries(all).filter(([name]) => has(columns[name])));
      const whole = rows.map((row) => data.rows[row]).map((row) => part(
        { ...row, figures: part(row.figures, figures), ...("cost" in row ? { cost: part(row.cost, cost) } : {}) }, fields));
      const listed = (name) => (data[name] ? { [name]: data[name].filter(({ key }) => has(figures[key] ?? key)) } : {});
      return ["application/json", `${JSON.stringify({ ...data, ...listed("columns"), ...listed("boards"), rows: whole }, null, 1)}\n`];
    },
    tex({ above, aligned, columns, heads, parts, below }, rows, has) {
      const line = (cells) => cells.filter((cell, i) => has(columns[i])).join(" & ");
      const methods = parts[0].length;
      const all = [rows.filter((row) => row < methods), rows.filter((row) => row >= methods)].map((part) => part.map((row) => parts.flat()[row]));
      const lines = [above, `\\begin{tabular}{${[...aligned].filter((one, i) => has(columns[i])).join("")}}`, "\\toprule", `${line(heads)} \\\\`];
      for (const part of all) if (part.length) lines.push("\\midrule", ...part.map(([cells, end]) => line(cells) + end));
      return ["application/x-tex", `${[...lines, ...below].join("\n")}\n`];
    },
  };

  // a page that was opened from a file may load a script, and no other file
  function load(address, name) {
    return new Promise((resolve, reject) => {
      if (window.shownData?.[name]) resolve();
      else document.head.append(Object.assign(document.createElement("script"), { src: address, onload: resolve, onerror: reject }));
    }).then(() => window.shownData[name]);
  }

  async function save(board, place, kind) {
    const { name } = place.dataset;
    const data = await load(place.querySelector("a").getAttribute("href").replace(/csv$/, "js"), name);
    const shownColumns = new Set(board.heads.filter((head, i) => board.api.column(i).visible()).map((head) => head.dataset.key));
    const has = (column) => typeof column !== "string" || shownColumns.has(column);
    // references stand beneath the methods, however they are sorted
    const at = new Map(board.rows.map((row, i) => [row, i]));
    const rows = [...board.table.querySelectorAll("tr[data-row]")].map((row) => at.get(row));
    const [type, text] = writers[kind](data[kind], rows, has);
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([text], { type })), download: `${name}-shown.${kind}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  for (const board of boards) {
    const place = board.section.querySelector(".downloads[data-name]");
    if (!place) continue;
    const span = document.createElement("span");
    span.append(" · Only what is shown: ");
    for (const [kind, said] of [["csv", "CSV"], ["json", "JSON"], ["tex", "LaTeX"]]) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: said });
      button.setAttribute("aria-label", `${said} of the rows and columns of this table that are shown`);
      button.addEventListener("click", () => save(board, place, kind).catch(() => {
        document.getElementById("said").textContent = "The table's data cannot be loaded.";
      }));
      span.append(button, kind === "tex" ? "" : " ");
    }
    place.append(span);
  }
})();

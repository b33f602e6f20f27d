"use strict";
/* Heads that sort their table, folds that open for print, and curves drawn from tables of class curve-table with a slider that reads them out. */
document.addEventListener("DOMContentLoaded", () => {
  const numberOf = (text) => parseFloat(text.replace(/\u2212/g, "-").replace(/(\d),(?=\d{3})/g, "$1"));
  const textOf = (cell) => (cell ? cell.textContent.trim() : "");

  /* Numbers by size, then words by alphabet; a cell with nothing in it stays last either way. */
  function compare(left, right, sign) {
    const [a, b] = [numberOf(left), numberOf(right)], empty = (text) => text === "" || text === "\u2013";
    if (empty(left) || empty(right)) return empty(left) - empty(right);
    if (isNaN(a) !== isNaN(b)) return isNaN(a) - isNaN(b);
    return sign * (a - b || left.localeCompare(right));
  }

  for (const table of document.querySelectorAll(".bd-article table")) {
    const heads = [...table.querySelectorAll("thead tr:last-child > th")], body = table.tBodies[0];
    if (!body || body.rows.length < 3 || table.querySelector("[colspan], [rowspan]")) continue;
    heads.forEach((head, column) => {
      if (!textOf(head) || head.querySelector("a")) return;
      const holder = head.querySelector("p") || head, button = document.createElement("button");
      Object.assign(button, { type: "button", className: "sort" }).append(...holder.childNodes);
      holder.append(button);
      button.addEventListener("click", () => {
        const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
        const cell = (row) => textOf(row.cells[column]);
        body.append(...[...body.rows].sort((one, other) => compare(cell(one), cell(other), sign)));
      });
    });
  }

  /* An equation that scrolls is reached by keyboard. */
  window.addEventListener("load", () => window.MathJax?.startup?.promise?.then(() => {
    for (const equation of document.querySelectorAll("mjx-container[display='true']")) {
      if (equation.scrollWidth > equation.clientWidth) equation.tabIndex = 0;
    }
  }));

  /* A table's or a figure's entry for a bibliography gets the address that it is read at, and the day. */
  for (const fold of /^https?:$/.test(location.protocol) ? document.querySelectorAll("details.table-tools") : []) {
    const entry = fold.querySelector("pre"), table = fold.closest("figure[id]") || fold.previousElementSibling?.querySelector?.("table[id]") || fold.previousElementSibling;
    const address = `${location.origin}${location.pathname}${table?.id ? "#" + table.id : ""}`, day = new Date().toISOString().slice(0, 10);
    entry.textContent = entry.textContent.replace("  note =", `  url = {${address}},\n  urldate = {${day}},\n  note =`);
  }

  /* What an address names is unfolded, in browsers that do not do so themselves. */
  const unfold = () => {
    const target = location.hash.length > 1 ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
    for (let fold = target?.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    if (target?.closest("details")) target.scrollIntoView();
  };
  window.addEventListener("hashchange", unfold);
  unfold();

  /* On paper nothing unfolds. */
  window.addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll(".bd-article details:not(.table-tools)")) fold.open = true;
  });

  [...document.querySelectorAll("table.curve-table")].forEach((table, place) => {
    const heads = [...table.querySelectorAll("thead th")].map(textOf), WIDE = 600, HIGH = 260, EDGE = 46;
    const cells = [...table.tBodies[0].rows].map((row) => [...row.cells].map(textOf)), xs = cells.map((row) => numberOf(row[0]));
    const all = cells.flatMap((row) => row.slice(1).map(numberOf)).filter((value) => !isNaN(value));
    /* From nought, unless all lines lie in the upper half; ends in whole tens. */
    const least = Math.min(...all), low = least > 50 ? 10 * Math.floor(least / 10) : Math.min(0, least);
    const high = 10 * Math.ceil(Math.max(...all) / 10), first = Math.min(...xs), span = Math.max(...xs) - first;
    /* A colour for each name; the paper's line is dashed. */
    const named = [...new Set(heads.slice(1).map((head) => head.replace(/, (ours|paper)$/, "")))];
    const style = (head) => `curve-${2 * (named.indexOf(head.replace(/, (ours|paper)$/, "")) % 4) + (head.endsWith(", paper") ? 1 : 0)}`;
    const across = (x) => (EDGE + ((x - first) / span) * (WIDE - 2 * EDGE)).toFixed(1);
    const up = (y) => (HIGH - EDGE - ((y - low) / (high - low)) * (HIGH - 2 * EDGE)).toFixed(1);
    const lines = heads.slice(1).map((head, k) => {
      const points = cells.map((row, i) => [xs[i], numberOf(row[k + 1])]).filter(([, y]) => !isNaN(y));
      return `<polyline class="${style(head)}" points="${points.map(([x, y]) => `${across(x)},${up(y)}`).join(" ")}"/>`;
    });
    const label = (x, y, text, anchor) => `<text x="${x}" y="${y}" text-anchor="${anchor}">${text}</text>`;
    const figure = Object.assign(document.createElement("figure"), { className: "curve" });
    figure.innerHTML = `<svg viewBox="0 0 ${WIDE} ${HIGH}" aria-hidden="true"><path class="curve-axes" d="M${EDGE} 10V${HIGH - EDGE}H${WIDE - 10}"/>
      ${label(EDGE - 5, up(low), low, "end")}${label(EDGE - 5, up(high), high, "end")}${label(across(first), HIGH - 14, cells[0][0], "middle")}
      ${label(across(first + span), HIGH - 14, cells.at(-1)[0], "middle")}<line class="curve-marker" y1="10" y2="${HIGH - EDGE}"/>${lines.join("")}</svg>
      <label for="curve-${place}"></label> <input type="range" id="curve-${place}" min="0" max="${xs.length - 1}" step="1">
      <output for="curve-${place}"></output>`;
    figure.querySelector("label").textContent = heads[0];
    const slider = figure.querySelector("input"), output = figure.querySelector("output");
    slider.addEventListener("input", () => {
      const row = cells[slider.value], marker = figure.querySelector(".curve-marker");
      for (const end of ["x1", "x2"]) marker.setAttribute(end, across(xs[slider.value]));
      slider.setAttribute("aria-valuetext", `${heads[0]} ${row[0]}`);
      const shown = heads.map((head, k) => Object.assign(document.createElement("span"), { textContent: `${head}: ${row[k]}`, className: k ? `curve-key ${style(head)}` : "curve-knob" }));
      output.replaceChildren(...shown);
    });
    (table.closest(".pst-scrollable-table-container") || table).before(figure);
    slider.dispatchEvent(new Event("input"));
  });
});

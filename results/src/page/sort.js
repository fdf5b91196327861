// Headings become buttons that sort the rows inside each group. Without scripts the page is whole, in the records' order.
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  const groups = [...table.tBodies].map((body) => ({
    body,
    rows: [...body.rows].filter((row) => !row.classList.contains("group")),
  }));
  // A number sorts by its exact value; what was not measured has no place and stays behind all others.
  const key = (row, place) => {
    const cell = row.cells[place];
    if (!cell || cell.classList.contains("missing") || cell.classList.contains("verdict")) return undefined;
    return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), "en", { numeric: true });
  };
  const ordered = (rows, place, order) => {
    if (!order) return rows;
    const sign = order === "ascending" ? 1 : -1;
    const known = rows.filter((row) => key(row, place) !== undefined);
    known.sort((a, b) => sign * compare(key(a, place), key(b, place)));
    return [...known, ...rows.filter((row) => key(row, place) === undefined)];
  };
  heads.forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      const order = before === "ascending" ? "descending" : before === "descending" ? "" : "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (order) head.setAttribute("aria-sort", order);
      groups.forEach(({ body, rows }) => body.append(...ordered(rows, place, order)));
    });
  });
}

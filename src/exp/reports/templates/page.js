// A click on a column's head sorts its table: numbers by value, other cells alphabetically, empty cells last.
for (const th of document.querySelectorAll(".sortable th")) th.onclick = () => {
  const up = th.ariaSort !== "ascending", body = th.closest("table").tBodies[0], at = th.cellIndex;
  for (const other of th.parentNode.cells) other.ariaSort = null;
  th.ariaSort = up ? "ascending" : "descending";
  const key = row => row.cells[at].textContent;
  const order = (a, b) => !key(a) - !key(b) || (up ? 1 : -1) *
    (parseFloat(key(a)) - parseFloat(key(b)) || key(a).localeCompare(key(b), undefined, {numeric: true}));
  body.append(...[...body.rows].sort(order));
};

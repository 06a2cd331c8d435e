"""The review page's script: it shows the filter and makes tables sortable. Without it everything can still be read."""

SCRIPT = """
(() => {
  "use strict";

  const readable = (article) => {
    const copy = article.cloneNode(true);
    for (const aside of copy.querySelectorAll(".tag, .unseen, img, svg")) aside.remove();
    return copy.textContent.toLowerCase().replace(/\\s+/g, " ");
  };

  const filter = document.getElementById("filter");
  if (filter) {
    const cards = [...document.querySelectorAll("article.example")].map((article) => ({
      article, words: readable(article), attributes: article.dataset.attributes.split(" "),
    }));
    const apply = () => {
      const { kind, attribute, category, words } = filter.elements;
      const wanted = words.value.toLowerCase().split(/\\s+/).filter(Boolean);
      let shown = 0;
      for (const card of cards) {
        const fits = (!kind.value || card.article.dataset.kind === kind.value)
          && (!attribute.value || card.attributes.includes(attribute.value))
          && (!category.value || card.article.dataset.category === category.value)
          && wanted.every((word) => card.words.includes(word));
        card.article.hidden = !fits;
        if (fits) shown += 1;
      }
      for (const group of document.querySelectorAll(".group")) {
        group.hidden = !group.querySelector("article:not([hidden])");
      }
      filter.querySelector("[role=status]").textContent = shown === cards.length
        ? `${shown} products` : `${shown} of ${cards.length} products`;
    };
    filter.addEventListener("input", apply);
    filter.addEventListener("reset", () => setTimeout(apply));
    filter.addEventListener("submit", (event) => event.preventDefault());
    filter.hidden = false;
    apply(); // a browser may bring back what was typed before
  }

  const sortBy = (table, head, column) => {
    const down = head.getAttribute("aria-sort") !== "descending" && head.dataset.sort === "number"
      || head.getAttribute("aria-sort") === "ascending";
    const body = table.tBodies[0];
    const key = (row) => head.dataset.sort === "number"
      ? (row.cells[column].dataset.value === "" ? -Infinity : Number(row.cells[column].dataset.value))
      : row.cells[column].textContent;
    const order = head.dataset.sort === "number"
      ? (one, other) => key(one) - key(other) : (one, other) => key(one).localeCompare(key(other));
    const rows = [...body.rows].sort((one, other) => (down ? -1 : 1) * order(one, other));
    body.append(...rows);
    for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
  };

  for (const table of document.querySelectorAll("table[data-sortable]")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      if (!head.dataset.sort) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sortBy(table, head, column));
    });
  }
})();
"""

// The treegrid from the keyboard, its rows folded, the replay, and the dialog of a chaos verb with
// what is predicted. Without scripts the tree is all there, and a verb asks on a page of its own.
(() => {
  "use strict";
  const rows = () => [...document.querySelectorAll("[role=treegrid] tbody tr")];
  const level = (row) => Number(row.getAttribute("aria-level"));
  const folded = new Set();
  const fold = () => {
    let below = 0;
    for (const row of rows()) {
      if (below && level(row) > below) { row.hidden = true; continue; }
      below = 0;
      row.hidden = false;
      if (!row.hasAttribute("aria-expanded")) continue;
      const isFolded = folded.has(row.dataset.id);
      row.setAttribute("aria-expanded", String(!isFolded));
      if (isFolded) below = level(row);
    }
  };
  const set = (row, isFolded) => {
    if (isFolded) folded.add(row.dataset.id); else folded.delete(row.dataset.id);
    fold();
  };
  const focus = (row) => {
    if (!row) return;
    for (const each of rows()) each.tabIndex = -1;
    row.tabIndex = 0;
    row.focus();
  };
  const pick = (id) => {
    let found = null;
    for (const row of rows()) {
      const isIt = row.dataset.id === id;
      row.setAttribute("aria-selected", String(isIt));
      if (isIt) found = row;
    }
    for (const each of document.querySelectorAll(".map [data-id]")) each.classList.toggle("picked", each.dataset.id === id);
    return found;
  };
  document.addEventListener("keydown", (event) => {
    const row = event.target.closest && event.target.closest("[role=treegrid] tbody tr");
    if (!row || event.target !== row || event.ctrlKey || event.metaKey || event.altKey) return;
    const seen = rows().filter((each) => !each.hidden), at = seen.indexOf(row);
    const isOpen = row.getAttribute("aria-expanded");
    const parent = () => seen.slice(0, at).reverse().find((each) => level(each) < level(row));
    const keys = {
      ArrowDown: () => focus(seen[at + 1]), ArrowUp: () => focus(seen[at - 1]),
      Home: () => focus(seen[0]), End: () => focus(seen[seen.length - 1]),
      ArrowRight: () => { if (isOpen === "false") set(row, false); else if (isOpen === "true") focus(seen[at + 1]); },
      ArrowLeft: () => { if (isOpen === "true") set(row, true); else focus(parent()); },
      Enter: () => pick(row.dataset.id), " ": () => pick(row.dataset.id),
    };
    if (!Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-picks]");
    if (link) {
      const row = pick(link.dataset.picks);
      if (row) { event.preventDefault(); row.scrollIntoView({block: "nearest"}); focus(row); }
      return;
    }
    const name = event.target.closest(".tree tr[aria-expanded] .name");
    if (name && event.target === name) set(name.parentElement, name.parentElement.getAttribute("aria-expanded") === "true");
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches(".replay input[type=range]")) event.target.form.requestSubmit();
  });

  // A chaos verb: its dialog is the page of the prediction. In quiz mode that asks first, and the
  // answer leads to the page with the prediction, in the same dialog.
  const foreseen = async (url) => {
    const text = await (await fetch(url, {credentials: "same-origin"})).text();
    const page = new DOMParser().parseFromString(text, "text/html").querySelector("[data-foreseen]");
    if (!page) return null;
    for (const form of page.querySelectorAll("form")) form.action = new URL(form.getAttribute("action"), new URL(url, location.href));
    for (const link of page.querySelectorAll("a[href]")) link.href = new URL(link.getAttribute("href"), new URL(url, location.href));
    return page;
  };
  const show = (dialog, page) => {
    dialog.setAttribute("aria-label", page.dataset.title);
    dialog.replaceChildren(...page.childNodes);
    const close = document.createElement("button");
    close.type = "button";
    close.textContent = "Close";
    close.dataset.close = "";
    (dialog.querySelector(".buttons") || dialog).append(" ", close);
  };
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !form.matches("dialog [data-quiz]")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const asked = `${form.action}?${new URLSearchParams(new FormData(form))}`, dialog = form.closest("dialog");
    let page = null;
    try { page = await foreseen(asked); } catch { /* the page itself says what is wrong */ }
    if (!page) { location.assign(asked); return; }
    show(dialog, page);
    dialog.querySelector("[data-close]").focus();
  }, true);
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !form.dataset.foresee) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const opener = event.submitter;
    let page = null;
    try { page = await foreseen(form.dataset.foresee); }
    catch { document.dispatchEvent(new CustomEvent("antq:away")); return; }
    if (!page) { form.submit(); return; }
    const dialog = document.createElement("dialog");
    show(dialog, page);
    dialog.addEventListener("close", () => { dialog.remove(); if (opener.isConnected) opener.focus(); });
    document.body.append(dialog);
    dialog.showModal();
  }, true);
  document.addEventListener("antq:shown", fold);
})();

// Completes the last term of the filter box: its key, or a value of that key. The names come from
// the server when somebody types, and are asked again after a while; without them the box works.
(() => {
  "use strict";
  const MOST = 12, FRESH_MS = 30_000;
  const mount = document.body.dataset.mount;
  const box = document.querySelector("[data-suggestions]");
  const list = document.createElement("ul");
  list.id = "suggestions";
  list.className = "suggestions";
  list.hidden = true;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Suggestions");
  const said = document.createElement("span");
  said.className = "sr";
  said.setAttribute("aria-live", "polite");
  box.after(list, said);
  box.setAttribute("aria-autocomplete", "list");
  box.setAttribute("aria-haspopup", "listbox");
  box.setAttribute("aria-controls", list.id);

  // ---- the names ----------------------------------------------------------------------------------

  let names = null, tag = null, askedAt = -FRESH_MS;
  const load = async () => {
    askedAt = Date.now();
    try {
      const headers = tag ? {"if-none-match": tag} : {};
      const response = await fetch(`${mount}suggestions`, {headers, credentials: "same-origin"});
      if (response.status !== 200) return;
      names = await response.json();
      tag = response.headers.get("etag");
    } catch { return; }
    if (isWanted) show();
  };

  // ---- the last term --------------------------------------------------------------------------------

  const KEY = /[^\s:]*/y, BARE = /[^\s,]*/y, QUOTED = /"((?:[^"\\]|\\["\\])*)"/y;
  const unescaped = (text) => text.replace(/\\(["\\])/g, "$1");
  const matchAt = (pattern, text, at) => { pattern.lastIndex = at; return pattern.exec(text); };
  // Where the part of a filter begins that its end can complete, what of it is there, and the key
  // that it is a value of, null for a key itself; null: there is nothing to complete.
  const partOf = (text) => {
    let at = 0;
    for (;;) {
      while (at < text.length && /\s/.test(text[at])) at++;
      if (text[at] === "-") at++;
      const from = at, key = matchAt(KEY, text, at)[0];
      at += key.length;
      if (at === text.length) return {key: null, from, typed: key};
      if (text[at] !== ":") continue;
      do {
        const begin = ++at;
        if (text[at] === '"') {
          const quoted = matchAt(QUOTED, text, at);
          if (!quoted) return {key, from: begin, typed: unescaped(text.slice(at + 1))};
          at += quoted[0].length;
          if (at === text.length) return null;
        } else {
          const bare = matchAt(BARE, text, at)[0];
          at += bare.length;
          if (at === text.length) return {key, from: begin, typed: bare};
        }
      } while (text[at] === ",");
      if (!/\s/.test(text[at])) return null;
    }
  };
  const nameOf = ({text}) => text.startsWith('"') ? unescaped(text.slice(1, -1)) : text;
  const fitting = ({key, typed}) => {
    const known = key === null ? names.keys : Object.hasOwn(names.values, key) ? names.values[key] : [];
    const wanted = typed.toLowerCase(), first = [], later = [];
    for (const each of known) {
      const name = nameOf(each).toLowerCase();
      if (name === wanted) continue;
      if (name.startsWith(wanted)) first.push(each);
      else if (name.includes(wanted) || (key !== null && each.note.toLowerCase().includes(wanted))) later.push(each);
    }
    return [...first, ...later];
  };

  // ---- the list -------------------------------------------------------------------------------------

  let isWanted = false, part = null, shown = [], active = -1;
  const mark = (number) => {
    active = number;
    [...list.children].forEach((each, at) => each.setAttribute("aria-selected", at === active));
    if (active < 0) box.removeAttribute("aria-activedescendant");
    else box.setAttribute("aria-activedescendant", list.children[active].id);
  };
  const close = () => {
    isWanted = false;
    list.hidden = true;
    list.replaceChildren();
    said.textContent = "";
    mark(-1);
  };
  const optionOf = ({text, note}, number) => {
    const item = document.createElement("li"), name = document.createElement("bdi");
    item.id = `suggestion-${number}`;
    item.setAttribute("role", "option");
    name.dir = "auto";
    name.textContent = text;
    item.append(name);
    if (note) {
      const more = document.createElement("bdi");
      more.className = "note";
      more.dir = "auto";
      more.textContent = note;
      item.append(more);
    }
    return item;
  };
  const show = () => {
    if (!names || document.activeElement !== box) return;
    const text = box.value, isAtEnd = box.selectionStart === text.length;
    part = isAtEnd ? partOf(text) : null;
    const found = part ? fitting(part) : [];
    if (!found.length) { close(); return; }
    shown = found.slice(0, MOST);
    list.replaceChildren(...shown.map(optionOf));
    list.hidden = false;
    mark(-1);
    const more = found.length > MOST ? ` of ${found.length}` : "";
    said.textContent = `${shown.length}${more} ${found.length === 1 ? "suggestion" : "suggestions"}`;
  };
  const open = () => {
    isWanted = true;
    if (Date.now() - askedAt >= FRESH_MS) load();
    show();
  };
  const accept = (number) => {
    const value = box.value.slice(0, part.from) + shown[number].text;
    if (value.length > box.maxLength) return;
    box.value = value;
    box.setSelectionRange(value.length, value.length);
    if (part.key === null) open();
    else close();
  };

  box.addEventListener("input", (event) => {
    if (event.isComposing) return;
    if (box.value) open();
    else close();
  });
  box.addEventListener("blur", close);
  box.addEventListener("keydown", (event) => {
    if (event.isComposing || event.ctrlKey || event.metaKey) return;
    const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
    if (step && list.hidden) { event.preventDefault(); open(); }
    else if (step) {
      event.preventDefault();
      const count = shown.length + 1;  // beyond the last one, and before the first, is none
      mark((active + 1 + step + count) % count - 1);
    } else if (event.key === "Escape" && !list.hidden) { event.preventDefault(); close(); }
    else if (event.key === "Enter" && active >= 0) { event.preventDefault(); accept(active); }
    else if (["ArrowLeft", "ArrowRight", "Home", "End", "Enter"].includes(event.key)) close();
  });
  list.addEventListener("mousedown", (event) => event.preventDefault());  // the box keeps the focus
  list.addEventListener("click", (event) => {
    const item = event.target.closest("[role=option]");
    if (item) accept([...list.children].indexOf(item));
  });
  window.addEventListener("pagehide", close);
  if (document.activeElement === box && box.value !== box.defaultValue) open();
})();

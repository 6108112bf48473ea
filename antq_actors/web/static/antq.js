// What pages do with scripts on: dialogs, times in the browser's zone, keys. Without them all of it
// still works by links and forms.
(() => {
  "use strict";
  const html = document.documentElement;
  html.classList.add("scripts");

  // ---- times ----
  const showTimes = (within) => {
    if (html.dataset.zone !== "browser") return;
    const format = new Intl.DateTimeFormat(undefined, {dateStyle: "medium", timeStyle: "long"});
    for (const each of within.querySelectorAll("time[datetime]")) {
      const at = new Date(each.dateTime);
      if (!Number.isNaN(at.valueOf())) each.title = format.format(at);
    }
  };
  showTimes(document);

  // ---- verbs that ask first ----
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !form.hasAttribute("data-asks")) return;
    const dialog = form.nextElementSibling;
    if (!(dialog instanceof HTMLDialogElement)) return;
    event.preventDefault();
    const opener = event.submitter;
    dialog.addEventListener("close", () => opener && opener.focus(), {once: true});
    dialog.showModal();
  });
  document.addEventListener("click", (event) => {
    const close = event.target instanceof Element && event.target.closest("[data-close]");
    if (close) close.closest("dialog").close();
  });

  // ---- settings ----
  for (const each of document.querySelectorAll(".settings select"))
    each.addEventListener("change", () => each.form.requestSubmit());

  // ---- keys ----
  let afterG = false;
  const rows = () => [...document.querySelectorAll("[data-row]")];
  const move = (by) => {
    const all = rows();
    const at = all.findIndex((row) => row.contains(document.activeElement));
    const next = all[Math.min(Math.max(at + by, 0), all.length - 1)];
    const link = next && next.querySelector("a");
    if (link) link.focus();
  };
  document.addEventListener("keydown", (event) => {
    if (html.dataset.keys === "off" || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = document.activeElement;
    if (at && at.closest("input:not([type=checkbox]), select, textarea, dialog")) return;
    if (afterG) {
      afterG = false;
      const link = document.querySelector(`nav a[data-go="${CSS.escape(event.key)}"]`);
      if (link) { event.preventDefault(); link.click(); }
      return;
    }
    const row = at && at.closest("[data-row]");
    switch (event.key) {
      case "g": afterG = true; break;
      case "/": event.preventDefault(); document.querySelector("[data-testid=filter]").focus(); break;
      case "j": move(1); break;
      case "k": move(-1); break;
      case "x": if (row) row.querySelector("input[type=checkbox]")?.click(); break;
      case "r": case "c": case "p": {
        const scope = row || document.querySelector("[data-keys-for]");
        scope?.querySelector(`[data-key-verb="${event.key}"] button:not(:disabled)`)?.click();
        break;
      }
      case ".": document.querySelector("[data-testid=new-rows]")?.click(); break;
      case "t": {
        const theme = document.querySelector("select[name=theme]");
        if (theme) { theme.selectedIndex = (theme.selectedIndex + 1) % theme.options.length; theme.form.requestSubmit(); }
        break;
      }
      case "?": document.querySelector("a[data-help]")?.click(); break;
    }
  });
})();

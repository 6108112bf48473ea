// The list of jobs: tick rows, and say how many a button is about.
(() => {
  "use strict";
  const all = document.querySelector("[data-testid=select-all]");
  const boxes = () => [...document.querySelectorAll("[data-testid=job-row] .tick input")];
  const buttons = [...document.querySelectorAll("[data-testid=bulk-open]")];
  const show = () => {
    const each = boxes();
    const ticked = each.filter((box) => box.checked).length;
    for (const button of buttons) {
      button.textContent = `${button.dataset.word} ${ticked} ${ticked === 1 ? "job" : "jobs"}${button.dataset.after}`;
    }
    const bar = document.getElementById("ticked");
    if (bar) bar.dataset.ticked = ticked;
    if (!all) return;
    all.checked = ticked > 0 && ticked === each.length;
    all.indeterminate = ticked > 0 && ticked < each.length;
  };
  if (all) all.addEventListener("change", () => {
    for (const box of boxes()) box.checked = all.checked;
    show();
  });
  let last = null;
  document.addEventListener("click", (event) => {
    const box = event.target instanceof Element && event.target.closest(".tick input[name=id]");
    if (!box) return;
    const each = boxes();
    if (event.shiftKey && last && each.includes(last)) {
      const [from, to] = [each.indexOf(last), each.indexOf(box)].sort((a, b) => a - b);
      for (const between of each.slice(from, to + 1)) between.checked = box.checked;
    }
    last = box;
    show();
  });
  // Back from a dry run that was closed: what was ticked is, and its button has the focus.
  const [, verb, ids] = /^#([a-z-]+)=([\d,]+)$/.exec(location.hash) || [];
  if (ids) for (const box of boxes()) box.checked = ids.split(",").includes(box.value);
  window.addEventListener("pageshow", show);
  show();
  if (ids) buttons.find((button) => button.value === verb)?.focus();

  // ---- the page of one job -------------------------------------------------------------------------

  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element && event.target.closest("[data-copy-link]");
    if (link) navigator.clipboard.writeText(location.href.split("#")[0]).then(() => { link.dataset.copied = ""; });
  });

  // The slider shows what its stop says at once, and the stop itself when it is let go.
  const stopsOf = (slider) => [...slider.closest("[data-testid=film]").querySelectorAll("[data-testid=film-stop]")];
  document.addEventListener("input", (event) => {
    const slider = event.target;
    if (!(slider instanceof HTMLInputElement) || !slider.matches("[data-testid=film] input[type=range]")) return;
    slider.setAttribute("aria-valuetext", stopsOf(slider)[slider.value].dataset.text);
  });
  let asked = 0;
  document.addEventListener("change", async (event) => {
    const slider = event.target;
    if (!(slider instanceof HTMLInputElement) || !slider.matches("[data-testid=film] input[type=range]")) return;
    const number = ++asked, film = slider.closest("[data-testid=film]");
    const url = new URL(stopsOf(slider)[slider.value].querySelector("a").href);
    let text;
    try { text = await (await fetch(url, {credentials: "same-origin"})).text(); } catch { return; }
    if (number !== asked) return;
    const page = new DOMParser().parseFromString(text, "text/html");
    const found = page.querySelector("[data-testid=film]");
    if (!found) { location.assign(url); return; }
    film.dataset.status = found.dataset.status;
    for (const part of ["ol", ".shown"]) film.querySelector(part).replaceWith(found.querySelector(part));
    const region = slider.closest("[data-region]"), fresh = page.querySelector("[data-region^='job?']");
    if (region && fresh) region.dataset.region = fresh.dataset.region;
    history.replaceState(null, "", url.pathname + url.search);
  });
})();

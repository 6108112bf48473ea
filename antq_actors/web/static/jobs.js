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
      button.textContent = `${button.dataset.word} ${ticked} ${ticked === 1 ? "job" : "jobs"}`;
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
  window.addEventListener("pageshow", show);
  show();
})();

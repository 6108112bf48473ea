// The charts of the page Metrics, drawn by uPlot from their own tables, with cursors that go
// together. Without scripts, or before they run, the server's pictures show the same.
(() => {
  "use strict";
  const cursor = uPlot.sync("metrics");
  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(name).trim();
    return {lines: [of("--blue"), of("--green"), of("--red")], soft: of("--soft"), grid: of("--line")};
  };
  const drawn = new Map();
  const numbers = (figure) => {
    const rows = [...figure.querySelectorAll("[data-testid=chart-table] tbody tr")];
    const at = rows.map((row) => Date.parse(row.querySelector("time").dateTime) / 1000);
    const columns = [...figure.querySelectorAll("[data-testid=chart-table] thead th")].slice(1);
    const value = (cell) => cell.textContent.trim() === "–" ? null : Number(cell.textContent.replaceAll(",", ""));
    return {
      names: columns.map((each) => each.textContent.trim()),
      looks: columns.map((each) => ({number: Number(each.dataset.number) - 1, before: "before" in each.dataset})),
      data: [at, ...columns.map((_, number) => rows.map((row) => value(row.querySelectorAll("td")[number])))],
    };
  };
  // A week before: the same colour, thinner and paler.
  const look = ({number, before}, lines) => before
    ? {stroke: lines[number % 3], width: 1, alpha: 0.45}
    : {stroke: lines[number % 3], width: 1.6, dash: [[], [6, 2], [2, 2]][number % 3]};
  const draw = (figure) => {
    const picture = figure.querySelector("svg:not(.heat)");
    if (!picture) return;
    const {names, looks, data} = numbers(figure);
    drawn.get(figure)?.destroy();
    const {lines, soft, grid} = colours();
    const axis = {stroke: soft, grid: {stroke: grid, width: 1}, ticks: {stroke: grid, width: 1}};
    const long = data[0][data[0].length - 1] - data[0][0] > 90_000;
    const utc = document.documentElement.dataset.zone === "utc";
    const clock = new Intl.DateTimeFormat(undefined, {month: long ? "short" : undefined, day: long ? "numeric" : undefined, hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: utc ? "UTC" : undefined});
    const place = picture.parentElement;
    const chart = new uPlot({
      width: Math.max(260, place.clientWidth), height: 190,
      cursor: {sync: {key: cursor.key}},
      tzDate: (ts) => utc ? uPlot.tzDate(new Date(ts * 1000), "Etc/UTC") : new Date(ts * 1000),
      series: [{label: "At"}, ...names.map((label, number) => ({
        label, ...look(looks[number], lines), points: {size: 4, show: data[number + 1].filter((value) => value !== null).length < 20},
      }))],
      axes: [{...axis, values: (_, splits) => splits.map((at) => clock.format(new Date(at * 1000)))}, {...axis, size: 54}],
    }, data, place);
    chart.root.setAttribute("aria-hidden", "true");
    picture.setAttribute("hidden", "");
    drawn.set(figure, chart);
  };
  const drawAll = () => {
    for (const [figure, chart] of drawn) if (!figure.isConnected) { chart.destroy(); drawn.delete(figure); }
    document.querySelectorAll("figure.chart").forEach(draw);
  };
  drawAll();
  document.addEventListener("antq:shown", drawAll);
  new MutationObserver(drawAll).observe(document.documentElement, {attributeFilter: ["data-theme"]});
  let width = innerWidth, timer;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(timer);
    timer = setTimeout(drawAll, 150);
  });
})();

// The graph of a workflow, laid out by dagre from the list of its jobs, which says the same. A
// press on a vertex leads to its row. With very many vertices there is only the list.
(() => {
  "use strict";
  const MOST = 300, LETTERS = 24, HEIGHT = 40;
  const SVG = "http://www.w3.org/2000/svg";
  let drawn = "";
  const make = (name, attributes, parent, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  };
  const short = (text) => [...text].length > LETTERS ? `${[...text].slice(0, LETTERS - 1).join("")}…` : text;
  const laidOut = (rows) => {
    const graph = new dagre.graphlib.Graph();
    graph.setGraph({rankdir: "LR", nodesep: 12, ranksep: 40, marginx: 8, marginy: 8});
    graph.setDefaultEdgeLabel(() => ({}));
    for (const row of rows) {
      const name = short(row.dataset.name);
      graph.setNode(row.dataset.vertex, {row, name, width: Math.max(104, 24 + 7 * [...name].length), height: HEIGHT});
    }
    for (const row of rows)
      for (const before of row.dataset.after.split(" ").filter(Boolean)) graph.setEdge(before, row.dataset.vertex);
    dagre.layout(graph);
    return graph;
  };
  const line = (points) => {
    const [first, ...rest] = points;
    const last = rest.pop();
    let text = `M${first.x} ${first.y}`;
    rest.forEach((point, n) => {
      const next = rest[n + 1];
      if (next) text += `Q${point.x} ${point.y} ${(point.x + next.x) / 2} ${(point.y + next.y) / 2}`;
      else text += `Q${point.x} ${point.y} ${last.x} ${last.y}`;
    });
    return rest.length ? text : `${text}L${last.x} ${last.y}`;
  };
  const lead = (row) => {
    row.scrollIntoView({block: "center"});
    const link = row.querySelector("a, summary");
    if (link) link.focus();
  };
  const vertex = (svg, {row, name, x, y, width}) => {
    const group = make("g", {"data-status": row.dataset.status, class: "vertex"}, svg);
    make("title", {}, group, row.dataset.name);
    make("rect", {x: x - width / 2, y: y - HEIGHT / 2, width, height: HEIGHT, rx: 6}, group);
    make("text", {x: x - width / 2 + 26, y: y - 3, class: "name"}, group, name);
    make("text", {x: x - width / 2 + 26, y: y + 13, class: "word"}, group, row.dataset.status);
    const shape = row.querySelector(`.status[data-status="${row.dataset.status}"] svg`);
    if (shape) {
      const copy = shape.cloneNode(true);
      copy.setAttribute("x", x - width / 2 + 8);
      copy.setAttribute("y", y - 6);
      group.append(copy);
    }
    group.addEventListener("click", () => {
      const now = document.querySelector(`[data-vertex="${row.dataset.vertex}"]`);
      if (now) lead(now);
    });
  };
  const draw = () => {
    const box = document.querySelector("[data-graph]");
    const rows = [...document.querySelectorAll("[data-vertex]")];
    if (!box || !rows.length || rows.length > MOST) return;
    const state = rows.map(({dataset}) => `${dataset.vertex} ${dataset.after} ${dataset.status}`).join("\n");
    if (state === drawn) return;
    const isFirst = !drawn;
    drawn = state;
    const graph = laidOut(rows), {width, height} = graph.graph();
    const svg = make("svg", {viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": box.getAttribute("aria-label")});
    const head = make("marker", {id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto"}, make("defs", {}, svg));
    make("path", {d: "M0 0L8 4L0 8z", class: "head"}, head);
    for (const edge of graph.edges()) make("path", {d: line(graph.edge(edge).points), class: "edge", "marker-end": "url(#arrow)"}, svg);
    for (const id of graph.nodes()) vertex(svg, graph.node(id));
    box.hidden = false;
    box.replaceChildren(svg);
    const active = graph.nodes().map((id) => graph.node(id)).find(({row}) => row.dataset.status === "running");
    if (isFirst && active) box.scrollTo(active.x - box.clientWidth / 2, active.y - box.clientHeight / 2);
  };
  document.addEventListener("antq:shown", draw);
  draw();
})();

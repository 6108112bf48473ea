// What pages do with scripts on: parts that keep up, dialogs, verbs that answer in place, times in
// the browser's zone, keys. Without scripts all of it still works, by links and forms.
(() => {
  "use strict";
  const html = document.documentElement;
  const mount = document.body.dataset.mount;
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  html.classList.add("scripts");

  // ---- times ------------------------------------------------------------------------------------

  const UNITS = [["d", 86400, "h", 3600], ["h", 3600, "min", 60], ["min", 60, "s", 1]];
  const duration = (seconds) => {
    if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
    if (seconds < 10) return `${seconds.toFixed(1).replace(".0", "")} s`;
    for (const [unit, size, lower, part] of UNITS) {
      if (seconds < size) continue;
      const whole = Math.floor(seconds / size), rest = Math.floor((seconds % size) / part);
      return rest ? `${whole} ${unit} ${rest} ${lower}` : `${whole} ${unit}`;
    }
    return `${Math.round(seconds)} s`;
  };
  const ago = (at) => {
    const seconds = (Date.now() - at) / 1000;
    if (Math.abs(seconds) < 1) return "now";
    return seconds > 0 ? `${duration(seconds)} ago` : `in ${duration(-seconds)}`;
  };
  const inBrowsersZone = html.dataset.zone === "browser";
  const long = new Intl.DateTimeFormat(undefined, {dateStyle: "medium", timeStyle: "long"});
  const clock = new Intl.DateTimeFormat(undefined, {hour: "2-digit", minute: "2-digit", hourCycle: "h23"});
  const showTimes = () => {
    for (const each of all("time[datetime]")) {
      const at = new Date(each.dateTime);
      if (Number.isNaN(at.valueOf())) continue;
      if (inBrowsersZone) each.title = long.format(at);
      if (!each.hasAttribute("data-absolute")) each.textContent = ago(at);
    }
    if (inBrowsersZone)
      for (const each of all("[data-clock]"))
        each.textContent = clock.format(new Date(each.dataset.clock));
  };

  // ---- what is said of a request ------------------------------------------------------------------

  const showAlert = (text, within) => {
    const place = within || one("#content");
    let box = one(":scope > .alert.said", place);
    if (!box) {
      box = document.createElement("p");
      box.className = "alert said";
      box.setAttribute("role", "alert");
      box.dataset.testid = "alert";
      place.prepend(box);
    }
    box.textContent = text;
  };
  const sentenceOf = async (response) => {
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const found = one("[data-testid=alert]", page);
    return found ? found.textContent.trim() : `The server answered ${response.status}.`;
  };

  // ---- verbs ----------------------------------------------------------------------------------------

  // A form that asks first opens the dialog behind it. Any other is sent here, so that a refusal
  // is a sentence in its place, and nothing is sent later when the server is away now.
  const openDialog = (dialog, opener) => {
    dialog.addEventListener("close", () => opener && opener.focus(), {once: true});
    dialog.showModal();
  };
  const AWAY = "The server does not answer. Nothing was done, and nothing will be sent later.";
  const send = async (form, submitter) => {
    const dialog = form.closest("dialog");
    const body = new URLSearchParams(new FormData(form, submitter));
    let response;
    try {
      response = await fetch(submitter?.hasAttribute("formaction") ? submitter.formAction : form.action, {method: "POST", body, credentials: "same-origin"});
    } catch {
      showAlert(AWAY, dialog);
      return;
    }
    if (response.redirected && response.ok) {
      if (form.matches("[data-stays]")) form.dispatchEvent(new CustomEvent("antq:sent"));
      else location.assign(response.url);
    } else if (response.ok) form.submit();
    else showAlert(await sentenceOf(response), dialog);
  };
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || form.method !== "post") return;
    event.preventDefault();
    const dialog = form.hasAttribute("data-asks") && form.nextElementSibling;
    if (dialog instanceof HTMLDialogElement) openDialog(dialog, event.submitter);
    else send(form, event.submitter);
  });
  document.addEventListener("click", (event) => {
    const close = event.target instanceof Element && event.target.closest("[data-close]");
    if (close) close.closest("dialog").close();
    const copy = event.target instanceof Element && event.target.closest("[data-copy]");
    if (copy) navigator.clipboard.writeText(copy.dataset.copy).then(
      () => { copy.dataset.copied = ""; }, () => showAlert("The browser does not let pages copy here."));
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== " " || !event.target.matches("a[role=button]")) return;
    event.preventDefault();
    event.target.click();
  });
  // The dry run of a change of many jobs is left for the list that it came from, as that was.
  const leave = one("[data-leave]");
  if (leave) {
    leave.addEventListener("click", (event) => {
      const list = new URL(`${mount}jobs`, location.href);
      const from = document.referrer ? new URL(document.referrer) : list;
      if (from.origin + from.pathname !== list.origin + list.pathname) return;
      event.preventDefault();
      from.hash = leave.dataset.leave;
      location.assign(from);
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.target.closest("dialog, header")) leave.click();
    });
  }
  document.addEventListener("antq:away", () => showAlert(AWAY));
  const undo = one("[data-testid=undo]");
  if (undo) setTimeout(() => undo.remove(), 10_000);

  // ---- settings -------------------------------------------------------------------------------------

  const settings = one(".settings");
  if (settings) {
    let changed;
    settings.dataset.stays = "";
    for (const each of all("select", settings))
      each.addEventListener("change", () => { changed = each; settings.requestSubmit(); });
    settings.addEventListener("antq:sent", () => {
      if (changed.name === "theme") html.dataset.theme = changed.value;
      else location.reload();
    });
  }

  // ---- the filter box -------------------------------------------------------------------------------

  // What completes a filter is loaded when somebody first goes to the box.
  one("[data-suggestions]")?.addEventListener("focus", (event) => {
    const script = document.createElement("script");
    script.src = event.target.dataset.suggestions;
    document.head.append(script);
  }, {once: true});

  // ---- parts that keep up ---------------------------------------------------------------------------

  const POLL = 5000, LEAST = 2000, LONGEST_WAIT = 30_000;
  const parts = new Map();
  const isBusy = (section) =>
    one("dialog[open]", section) || (section.contains(document.activeElement)
      && document.activeElement.matches("input:not([type=checkbox]), select, textarea"));
  const fetchPart = async (section, part) => {
    part.timer = null;
    if (isBusy(section)) { part.timer = setTimeout(() => fetchPart(section, part), LEAST); return; }
    part.isUnderWay = true;
    part.begunAt = Date.now();
    try {
      const headers = part.tag ? {"if-none-match": part.tag} : {};
      const response = await fetch(`${mount}region/${section.dataset.region}`, {headers, credentials: "same-origin"});
      if (response.status === 200 && !isBusy(section)) {
        part.tag = response.headers.get("etag");
        await htmx.swap({target: section, sourceElement: section, swap: "innerMorph", text: await response.text()});
        showTimes();
        document.dispatchEvent(new CustomEvent("antq:shown", {detail: section}));
      } else if (response.status >= 400 && response.status !== 503) showAlert(await sentenceOf(response));
    } catch { /* the server is away: the dot says so */ }
    part.isUnderWay = false;
    if (part.isDue) refresh(section);
  };
  const refresh = (section) => {
    let part = parts.get(section);
    if (!part) parts.set(section, part = {begunAt: 0});
    if (part.isUnderWay) { part.isDue = true; return; }
    part.isDue = false;
    if (part.timer) return;
    part.timer = setTimeout(() => fetchPart(section, part), Math.max(0, part.begunAt + LEAST - Date.now()));
  };
  const refreshAll = () => all("[data-region]").forEach(refresh);
  const refreshFor = ({topics}) => {
    for (const section of all("[data-region]")) {
      const wanted = ` ${section.dataset.topics} `;
      if (topics.some((topic) => wanted.includes(` ${topic} `))) refresh(section);
    }
    document.dispatchEvent(new CustomEvent("antq:signal", {detail: topics}));
  };
  const showCounts = (counts) => {
    for (const [name, value] of Object.entries(counts))
      for (const each of all(`[data-count="${name}"]`)) each.textContent = value.toLocaleString("en");
  };

  const dot = one("[data-testid=live]");
  const banner = document.createElement("p");
  banner.className = "alert";
  banner.setAttribute("role", "status");
  let away = null;
  const show = (state) => {
    if (!dot || dot.dataset.state === state) return;
    dot.dataset.state = dot.textContent = state;
    if (state === "offline") {
      away = away || new Date();
      banner.textContent = `The server has not answered since ${clock.format(away)}. What is shown is from then.`;
      one("#content").prepend(banner);
    } else if (away) { away = null; banner.remove(); }
  };

  // Browsers allow six connections to a site, so two tabs hold a stream, and tell the others. Of
  // several dashboards of a site each has one stream, and one of them the second.
  const home = String(new URL(mount, location.href));
  const FIRST = `antq stream of ${home}`, SECOND = "antq second stream";
  const channel = "BroadcastChannel" in window ? new BroadcastChannel(`antq ${home}`) : null;
  let stream = null, release = null, poller = null, wait = 1000, isPaused = false, isWanted = false;
  const share = (name, data) => channel && channel.postMessage({name, data});
  const openStream = () => {
    if (!isWanted || stream) return;
    stream = new EventSource(`${mount}live`);
    stream.onopen = () => { if (away || wait > 1000) refreshAll(); wait = 1000; show("live"); share("open"); };
    stream.addEventListener("begun", (event) => { if (JSON.parse(event.data).mark !== html.dataset.mark) refreshAll(); });
    stream.addEventListener("signal", (event) => { const data = JSON.parse(event.data); refreshFor(data); share("signal", data); });
    stream.addEventListener("counts", (event) => { const data = JSON.parse(event.data); showCounts(data); share("counts", data); });
    stream.addEventListener("bye", () => retry());
    stream.onerror = () => { if (stream.readyState === EventSource.CLOSED) poll(); else retry(); };
  };
  const closeStream = () => { if (stream) stream.close(); stream = null; };
  const retry = () => {
    closeStream();
    if (!isWanted) return;
    show("offline");
    share("away");
    setTimeout(openStream, wait);
    wait = Math.min(2 * wait, LONGEST_WAIT);
  };
  const poll = () => {  // no stream is to be had: over WSGI, beyond the cap, behind a proxy
    closeStream();
    if (!isWanted || poller) return;
    show("polling");
    poller = setInterval(async () => {
      try {
        await fetch(`${mount}healthz`);
        show("polling");
        refreshAll();
      } catch { show("offline"); }
    }, POLL);
  };
  if (channel) channel.onmessage = ({data}) => {
    if (release || stream || !isWanted) return;
    if (data.name === "away") { show("offline"); return; }
    if (away) refreshAll();
    if (data.name === "signal") refreshFor(data.data);
    if (data.name === "counts") showCounts(data.data);
    show("live");
  };
  const begin = () => {
    if (!dot || isWanted) return;
    isWanted = true;
    if (html.dataset.live !== "stream") { poll(); return; }
    if (!channel || !navigator.locks) { openStream(); return; }
    const hold = (name, options) => navigator.locks.request(name, options, (lock) => {
      if (!lock || !isWanted || release) return null;
      openStream();
      return new Promise((resolve) => { release = resolve; });
    });
    hold(FIRST, {ifAvailable: true});
    setTimeout(() => {
      if (release || !isWanted) return;
      hold(SECOND, {ifAvailable: true});
      setTimeout(() => { if (!release && isWanted) { show("live"); refreshAll(); hold(FIRST, {}); } }, 50);
    }, 50);
  };
  const end = () => {
    isWanted = false;
    closeStream();
    clearInterval(poller);
    poller = null;
    if (release) { release(); release = null; }
    show("paused");
  };
  const follow = () => {
    if (document.hidden || isPaused) end();
    else { begin(); refreshAll(); }
  };
  document.addEventListener("visibilitychange", follow);
  if (dot) dot.addEventListener("click", () => { isPaused = !isPaused; follow(); });
  window.addEventListener("pagehide", end);
  window.addEventListener("pageshow", (event) => { if (event.persisted) follow(); });

  // ---- keys -----------------------------------------------------------------------------------------

  const rows = () => all("[data-row]");
  const move = (by) => {
    const found = rows();
    const at = found.findIndex((row) => row.contains(document.activeElement));
    const next = found[Math.min(Math.max(at + by, 0), found.length - 1)];
    if (next) one("a", next)?.focus();
  };
  const press = (key) => {
    const row = document.activeElement && document.activeElement.closest("[data-row]");
    const place = row || one("[data-keys-for]");
    if (place) one(`[data-key-verb="${key}"] button:not(:disabled)`, place)?.click();
  };
  const nextTheme = () => {
    const theme = one("select[name=theme]");
    theme.selectedIndex = (theme.selectedIndex + 1) % theme.options.length;
    theme.dispatchEvent(new Event("change"));
  };
  const KEYS = {
    "/": () => one("[data-testid=filter]").focus(),
    "?": () => one("a[data-help]").click(),
    ".": () => one("[data-testid=new-rows]")?.click(),
    j: () => move(1), k: () => move(-1), t: nextTheme,
    x: () => { const row = document.activeElement.closest("[data-row]"); if (row) one("input[type=checkbox]", row)?.click(); },
    r: () => press("r"), c: () => press("c"), p: () => press("p"),
  };
  let isAfterG = false;
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      openPalette();
      return;
    }
    if (html.dataset.keys === "off" || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = document.activeElement;
    if (at && at.closest("input:not([type=checkbox]), select, textarea, dialog, [role=treegrid]")) return;
    if (isAfterG) {
      isAfterG = false;
      one(`nav a[data-go="${CSS.escape(event.key)}"]`)?.click();
    } else if (event.key === "g") isAfterG = true;
    else if (Object.hasOwn(KEYS, event.key)) { event.preventDefault(); KEYS[event.key](); }
  });

  // Everything one can go to, found by a few letters; what is no place is a filter of jobs.
  let palette = null;
  const openPalette = () => {
    if (!palette) {
      palette = document.createElement("dialog");
      palette.className = "palette";
      palette.setAttribute("aria-label", "Go anywhere");
      const box = document.createElement("input");
      box.type = "search";
      box.setAttribute("aria-label", "Where to go, or a filter of jobs");
      const list = document.createElement("ul");
      palette.append(box, list);
      document.body.append(palette);
      const fill = () => {
        const typed = box.value.trim().toLowerCase();
        const places = all("nav a").map((each) => [each.firstChild.textContent.trim(), each.href]);
        const found = places.filter(([word]) => word.toLowerCase().includes(typed));
        if (/^\d+$/.test(typed)) found.unshift([`Job ${typed}`, `${mount}jobs/${typed}`]);
        else if (typed) found.push([`Filter jobs: ${box.value}`, `${mount}jobs?q=${encodeURIComponent(box.value)}`]);
        list.replaceChildren(...found.map(([word, href]) => {
          const link = document.createElement("a");
          link.href = href;
          link.textContent = word;
          const item = document.createElement("li");
          item.append(link);
          return item;
        }));
      };
      box.addEventListener("input", fill);
      palette.addEventListener("keydown", (event) => {
        const links = all("a", list), at = links.indexOf(document.activeElement);
        if (event.key === "Enter" && at < 0 && links[0]) { event.preventDefault(); links[0].click(); }
        if (event.key === "ArrowDown") { event.preventDefault(); links[Math.min(at + 1, links.length - 1)]?.focus(); }
        if (event.key === "ArrowUp") { event.preventDefault(); (links[at - 1] || box).focus(); }
      });
      palette.fill = fill;
    }
    if (palette.open) return;
    const before = document.activeElement;
    palette.addEventListener("close", () => before && before.focus(), {once: true});
    one("input", palette).value = "";
    palette.fill();
    palette.showModal();
  };

  showTimes();
  setInterval(() => { if (!document.hidden) showTimes(); }, 5000);
  if (!document.hidden) begin();
})();

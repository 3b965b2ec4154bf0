"use strict";
// Everything shown goes through textContent; data never becomes markup. Rows are made as they are scrolled to.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const SEVERITIES = ["error", "warning", "info"];
  const NAMES = { error: "error", warning: "warning", info: "info", unknown: "unchecked", ok: "clean", quiet: "known" };
  const CELLS = { o: ["ok", "ok"], "?": ["could not check", "unknown"], "-": ["–", "quiet"], e: ["error", "error"], w: ["warning", "warning"], i: ["info", "info"] };
  const CHUNK = 100;

  function el(tag, props, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(props || {})) {
      if (key === "class") node.className = value;
      else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else node.setAttribute(key, value);
    }
    for (const child of children.flat()) if (child !== null && child !== undefined && child !== "") node.append(child);
    return node;
  }
  const count = (n, one) => `${n.toLocaleString("en")} ${one}${n === 1 ? "" : "s"}`;
  const short = (digest) => digest.replace(/^[^:]*:/, "").slice(0, 12);
  // A long name goes on behind a slash.
  const breakable = (name) => name.split("/").flatMap((part, n) => (n ? ["/", el("wbr"), part] : [part]));
  const describe = (id) => (Object.hasOwn(data.rules, id) ? data.rules[id] : null);
  const isOpen = (finding) => !finding.waived && !finding.known;
  function bytes(n) {
    const units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let unit = 0;
    while (n >= 999.95 && unit < units.length - 1) { n /= 1000; unit += 1; }
    return `${unit ? n.toFixed(1) : n} ${units[unit]}`;
  }

  // What is listed: images, and repositories that have something of their own.
  const entries = data.images.concat(data.repositories);
  for (const entry of entries) {
    entry.repo = data.repos[entry.r];
    entry.name = entry.tag !== undefined ? `${entry.repo}:${entry.tag}` : entry.digest && entry.isImage ? `${entry.repo}@${entry.digest}` : entry.repo;
    const tally = { error: 0, warning: 0, info: 0, unknown: entry.unchecked.length, quiet: 0 };
    for (const finding of entry.findings) tally[isOpen(finding) ? finding.severity : "quiet"] += 1;
    entry.tally = tally;
    entry.kinds = [...SEVERITIES, "unknown", "quiet"].filter((kind) => tally[kind]);
    entry.worst = SEVERITIES.find((kind) => tally[kind]) || (tally.unknown ? "unknown" : tally.quiet ? "quiet" : "ok");
    if (entry.worst === "ok") entry.kinds = ["ok"];
    entry.text = [entry.name, ...entry.platforms.map((one) => `${one.platform} ${one.digest}`), entry.digest || "",
      ...entry.findings.map((one) => `${one.rule} ${one.message}`), ...entry.unchecked.map((one) => `${one.what} ${one.reason}`)].join("\n").toLowerCase();
  }
  const ORDER = ["error", "unknown", "warning", "info", "quiet", "ok"];
  entries.sort((a, b) => ORDER.indexOf(a.worst) - ORDER.indexOf(b.worst) || b.tally.error - a.tally.error
    || a.repo.localeCompare(b.repo) || (a.tag || "").localeCompare(b.tag || "", "en", { numeric: true }));

  // The state is in the address, so that a view can be sent on.
  const state = { kind: "", repo: "", rule: "", q: "", open: new Set() };
  function load() {
    const given = new URLSearchParams(location.hash.slice(1));
    for (const key of ["kind", "repo", "rule", "q"]) state[key] = given.get(key) || "";
    state.open = new Set(given.getAll("open"));
  }
  function save() {
    const given = new URLSearchParams();
    for (const key of ["kind", "repo", "rule", "q"]) if (state[key]) given.set(key, state[key]);
    for (const name of [...state.open].slice(0, 20)) given.append("open", name);
    history.replaceState(null, "", `#${given}`);
  }
  const choose = (key, value) => { state[key] = state[key] === value ? "" : value; show(); };

  function matches(entry, but) {
    return (but === "kind" || !state.kind || entry.kinds.includes(state.kind)) && (but === "repo" || !state.repo || entry.repo === state.repo)
      && (but === "rule" || !state.rule || entry.findings.some((one) => one.rule === state.rule))
      && (!state.q || state.q.toLowerCase().split(/\s+/).every((word) => entry.text.includes(word)));
  }

  function tiles() {
    const sum = (kind) => entries.reduce((sum, entry) => sum + entry.tally[kind], 0);
    const clean = entries.filter((entry) => entry.worst === "ok").length;
    const list = [["error", sum("error"), "errors"], ["warning", sum("warning"), "warnings"], ["info", sum("info"), "notes"],
      ["unknown", sum("unknown"), "unchecked"], ["quiet", sum("quiet"), "known or waived"], ["ok", clean, "clean images"]];
    $("tiles").replaceChildren(...list.map(([kind, n, name]) => el("button", {
      class: `tile ${kind} ${n ? "" : "zero"}`, "aria-pressed": String(state.kind === kind), onclick: () => choose("kind", kind),
    }, el("b", {}, n.toLocaleString("en")), el("span", {}, name))), ...fixedTile());
  }
  function fixedTile() {
    if (!data.comparison) return [];
    return [el("div", { class: `tile ok ${data.comparison.fixed ? "" : "zero"}` }, el("b", {}, String(data.comparison.fixed)), el("span", {}, "fixed since the baseline"))];
  }

  const number = (n, kind) => el("td", { class: `n ${n ? kind : "none"}` }, n.toLocaleString("en"));
  function repositories() {
    const byName = new Map();
    for (const entry of entries.filter((entry) => matches(entry, "repo"))) {
      if (!byName.has(entry.repo)) byName.set(entry.repo, { name: entry.repo, images: 0, worst: "ok", error: 0, warning: 0, info: 0, unknown: 0 });
      const repo = byName.get(entry.repo);
      repo.images += entry.isImage ? 1 : 0;
      for (const kind of [...SEVERITIES, "unknown"]) repo[kind] += entry.tally[kind];
      if (ORDER.indexOf(entry.worst) < ORDER.indexOf(repo.worst)) repo.worst = entry.worst;
    }
    const all = [...byName.values()].sort((a, b) => ORDER.indexOf(a.worst) - ORDER.indexOf(b.worst) || b.error - a.error || b.warning - a.warning || a.name.localeCompare(b.name));
    $("repos-title").textContent = count(all.length, "repositor").replace(/repositors$/, "repositories").replace(/repositor$/, "repository");
    $("repos").replaceChildren(...all.slice(0, 1000).map((repo) => el("tr", { class: state.repo === repo.name ? "chosen" : "" },
      el("td", {}, el("button", { class: "mono", "aria-pressed": String(state.repo === repo.name), onclick: () => choose("repo", repo.name) }, breakable(repo.name))),
      el("td", {}, el("span", { class: `badge ${repo.worst}` }, NAMES[repo.worst])),
      number(repo.images, ""), number(repo.error, "error"), number(repo.warning, "warning"), number(repo.info, "info"), number(repo.unknown, "unknown"))));
  }

  function rules() {
    const byId = new Map();
    for (const entry of entries.filter((entry) => matches(entry, "rule"))) {
      const here = new Set();
      for (const finding of entry.findings) {
        if (finding.waived) continue;
        if (!byId.has(finding.rule)) byId.set(finding.rule, { id: finding.rule, severity: finding.severity, findings: 0, images: 0 });
        const rule = byId.get(finding.rule);
        if (SEVERITIES.indexOf(finding.severity) < SEVERITIES.indexOf(rule.severity)) rule.severity = finding.severity;
        rule.findings += 1;
        if (!here.has(finding.rule)) rule.images += 1;
        here.add(finding.rule);
      }
    }
    const all = [...byId.values()].sort((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) || b.findings - a.findings);
    $("rules").replaceChildren(...all.map((rule) => el("tr", { class: state.rule === rule.id ? "chosen" : "" },
      el("td", {}, el("button", { class: "mono", title: (describe(rule.id) || {}).title || "", "aria-pressed": String(state.rule === rule.id), onclick: () => choose("rule", rule.id) }, rule.id)),
      el("td", {}, el("span", { class: `badge ${rule.severity}` }, NAMES[rule.severity])), number(rule.findings, ""), number(rule.images, ""))));
    if (!all.length) $("rules").append(el("tr", {}, el("td", { class: "empty", colspan: "4" }, "nothing found")));
  }

  function finding(one) {
    const rule = describe(one.rule);
    const kind = isOpen(one) ? one.severity : "quiet";
    const why = rule ? el("details", {}, el("summary", {}, el("code", {}, one.rule)), el("p", {}, rule.explanation)) : el("code", { class: "quiet" }, one.rule);
    return el("li", {}, el("div", { class: "finding" }, el("span", { class: `badge ${kind}` }, one.waived ? "waived" : one.known ? "known" : NAMES[one.severity]),
      el("div", {}, el("p", {}, one.message), el("p", { class: "fix" }, one.waived ? `waived: ${one.waived}` : `fix: ${one.fix || rule.fix}`), why)));
  }
  const uncheckedItem = (one) => el("li", {}, el("div", { class: "finding" }, el("span", { class: "badge unknown" }, "unchecked"),
    el("div", {}, el("p", {}, `${one.what} `, one.digest ? el("code", { title: one.digest }, short(one.digest)) : ""), el("p", { class: "fix" }, one.reason))));

  function matrix(entry) {
    if (!entry.matrix) return null;
    const row = ([name, cells]) => el("tr", {}, el("th", { scope: "row" }, name), [...cells].map((cell) => el("td", { class: `cell ${CELLS[cell][1]}` }, CELLS[cell][0])));
    return el("table", { class: "matrix" }, el("thead", {}, el("tr", {}, el("td", {}), data.groups.map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, entry.matrix.map(row)));
  }

  function tree(entry) {
    const of = (platform) => entry.findings.filter((one) => one.platform === platform).map(finding);
    const listed = entry.platforms.map((one) => one.platform);
    const others = [...new Set(entry.findings.map((one) => one.platform).filter((one) => one !== undefined && !listed.includes(one)))];
    const platform = (one) => {
      const facts = one.state === "read" ? [count(one.layers, "layer"), bytes(one.size), one.created ? `created ${one.created.slice(0, 10)}` : ""].filter(Boolean).join(" · ") : one.state;
      const below = of(one.platform);
      return el("li", {}, el("div", { class: "node" }, el("b", {}, one.platform), el("code", { title: one.digest, class: "quiet" }, short(one.digest)),
        el("span", { class: one.state === "read" ? "facts" : one.state === "unchecked" ? "unknown" : "error" }, facts)), below.length ? el("ul", {}, below) : "");
    };
    const total = entry.platforms.reduce((sum, one) => sum + one.size, 0);
    const facts = [count(entry.platforms.length, "platform"), entry.attestations ? count(entry.attestations, "attestation") : "", total ? bytes(total) : ""].filter(Boolean).join(" · ");
    const root = el("div", { class: "node" }, el("b", {}, entry.isImage ? entry.tag !== undefined ? entry.tag : "image" : "repository"), entry.digest ? el("code", { class: "quiet" }, entry.digest) : "",
      entry.isImage ? el("span", { class: "facts" }, facts) : "");
    return el("ul", { class: "tree" }, el("li", {}, root, el("ul", {}, of(undefined), entry.unchecked.map(uncheckedItem), entry.platforms.map(platform),
      others.map((name) => el("li", {}, el("div", { class: "node" }, el("b", {}, name)), el("ul", {}, of(name)))))));
  }

  function row(entry) {
    const item = el("li", {});
    const counts = entry.kinds.filter((kind) => kind !== "ok").map((kind) => el("span", { class: kind }, kind === "unknown" || kind === "quiet" ? `${entry.tally[kind]} ${NAMES[kind]}` : count(entry.tally[kind], kind === "info" ? "note" : NAMES[kind])));
    const name = el("span", { class: "name mono" }, el("span", { class: "repo" }, entry.tag !== undefined ? `${entry.repo}:` : entry.isImage ? `${entry.repo}@` : ""), el("b", {}, entry.tag !== undefined ? entry.tag : entry.isImage ? entry.digest || "?" : entry.repo));
    const button = el("button", { class: "row", "aria-expanded": "false", onclick: () => toggle(!state.open.has(entry.name)) },
      el("span", { class: `badge ${entry.worst}` }, NAMES[entry.worst]), name, el("span", { class: "platforms" }, entry.platforms.map((one) => one.platform).join(", ")), el("span", { class: "counts" }, counts));
    function toggle(open) {
      open ? state.open.add(entry.name) : state.open.delete(entry.name);
      expand(open);
      save();
    }
    function expand(open) {
      button.setAttribute("aria-expanded", String(open));
      if (item.lastChild !== button) item.lastChild.remove();
      if (open) item.append(el("div", { class: "detail" }, matrix(entry), tree(entry)));
    }
    item.append(button);
    item.expand = expand;
    if (state.open.has(entry.name)) expand(true);
    return item;
  }

  let found = [];
  let shown = 0;
  function more(size) {
    const next = found.slice(shown, shown + size);
    shown += next.length;
    $("images").append(...next.map(row));
    $("end").hidden = shown >= found.length;
  }
  function show() {
    save();
    tiles();
    repositories();
    rules();
    $("q").value = state.q;
    $("kind").value = state.kind;
    $("clear").hidden = !(state.kind || state.repo || state.rule || state.q);
    found = entries.filter((entry) => matches(entry));
    shown = 0;
    const all = found.length === entries.length;
    $("count").textContent = all ? `${entries.length.toLocaleString("en")} shown` : `${found.length.toLocaleString("en")} of ${entries.length.toLocaleString("en")}`;
    $("images").replaceChildren();
    $("none").hidden = found.length > 0;
    more(CHUNK);
  }

  let typing;
  $("q").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => { state.q = $("q").value.trim(); show(); }, 120); });
  $("kind").addEventListener("change", () => { state.kind = $("kind").value; show(); });
  $("clear").addEventListener("click", () => { Object.assign(state, { kind: "", repo: "", rule: "", q: "" }); show(); $("q").focus(); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|SELECT)$/.test(document.activeElement.tagName)) { event.preventDefault(); $("q").focus(); }
    if (event.key === "Escape" && document.activeElement === $("q")) { state.q = ""; show(); $("q").blur(); }
    if ((event.key === "ArrowDown" || event.key === "ArrowUp") && document.activeElement.classList.contains("row")) {
      const item = document.activeElement.parentElement;
      const next = event.key === "ArrowDown" ? item.nextElementSibling : item.previousElementSibling;
      if (next) { event.preventDefault(); next.firstChild.focus(); }
    }
  });
  addEventListener("hashchange", () => { load(); show(); });
  // Paper does not scroll: what is filtered is there as a whole, within reason, and what has findings is open.
  addEventListener("beforeprint", () => {
    more(Math.max(0, 2000 - shown));
    [...$("images").children].slice(0, 300).forEach((item, n) => { if (found[n].worst !== "ok") item.expand(true); });
  });
  addEventListener("afterprint", show);
  new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) more(CHUNK); }, { rootMargin: "600px" }).observe($("end"));
  load();
  show();
})();

"use strict";
(() => {
  const root = document.documentElement;
  const swap = JSON.parse(document.getElementById("swap").textContent);
  const pattern = new RegExp(Object.keys(swap).join("|"), "gi");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const config = { responsive: false, displaylogo: false, scrollZoom: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

  // Figures carry the light theme's colours; in the dark every one is swapped for its partner.
  function read(script) {
    const text = script.textContent;
    return JSON.parse(isDark() ? text.replace(pattern, (c) => swap[c.toLowerCase()]) : text);
  }
  function fit(div, layout) {
    const aspect = layout.meta && layout.meta.aspect;
    const width = div.clientWidth;
    const height = aspect ? Math.min(Math.max(width * aspect, 300), 640) : layout.height;
    div.style.height = height + "px";
    const narrow = width < 480;
    return { ...layout, width, height, autosize: false, dragmode: narrow ? false : layout.dragmode,
      font: { size: narrow ? 11 : 12 } };
  }
  const scripts = [...document.querySelectorAll("script.plot-data")];
  function draw(script) {
    const div = document.getElementById(script.dataset.for);
    const { data, layout } = read(script);
    div.kedgeWidth = div.clientWidth;
    return Plotly.react(div, data, fit(div, layout), config).then(() => makeRoom(div));
  }
  // A legend of several rows (on phones) makes the figure taller, not its axes shorter.
  function makeRoom(div) {
    const legend = div._fullLayout.legend;
    const extra = legend && legend._height ? Math.max(0, legend._height - 28) : 0;
    if (!extra) return undefined;
    const height = div._fullLayout.height + extra;
    div.style.height = height + "px";
    return Plotly.relayout(div, { height });
  }
  const drawAll = () => Promise.all(scripts.map(draw)).then(() => { root.dataset.drawn = "yes"; });
  if (scripts.length) drawAll();
  let timer = 0;
  addEventListener("resize", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const moved = (s) => { const d = document.getElementById(s.dataset.for); return d.clientWidth !== d.kedgeWidth; };
      scripts.filter(moved).forEach(draw);
    }, 120);
  });
  addEventListener("beforeprint", () => scripts.forEach(draw));

  const button = document.getElementById("theme");
  const say = () => {
    const now = root.dataset.theme || "auto";
    button.textContent = "Theme: " + now;
    button.setAttribute("aria-label", "Colour theme: " + now + ". Change");
  };
  button.addEventListener("click", () => {
    const next = { auto: "light", light: "dark", dark: "auto" }[root.dataset.theme || "auto"];
    if (next === "auto") delete root.dataset.theme; else root.dataset.theme = next;
    try { next === "auto" ? localStorage.removeItem("kedge-theme") : localStorage.setItem("kedge-theme", next); } catch (e) { /* private mode */ }
    say();
    drawAll();
  });
  system.addEventListener("change", () => { if (!root.dataset.theme) drawAll(); });
  say();

  const viewer = document.getElementById("viewer");
  for (const zoom of document.querySelectorAll(".zoom")) {
    zoom.addEventListener("click", () => {
      const from = zoom.querySelector("img"), to = viewer.querySelector("img");
      to.src = from.src; to.alt = from.alt;
      viewer.showModal();
    });
  }
  viewer.addEventListener("click", () => viewer.close());

  for (const copy of document.querySelectorAll(".copy")) {
    copy.addEventListener("click", async () => {
      const code = copy.parentElement.querySelector("code");
      try { await navigator.clipboard.writeText(code.textContent); } catch (e) {
        const range = document.createRange();
        range.selectNodeContents(code);
        getSelection().removeAllRanges(); getSelection().addRange(range);
        try { document.execCommand("copy"); } catch (e2) { /* the selection is left for the reader */ }
      }
      copy.textContent = "Copied";
      setTimeout(() => { copy.textContent = "Copy"; }, 1500);
    });
  }

  const contents = document.querySelector("nav details");
  if (contents && !matchMedia("(min-width: 75rem)").matches) contents.open = false;
  const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) {
      links.forEach((a) => a.classList.remove("here"));
      links.get(entry.target.id)?.classList.add("here");
    }
  }, { rootMargin: "-15% 0px -75% 0px" });
  document.querySelectorAll("main > section").forEach((s) => watcher.observe(s));
})();

function ht(n, t) {
  for (const [e, s] of Object.entries(t))
    s != null && (e.startsWith("on") ? n.addEventListener(e.slice(2), s) : e in n && typeof s != "string" ? n[e] = s : e === "value" ? n.value = s : s === !0 ? n.setAttribute(e, "") : s !== !1 && n.setAttribute(e, String(s)));
}
function l(n, t = {}, ...e) {
  const s = document.createElement(n);
  return ht(s, t), s.append(...e.filter(Boolean)), n === "select" && t.value !== void 0 && (s.value = t.value), s;
}
const ct = "http://www.w3.org/2000/svg";
function S(n, t = {}, ...e) {
  const s = document.createElementNS(ct, n);
  for (const [i, a] of Object.entries(t))
    i.startsWith("on") ? s.addEventListener(i.slice(2), a) : a !== void 0 && s.setAttribute(i, String(a));
  return s.append(...e.filter(Boolean)), s;
}
function k(n, t) {
  return n.map((e) => {
    const [s, i] = typeof e == "string" ? [e, e] : e;
    return l("option", { value: s, selected: s === t }, i);
  });
}
const dt = new Intl.NumberFormat("en");
function x(n, t, e = `${t}s`) {
  return `${dt.format(n)} ${n === 1 ? t : e}`;
}
function b(n) {
  return Number.isInteger(n) ? String(n) : String(+n.toFixed(n < 10 ? 2 : 1));
}
function w(n, t, e = {}) {
  return l("button", { type: "button", onclick: t, ...e }, n);
}
const P = [
  "#ff8a1f",
  "#31a8ff",
  "#2fd18c",
  "#f28be0",
  "#ffd23f",
  "#a49bff",
  "#7fe3e8",
  "#ffb3a7"
], it = "#ff3b30", ut = "#ffd23f", at = "#aeb8c1", I = ["#1f72ab", "#d95f0e", "#07a679", "#8e44ad", "#b8860b", "#c0392b"];
function H(n) {
  return P[n % P.length];
}
const C = 300;
class pt {
  // pixels from side to side of the drawing
  constructor(t) {
    this.change = t, this.canvas.addEventListener("pointerdown", (e) => this.press(e)), this.canvas.addEventListener("pointermove", (e) => this.drag(e));
    for (const e of ["pointerup", "pointercancel"])
      this.canvas.addEventListener(e, () => {
        this.held = -1, this.fit(), this.draw();
      });
    this.canvas.addEventListener("keydown", (e) => this.key(e));
  }
  canvas = l("canvas", { class: "shapes", role: "img", tabindex: "0" });
  shapes = [];
  chosen = 0;
  held = -1;
  most = 64;
  show(t) {
    const e = t.length !== this.shapes.length;
    this.shapes = t.map(([s, i]) => [s, i]), e && (this.chosen = 0), this.held < 0 && this.fit(), this.draw();
  }
  fit() {
    this.most = 1.25 * Math.max(16, ...this.shapes.flat());
  }
  get scale() {
    return C / this.most;
  }
  place(t) {
    const e = this.canvas.getBoundingClientRect(), s = C / e.width, i = (t.clientX - e.left) * s - C / 2, a = (t.clientY - e.top) * s - C / 2;
    return [Math.abs(i), Math.abs(a)];
  }
  press(t) {
    const [e, s] = this.place(t);
    let i = 18;
    this.shapes.forEach(([a, o], r) => {
      const h = Math.hypot(e - a * this.scale / 2, s - o * this.scale / 2);
      h < i && ([this.held, i] = [r, h]);
    }), !(this.held < 0) && (this.chosen = this.held, this.canvas.setPointerCapture(t.pointerId), this.draw());
  }
  drag(t) {
    if (this.held < 0) return;
    const [e, s] = this.place(t), i = [e, s].map((a) => Math.max(1, +(2 * a / this.scale).toFixed(1)));
    this.shapes[this.held] = i, this.draw(), this.change(this.shapes.map(([a, o]) => [a, o]));
  }
  // arrows make the chosen shape wider and taller; comma and full stop choose another
  key(t) {
    const e = t.shiftKey ? 8 : 1, s = {
      ArrowRight: [e, 0],
      ArrowLeft: [-e, 0],
      ArrowUp: [0, e],
      ArrowDown: [0, -e]
    }, i = { ".": 1, ",": -1 };
    if (t.key in i)
      this.chosen = (this.chosen + i[t.key] + this.shapes.length) % this.shapes.length, this.draw();
    else if (t.key in s) {
      const [a, o] = this.shapes[this.chosen], [r, h] = s[t.key];
      this.shapes[this.chosen] = [Math.max(1, a + r), Math.max(1, o + h)], this.draw(), this.change(this.shapes.map(([d, c]) => [d, c]));
    } else return;
    t.preventDefault(), t.stopPropagation();
  }
  draw() {
    const t = Math.min(devicePixelRatio || 1, 2);
    this.canvas.width = this.canvas.height = C * t;
    const e = this.canvas.getContext("2d");
    e.scale(t, t), e.translate(C / 2, C / 2), e.font = "12px system-ui, sans-serif", this.shapes.forEach(([i, a], o) => {
      const [r, h] = [i * this.scale, a * this.scale];
      e.strokeStyle = e.fillStyle = P[o % P.length], e.lineWidth = o === this.chosen ? 3 : 1.5, e.strokeRect(-r / 2, -h / 2, r, h), e.beginPath(), e.arc(r / 2, h / 2, o === this.chosen ? 6 : 4.5, 0, 7), e.fill();
    });
    const s = this.shapes.map(([i, a]) => `${b(i)} × ${b(a)}`);
    this.canvas.setAttribute(
      "aria-label",
      `Shapes, width by height: ${s.join(", ")}. Drag a corner; or arrows to change shape ${this.chosen + 1}, comma and full stop to choose another.`
    );
  }
}
class ft {
  constructor(t) {
    this.store = t, this.list.addEventListener("change", () => this.typed()), t.on("state", () => this.sync()), this.sync();
  }
  root = l("div", { class: "tab" });
  level = 0;
  shown = "";
  editor = new pt((t) => this.setLevel({ shapes: t }, "shapes"));
  list = l("input", { type: "text", "aria-label": "Shapes of the level, w x h" });
  sync() {
    const { size: t, resize: e, levels: s } = this.store.state, i = JSON.stringify([t, e, s.map(({ shapes: a, ...o }) => [o, !a])]);
    this.level >= s.length && (this.level = s.length - 1), i !== this.shown && !this.root.contains(V(this.root)) && (this.shown = i, this.build()), this.syncShapes();
  }
  syncShapes() {
    const { shapes: t } = this.store.state.levels[this.level];
    this.editor.canvas.hidden = this.list.hidden = !t, t && (this.editor.show(t), this.list !== V(this.root) && (this.list.value = t.map(([e, s]) => `${b(e)}x${b(s)}`).join(", ")));
  }
  build() {
    const { state: t, catalogue: e } = this.store, s = ["as it was", ...Object.keys(e.presets)], i = l("select", { "aria-label": "Published anchors" }, ...k(s));
    i.addEventListener("change", () => {
      const o = e.presets[i.value] ?? e.start.levels;
      this.shown = "", i.blur(), this.store.change(i.value in e.presets ? { levels: o } : gt(e.start));
    });
    const a = t.levels.map((o, r) => this.row(o, r));
    this.root.replaceChildren(
      l("label", {}, "Published anchors ", i),
      l(
        "div",
        { class: "inline" },
        l("span", {}, "Input"),
        this.number("height", t.size[0], (o) => this.resizeTo([o, this.store.state.size[1]])),
        l("span", {}, "high,"),
        this.number("width", t.size[1], (o) => this.resizeTo([this.store.state.size[0], o])),
        l("span", {}, "wide"),
        this.resizing()
      ),
      l(
        "table",
        { class: "levels" },
        l("thead", {}, l("tr", {}, ...["", "stride", "offset", "shapes", ""].map((o) => l("th", {}, o)))),
        l("tbody", {}, ...a)
      ),
      w("+ level", () => this.addLevel()),
      l("p", { class: "quiet" }, "Shapes of the chosen level, w × h in pixels: drag a corner, or type."),
      this.editor.canvas,
      this.list
    );
  }
  row(t, e) {
    const s = l("input", {
      type: "radio",
      name: "level",
      checked: e === this.level,
      "aria-label": `Show the shapes of level ${e + 1}`
    });
    s.addEventListener("change", () => {
      this.level = e, this.syncShapes();
    });
    const i = this.number(
      `stride of level ${e + 1}`,
      t.stride[0],
      (h) => this.setLevel({ stride: [h, h], cells: null }, "stride", e)
    ), a = this.number(
      `offset of level ${e + 1}`,
      t.offset,
      (h) => this.setLevel({ offset: h }, "offset", e),
      { min: "0", max: "1", step: "0.1" }
    ), o = t.shapes ? String(t.shapes.length) : "points", r = this.store.state.levels.length > 1;
    return l(
      "tr",
      {},
      l("td", {}, s),
      l("td", {}, i),
      l("td", {}, a),
      l("td", {}, o),
      l(
        "td",
        {},
        r && w("×", () => this.removeLevel(e), { class: "close", "aria-label": `Remove level ${e + 1}` })
      )
    );
  }
  number(t, e, s, i = {}) {
    const a = l("input", { type: "number", "aria-label": t, title: t, ...i });
    return a.value = String(e), a.addEventListener("change", () => {
      const o = Number(a.value);
      a.value.trim() !== "" && Number.isFinite(o) && s(o);
    }), a;
  }
  resizing() {
    const e = l("select", { "aria-label": "Resizing" }, ...k([
      ["letterbox", "letterbox"],
      ["stretch", "stretch"],
      ["short-side", "short side"]
    ], this.store.state.resize));
    return e.addEventListener(
      "change",
      () => this.store.change({ resize: e.value, levels: this.free() })
    ), e;
  }
  // numbers of cells belong to one input size
  free() {
    return this.store.state.levels.map((t) => ({ ...t, cells: null }));
  }
  resizeTo(t) {
    this.store.change({ size: t, levels: this.free() }, "size");
  }
  setLevel(t, e, s = this.level) {
    const i = this.store.state.levels.map((a, o) => o === s ? { ...a, ...t } : a);
    this.store.change({ levels: i }, `level ${s} ${e}`);
  }
  addLevel() {
    const { levels: t } = this.store.state, e = t[t.length - 1], s = {
      ...e,
      stride: [2 * e.stride[0], 2 * e.stride[1]],
      shapes: e.shapes?.map(([i, a]) => [2 * i, 2 * a]) ?? null,
      cells: null
    };
    this.store.change({ levels: [...t, s] });
  }
  removeLevel(t) {
    this.store.change({ levels: this.store.state.levels.filter((e, s) => s !== t) });
  }
  typed() {
    const e = [...this.list.value.matchAll(/([\d.]+)\s*[x×*]\s*([\d.]+)/g)].map((s) => [Number(s[1]), Number(s[2])]);
    e.length && e.flat().every((s) => s > 0) && this.setLevel({ shapes: e }, "typed"), this.list.blur(), this.syncShapes(), this.shown = "", this.sync();
  }
}
function gt(n) {
  return { levels: n.levels, size: n.size, resize: n.resize };
}
function V(n) {
  const t = n.getRootNode().activeElement;
  return t instanceof HTMLInputElement && t.type !== "radio" ? t : null;
}
function D(n, t) {
  const e = l("pre", { class: "code", tabindex: "0", "data-code": n, "aria-label": n }, t), s = w("Copy", async () => {
    try {
      await navigator.clipboard.writeText(t), s.textContent = "Copied";
    } catch {
      getSelection()?.selectAllChildren(e), s.textContent = "Press Ctrl+C";
    }
    setTimeout(() => s.textContent = "Copy", 1500);
  });
  return l("div", { class: "copy" }, s, e);
}
async function mt(n, t) {
  const e = l("dialog", { class: "dialog", "aria-label": "This state as code" }), s = w("×", () => e.close(), { class: "close", "aria-label": "Close" });
  e.append(l("header", {}, l("h2", {}, "This state as code"), s)), e.addEventListener("close", () => e.remove()), t.append(e), e.showModal();
  try {
    const i = await n.transport.ask("code", { state: n.state, panel: 0 });
    e.append(
      l("h3", {}, "Python, with the objects: it gives the same assignment"),
      D("python", i.python),
      l("h3", {}, "A file for kedge train"),
      D("yaml", i.yaml),
      l("h3", {}, "The command line, over the whole data set"),
      D("command", i.command),
      ...i.notes.length ? [l("h3", {}, "What the last two do not say"), l("ul", {}, ...i.notes.map((a) => l("li", {}, a)))] : []
    );
  } catch (i) {
    e.append(l("p", { class: "wrong" }, i.message));
  }
}
async function wt(n) {
  const t = { state: n.state, layers: n.look.layers }, { html: e } = await n.transport.ask("save", t), s = l("a", {
    href: URL.createObjectURL(new Blob([e], { type: "text/html" })),
    download: "kedge-live.html"
  });
  s.click(), setTimeout(() => URL.revokeObjectURL(s.href), 1e4);
}
class bt {
  constructor(t, e, s) {
    this.store = t, this.page = e, this.say = s;
    const { catalogue: i, transport: a } = t, o = i.images > 1;
    this.number.max = String(i.images), this.number.addEventListener("change", () => this.goTo(Number(this.number.value) - 1)), this.root.append(
      l("h1", {}, "Kedge"),
      l("p", { class: "title" }, i.title),
      l(
        "div",
        { class: "inline images" },
        o && !a.fixed && w("◀", () => this.step(-1), { "aria-label": "Image before", title: "[" }),
        !a.fixed && o && this.number,
        o && !a.fixed && l("span", { class: "quiet" }, `of ${i.images.toLocaleString("en")}`),
        o && !a.fixed && w("▶", () => this.step(1), { "aria-label": "Next image", title: "]" }),
        this.name
      ),
      l(
        "div",
        { class: "inline actions" },
        !a.fixed && this.undo,
        !a.fixed && this.redo,
        !a.fixed && w("Copy as code", () => void mt(t, e)),
        !a.fixed && w("Save as HTML", () => void wt(t).catch((r) => s(r.message))),
        w("Theme", () => this.theme(), { title: "Light, dark, or as the system has it" })
      )
    ), t.on("state", () => this.sync()), t.on("picture", () => this.sync()), t.on("answer", () => this.sync()), this.sync();
  }
  root = l("header", { class: "bar" });
  name = l("span", { class: "name" });
  number = l("input", { type: "number", min: "1", "aria-label": "Number of the image" });
  undo = w("Undo", () => this.store.undo(), { title: "Ctrl+Z" });
  redo = w("Redo", () => this.store.redo(), { title: "Ctrl+Shift+Z" });
  sync() {
    const { state: t, picture: e } = this.store;
    this.undo.disabled = !this.store.undoable, this.redo.disabled = !this.store.redoable, /^\d+$/.test(t.image) ? this.number.value = String(Number(t.image) + 1) : this.number.value = "";
    const s = e ? `, ${e.full[0]} × ${e.full[1]} px` : "";
    this.name.textContent = e ? `${e.name || "image"}${s}` : this.store.noPixels;
  }
  step(t) {
    const e = /^\d+$/.test(this.store.state.image) ? Number(this.store.state.image) : -t;
    this.goTo(e + t);
  }
  goTo(t) {
    const { images: e } = this.store.catalogue;
    if (!Number.isInteger(t)) return;
    const s = (t % e + e) % e;
    this.store.change({ image: String(s), boxes: null, labels: null });
  }
  theme() {
    const t = ["auto", "light", "dark"], e = t[(t.indexOf(this.page.dataset.theme ?? "auto") + 1) % 3];
    this.page.dataset.theme = e, this.say(`Theme: ${e === "auto" ? "as the system has it" : e}`), this.store.tell("look");
  }
}
class yt {
  constructor(t, e) {
    this.store = t, this.panels = e, t.on("look", () => this.build()), t.on("state", () => this.build()), this.build();
  }
  root = l("div", { class: "layers", role: "toolbar", "aria-label": "What is drawn" });
  build() {
    this.root.contains(document.activeElement) && document.activeElement instanceof HTMLSelectElement && document.activeElement.blur();
    const t = document.activeElement?.dataset?.key, { look: e, transport: s, state: i, catalogue: a } = this.store, o = l("select", { "aria-label": "Anchors as" }, ...k([["points", "points"], ["boxes", "boxes"], ["none", "hidden"]], e.anchors));
    o.addEventListener("change", () => this.store.set({ anchors: o.value }));
    const r = i.levels.map((c, u) => [String(u), `stride ${b(c.stride[0])}`]), h = l("select", { "aria-label": "Heat of positives" }, ...k([["-2", "off"], ["-1", "all levels"], ...r], String(e.heat)));
    h.addEventListener("change", () => this.store.set({ heat: Number(h.value) }));
    const d = ["look", "move", "draw"].map(
      (c) => w({ look: "Look", move: "Move objects", draw: "Draw objects" }[c], () => this.store.set({ tool: c }), {
        "aria-pressed": String(e.tool === c),
        "data-key": c
      })
    );
    this.root.replaceChildren(
      ...s.fixed ? [] : [l("span", { class: "group" }, ...d)],
      l("label", {}, "Anchors ", o),
      l("label", {}, "Heat ", h),
      ...["ignored", "negative", "sampled"].map((c) => this.layer(c)),
      ...e.layers.includes("sampled") && !s.fixed ? [this.sampler(a.samplers)] : [],
      w("Whole image", () => {
        this.panels.camera.reset(), this.panels.redraw();
      }, { title: "0" }),
      ...s.fixed || i.strategies.length > 3 ? [] : [w("+ strategy", () => this.panels.add(), { "data-key": "add" })]
    ), t && this.root.querySelector(`[data-key=${t}]`)?.focus();
  }
  layer(t) {
    const { look: e, transport: s, answer: i } = this.store, a = e.layers.includes(t), o = l("input", { type: "checkbox", checked: a, disabled: s.fixed, "data-key": t });
    o.addEventListener("change", () => {
      const c = o.checked ? [...e.layers, t] : e.layers.filter((u) => u !== t);
      t === "sampled" && o.checked && this.store.state.sampler === null && this.store.change({ sampler: "random" }), this.store.set({ layers: c });
    });
    const h = (i?.panels.map((c) => c.layers[t]).filter(Boolean) ?? []).find((c) => c.shown < c.total), d = h ? ` (${h.shown.toLocaleString("en")} of ${x(h.total, "anchor")} drawn)` : "";
    return l("label", { class: "check" }, o, ` ${t}${a ? d : ""}`);
  }
  sampler(t) {
    const e = l("select", { "aria-label": "Sampler" }, ...k(t, this.store.state.sampler ?? "random"));
    return e.addEventListener("change", () => this.store.change({ sampler: e.value })), e;
  }
  refresh() {
    this.build();
  }
}
async function nt(n, t, e) {
  for (e(t); t.state === "running"; )
    await new Promise((s) => setTimeout(s, 250)), t = await n.ask("progress", { id: t.id }), e(t);
  return t;
}
const [_, T, N, j, R] = [340, 300, 34, 30, 10], vt = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];
class ot {
  canvas = l("canvas", {
    class: "plane",
    role: "img",
    "aria-label": "Width and height of the objects, and the anchors' shapes over them"
  });
  sizes = new Float32Array(0);
  draw(t, e = []) {
    const s = Math.min(devicePixelRatio || 1, 2);
    [this.canvas.width, this.canvas.height] = [_ * s, T * s];
    const i = this.canvas.getContext("2d");
    i.scale(s, s);
    const o = getComputedStyle(this.canvas).getPropertyValue("--ink") || "#222222", [r, h] = this.bounds(t), d = (f) => (Math.log(f) - Math.log(r)) / (Math.log(h) - Math.log(r)), c = (f) => N + d(f) * (_ - N - R), u = (f) => T - j - d(f) * (T - j - R);
    this.axes(i, r, h, c, u, o), i.fillStyle = o, i.globalAlpha = Math.min(0.5, Math.max(0.05, 300 / Math.max(1, this.sizes.length)));
    for (let f = 0; f < this.sizes.length; f += 2)
      i.fillRect(c(this.sizes[f]) - 1, u(this.sizes[f + 1]) - 1, 2, 2);
    i.globalAlpha = 0.7, i.strokeStyle = I[0];
    for (const f of e)
      i.beginPath(), f.forEach(([g, m], y) => i[y ? "lineTo" : "moveTo"](c(g), u(m))), i.stroke();
    i.globalAlpha = 1, t.forEach((f, g) => this.marks(i, f, I[g % I.length], c, u));
    const p = t.map(
      (f) => `${f.name}: ${f.shapes.map(([g, m]) => `${b(g)} by ${b(m)}`).join(", ")}.`
    );
    this.canvas.setAttribute(
      "aria-label",
      `Width and height of ${this.sizes.length / 2} objects. ${p.join(" ")}`
    );
  }
  bounds(t) {
    let [e, s] = [1 / 0, 0];
    const i = (a) => {
      a > 0 && (e = Math.min(e, a), s = Math.max(s, a));
    };
    this.sizes.forEach(i);
    for (const a of t) a.shapes.flat().forEach(i);
    return s > e ? [e * 0.85, s * 1.2] : [4, 512];
  }
  axes(t, e, s, i, a, o) {
    t.font = "11px system-ui, sans-serif", t.fillStyle = t.strokeStyle = o;
    for (const r of vt.filter((h) => h >= e && h <= s))
      t.globalAlpha = 0.12, t.fillRect(i(r), R, 1, T - j - R), t.fillRect(N, a(r), _ - N - R, 1), t.globalAlpha = 0.75, t.textAlign = "center", t.fillText(String(r), i(r), T - j + 13), t.textAlign = "right", t.fillText(String(r), N - 4, a(r) + 4);
    t.textAlign = "center", t.fillText("width, px", (N + _) / 2, T - 4), t.save(), t.translate(9, (T - j) / 2), t.rotate(-Math.PI / 2), t.fillText("height, px", 0, 0), t.restore();
  }
  marks(t, e, s, i, a) {
    t.lineWidth = 2;
    for (const [o, r] of e.shapes)
      t.beginPath(), t.arc(i(o), a(r), 5, 0, 7), t.fillStyle = t.strokeStyle = s, e.hollow || t.fill(), t.strokeStyle = e.hollow ? s : "#ffffff", t.stroke();
  }
}
function E(n) {
  const t = atob(n.data), e = new Uint8Array(t.length);
  for (let s = 0; s < t.length; s++) e[s] = t.charCodeAt(s);
  return n.type === "f4" ? new Float32Array(e.buffer) : new Int32Array(e.buffer);
}
const xt = [
  ["mean_iou", "mean best IoU"],
  ["placed", "placed recall (real grid)"],
  ["recall", "recall at IoU 0.5"],
  ["bpr", "BPR (ratio of sides)"],
  ["fitness", "YOLOv5's fitness"]
], kt = ["kedge", "torchvision", "detectron2", "mmdetection", "yolov5", "darknet"];
class $t {
  constructor(t) {
    this.store = t, this.root.append(this.form, this.note, this.plane.canvas, this.out), this.build(), t.on("look", () => this.store.look.tab === "Design" && void this.draw()), t.on("state", () => this.store.look.tab === "Design" && void this.draw());
  }
  root = l("div", { class: "tab design" });
  plane = new ot();
  asked = { layout: "free", k: 9, scales: 3, ratios: 3, objective: "mean_iou", framework: "kedge" };
  form = l("div", { class: "form" });
  note = l("p", { class: "quiet" });
  out = l("div", { class: "form", "aria-live": "polite" });
  found = null;
  sized = "";
  select(t, e, s) {
    const i = l("select", { "aria-label": e }, ...k(s, this.asked[t]));
    return i.addEventListener("change", () => {
      this.asked[t] = i.value, this.build();
    }), i;
  }
  number(t, e) {
    const s = l("input", { type: "number", min: "1", max: t === "k" ? "64" : "6", "aria-label": e });
    return s.value = String(this.asked[t]), s.addEventListener("change", () => this.asked[t] = Number(s.value)), l("label", {}, `${e} `, s);
  }
  build() {
    const t = this.asked.layout === "free";
    this.form.replaceChildren(
      l(
        "div",
        { class: "inline" },
        this.select("layout", "Layout", [["free", "free shapes"], ["pyramid", "sizes × scales × ratios"]]),
        ...t ? [this.number("k", "shapes")] : [this.number("scales", "scales"), this.number("ratios", "ratios")]
      ),
      l(
        "div",
        { class: "inline" },
        this.select("objective", "Objective", xt),
        this.select("framework", "Syntax", kt),
        w("Design", () => void this.start(), { class: "go" })
      )
    );
  }
  async start() {
    const { transport: t, state: e } = this.store, { layout: s, k: i, scales: a, ratios: o, objective: r, framework: h } = this.asked;
    try {
      const d = await t.ask("design", {
        state: e,
        layout: s,
        k: i,
        scales: a,
        ratios: o,
        objective: r,
        framework: h
      });
      this.out.replaceChildren(l("p", { class: "state", "data-state": "running" }, "designing ..."), l("progress"));
      const c = await nt(t, d, () => {
      });
      if (c.state === "failed") throw new Error(c.error);
      if (c.state === "cancelled" || !c.result) throw new Error("another job took its place");
      this.found = c.result, this.show();
    } catch (d) {
      this.out.replaceChildren(l("p", { class: "wrong" }, d.message));
    }
    this.draw();
  }
  show() {
    const t = this.found, e = ["name", "shapes", "mean_best_iou", "recall", "bpr", "placed_recall"], s = ["on held-out images", "shapes", "mean IoU", "IoU ≥ .5", "BPR", "placed"], i = (a) => typeof a == "number" ? Number.isInteger(a) && a > 1 ? String(a) : a.toFixed(3) : String(a ?? "–");
    this.out.replaceChildren(
      l("p", { class: "state", "data-state": "done" }, t.verdict),
      l(
        "table",
        {},
        l("thead", {}, l("tr", {}, ...s.map((a) => l("th", {}, a)))),
        l("tbody", {}, ...t.rows.map((a) => l("tr", {}, ...e.map((o) => l("td", {}, i(a[o]))))))
      ),
      w("Use these shapes in the panels", () => this.use(), { class: "use" }),
      D("snippet", t.snippet)
    );
  }
  // levels without a shape of their own fall away
  use() {
    const t = this.store.state.levels, e = this.found.levels.map((s) => ({ ...t.find((a) => a.stride[0] === s.stride) ?? t[0], stride: [s.stride, s.stride], shapes: s.shapes, cells: null }));
    this.store.change({ levels: e });
  }
  async draw() {
    const { state: t, transport: e } = this.store, s = JSON.stringify([t.size, t.resize]);
    if (s !== this.sized) {
      this.sized = s;
      const a = await e.ask("sizes", { state: t });
      this.plane.sizes = E(a.wh);
      const o = a.shown < a.total ? `${a.shown.toLocaleString("en")} of ` : "";
      this.note.textContent = `${o}${x(a.total, "object")} as the network sees them (grey), the anchors in use (hollow) and the designed ones (filled).`;
    }
    const i = t.levels.flatMap((a) => a.shapes ?? []);
    this.plane.draw([
      { name: "designed", shapes: this.found?.levels.flatMap((a) => a.shapes) ?? [] },
      { name: `in use, ${b(i.length)}`, shapes: i, hollow: !0 }
    ]);
  }
}
function St(n) {
  let t = 0;
  for (const e of n) e > t && (t = e);
  return t;
}
const z = new Float32Array(0);
function Et(n) {
  const t = { boxes: z, level: z, target: z, weight: z, iou: z }, e = ["boxes", "level", "target", "weight", "iou", "counts", "codes"];
  for (const s of e) t[s] = n.error ? z : E(n[s]);
  return {
    error: n.error ?? null,
    data: n,
    ...t,
    codeOf: n.error ? z : E(n.code_of),
    reasons: new Map((n.reasons ?? []).map((s) => [s.object, s])),
    layers: Object.fromEntries(
      Object.entries(n.layers ?? {}).map(([s, i]) => [
        s,
        { ...i, boxes: E(i.boxes), level: E(i.level) }
      ])
    )
  };
}
function Mt(n, t) {
  const e = new Map(t?.panels.map((s) => [s.data.key, s]));
  return {
    data: n,
    boxes: E(n.boxes),
    labels: E(n.labels),
    crowd: E(n.crowd),
    best: E(n.best),
    panels: n.panels.map((s) => e.get(s.key) ?? Et(s))
  };
}
function Lt(n, t) {
  if (n.error) return n.error;
  const { positives: e, without: s, ignored: i, anchors: a } = n.data, o = [
    `${x(e, "positive")} of ${x(a, "anchor")}`,
    s ? `${s} of ${x(t, "object")} without` : "no object without"
  ];
  return i && o.push(`${i.toLocaleString("en")} ignored`), n.data.predicted && o.push("by the run's predictions"), o.join(" · ");
}
function Ct(n, t, e, s) {
  const i = n.panels[t];
  if (i.error) return [];
  if (n.crowd[e]) return ["A crowd: it never has an anchor; anchors that it covers are ignored."];
  const a = [];
  for (let g = 0; g < i.target.length; g++) i.target[g] === e && a.push(g);
  const o = n.best[e];
  if (!a.length) return Tt(i.reasons.get(e), o);
  const r = a.map((g) => i.iou[g]), d = [...new Set(a.map((g) => i.level[g]))].sort((g, m) => g - m).map((g) => b(s.levels[g]?.stride[0] ?? NaN)).join(", "), c = a.length === 1 ? `IoU ${r[0].toFixed(2)}` : `IoU ${Math.min(...r).toFixed(2)} to ${Math.max(...r).toFixed(2)}`, u = [`${x(a.length, "anchor")}, ${c}, stride ${d}.`], p = i.codeOf[e];
  if (p >= 0) {
    const [g, m, y, $] = Array.from(i.codes.slice(4 * e, 4 * e + 4)), v = [g, m, y, $].map((lt) => lt.toFixed(2)), [M, L] = [
      i.boxes[4 * p + 2] - i.boxes[4 * p],
      i.boxes[4 * p + 3] - i.boxes[4 * p + 1]
    ];
    u.push(
      `From its best anchor (${b(M)} × ${b(L)}): centre ${v[0]}, ${v[1]} anchor sides; log ratios ${v[2]}, ${v[3]}.`
    );
  }
  const f = a.map((g) => i.weight[g]);
  return Math.min(...f) < 0.999 && u.push(`Weights add up to ${b(zt(f))}.`), u;
}
function Tt(n, t) {
  if (!n) return [`No anchor. Best IoU ${t.toFixed(2)}.`];
  const e = [`No anchor. ${n.words}`];
  if (n.box) {
    const [i, a, o, r] = n.box, h = n.among > 1 ? `; rank ${n.rank} of ${n.among} objects on it` : "";
    e.push(
      `Best IoU ${n.iou.toFixed(2)}, with an anchor of ${b(o - i)} × ${b(r - a)}${h}.`
    );
  }
  const s = n.words.includes("asks for");
  return n.threshold !== null && !s && e.push(`Asked for: ${n.threshold.toFixed(2)}.`), e;
}
function zt(n) {
  return n.reduce((t, e) => t + e, 0);
}
const q = 200, At = 300;
class It {
  constructor(t, e) {
    this.store = t, this.remove = e, t.on("answer", () => this.soon()), t.on("look", () => this.build());
  }
  root = l("div", { class: "tab objects" });
  only = "without";
  // which are listed: those without an anchor somewhere, or all
  later = 0;
  // while something is dragged the pictures come first: the list follows when it rests
  soon() {
    if (!this.root.hasChildNodes()) return this.build();
    clearTimeout(this.later), this.later = window.setTimeout(() => this.build(), At);
  }
  build() {
    const { answer: t } = this.store;
    if (!t) return;
    const e = l(
      "select",
      { "aria-label": "Which objects are listed" },
      ...k(
        [
          ["without", "without an anchor in some panel"],
          ["all", "all objects"]
        ],
        this.only
      )
    );
    e.addEventListener("change", () => {
      this.only = e.value, this.build();
    });
    const s = this.rows(), i = s.length > q ? `The first ${q} of ${x(s.length, "object")}:` : "";
    this.root.replaceChildren(
      this.detail(),
      !this.store.transport.fixed && this.store.catalogue.images > 1 ? this.finder() : "",
      l("label", {}, "List ", e),
      l("p", { class: "quiet" }, s.length ? i : "Every object has an anchor in every panel."),
      l("ol", { class: "list" }, ...s.slice(0, q).map((a) => this.item(a)))
    );
  }
  finder() {
    const t = l("span", { class: "quiet", role: "status" }), e = w("Next image with an object without", async () => {
      e.disabled = !0, t.textContent = "looking ...";
      try {
        const { transport: s, state: i } = this.store, a = await s.ask("find", { state: i }), o = a.left_out.length ? `; not asked: ${a.left_out.join(", ")}` : "";
        a.image !== null ? this.store.change({ image: a.image, boxes: null, labels: null }) : t.textContent = `none in the next ${x(a.looked, "image")}${o}`;
      } catch (s) {
        t.textContent = s.message;
      }
      e.disabled = !1;
    }, { class: "find" });
    return l("div", { class: "inline" }, e, t);
  }
  rows() {
    const { answer: t } = this.store, e = Array.from(t.labels, (s, i) => i);
    return this.only === "all" ? e : e.filter(
      (s) => !t.crowd[s] && t.panels.some((i) => !i.error && i.counts[s] === 0)
    );
  }
  name(t) {
    const { answer: e, catalogue: s } = this.store, [i, a, o, r] = e.boxes.subarray(4 * t, 4 * t + 4), h = s.classes[e.labels[t]] ?? `class ${e.labels[t]}`;
    return `${t + 1} ${e.crowd[t] ? "crowd of " : ""}${h}, ${b(o - i)} × ${b(r - a)} px`;
  }
  item(t) {
    const { answer: e, look: s, answered: i } = this.store, a = e.panels.map((d, c) => {
      const u = `${i.strategies[c].name}: ${x(d.counts[t] ?? 0, "anchor")}`, p = !d.error && d.counts[t] === 0;
      return l("b", { class: p ? "none" : "", title: u }, d.error ? "–" : String(d.counts[t]));
    }), o = () => this.store.set({ selected: s.selected === t ? -1 : t }), r = l("i", { "aria-hidden": "true" }), h = e.panels.every((d) => !d.error && d.counts[t] === 0);
    return r.style.background = h ? it : H(t), l(
      "li",
      {},
      l(
        "button",
        { type: "button", onclick: o, "aria-pressed": String(s.selected === t) },
        r,
        l("span", {}, this.name(t)),
        ...a
      )
    );
  }
  detail() {
    const { answer: t, answered: e, look: s, state: i, catalogue: a, transport: o } = this.store, r = s.selected;
    if (r < 0 || r >= t.labels.length)
      return l("p", { class: "quiet" }, "Choose an object, in a picture or below, to see why it is answered for.");
    const h = t.panels.map(
      (c, u) => l(
        "div",
        { class: "said", "data-panel": String(u) },
        l("b", {}, e.strategies[u].name),
        ...Ct(t, u, r, e).map((p) => l("p", {}, p))
      )
    ), d = l(
      "select",
      { "aria-label": "Class of the object" },
      ...k(a.classes.map((c, u) => [String(u), c]))
    );
    return d.value = String(t.labels[r]), d.addEventListener("change", () => {
      const c = [...i.labels ?? []];
      c[r] = Number(d.value), this.store.change({ labels: c });
    }), l(
      "section",
      { class: "detail", "aria-live": "polite" },
      l("h3", {}, this.name(r)),
      ...h,
      !o.fixed && l(
        "div",
        { class: "inline" },
        i.boxes && d,
        w("Remove", () => this.remove(r)),
        i.boxes && w("The image's own objects", () => this.store.change({ boxes: null, labels: null }))
      )
    );
  }
}
class Nt {
  zoom = 1;
  x = 0;
  // corner of what is seen
  y = 0;
  reset() {
    this.zoom = 1, this.x = this.y = 0;
  }
  // pixels of the canvas for one of the input
  scale(t, e) {
    return t / e[1] * this.zoom;
  }
  zoomAt(t, e, s, i) {
    const a = this.zoom;
    this.zoom = Math.min(40, Math.max(1, a * t));
    const o = a / this.zoom;
    this.x = e - (e - this.x) * o, this.y = s - (s - this.y) * o, this.bound(i);
  }
  move(t, e, s) {
    this.x += t, this.y += e, this.bound(s);
  }
  bound([t, e]) {
    this.x = Math.min(Math.max(0, this.x), e - e / this.zoom), this.y = Math.min(Math.max(0, this.y), t - t / this.zoom);
  }
}
function Ot(n, t) {
  const { answer: e, camera: s } = t, i = n.getContext("2d"), a = n.width / Math.max(1, n.clientWidth), o = s.scale(n.width, e.data.input);
  i.setTransform(1, 0, 0, 1, 0, 0), i.fillStyle = "#4a5058", i.fillRect(0, 0, n.width, n.height), i.setTransform(o, 0, 0, o, -s.x * o, -s.y * o);
  const r = a / o;
  X = Math.min(2, Math.max(1, n.clientWidth / 520)), Pt(i, t), t.look.heat > -2 && _t(i, t), Ft(i, t, r), jt(i, t, r), t.look.anchors !== "none" && Rt(i, t, r), t.look.selected >= 0 && Bt(i, t, r);
}
function Pt(n, { answer: t, pixels: e }) {
  const [s, i, a, o] = t.data.placed;
  n.fillStyle = "#20262c", n.fillRect(s, i, a, o), e && (n.imageSmoothingEnabled = !0, n.globalAlpha = 0.72, n.drawImage(e, s, i, a, o), n.globalAlpha = 1);
}
function jt(n, { answer: t, panel: e, look: s, hover: i }, a) {
  const o = t.labels.length > 500;
  for (let r = 0; r < t.labels.length; r++) {
    const [h, d, c, u] = t.boxes.subarray(4 * r, 4 * r + 4), p = t.crowd[r] === 1, f = !p && !e.error && e.counts[r] === 0, g = r === s.selected || r === i, m = f && !o;
    n.setLineDash(p ? [2 * a, 4 * a] : m ? [7 * a, 4 * a] : []), n.strokeStyle = p ? at : f ? it : H(r), n.lineWidth = (g ? 4 : o ? 1.2 : 2.4) * a, n.strokeRect(h, d, c - h, u - d), f && (n.setLineDash([]), n.lineWidth = (o ? 0.8 : 1.4) * a, n.beginPath(), n.moveTo(h, d), n.lineTo(c, u), n.moveTo(c, d), n.lineTo(h, u), n.stroke());
  }
  n.setLineDash([]);
}
function Rt(n, { panel: t, look: e }, s) {
  const i = Math.max(1e-12, St(t.weight)), a = e.anchors === "boxes", o = e.selected, r = t.target.length > 1500;
  let h = "";
  for (const d of Wt(t.target)) {
    const c = t.target[d], u = 4 * d, [p, f] = [t.boxes[u], t.boxes[u + 1]], [g, m] = [t.boxes[u + 2], t.boxes[u + 3]], y = o >= 0 && c !== o ? 0.35 : 1;
    n.globalAlpha = (0.15 + 0.85 * (t.weight[d] / i)) * y * (a ? 0.8 : 1);
    const $ = H(c);
    if ($ !== h && (n.fillStyle = n.strokeStyle = h = $), a) {
      n.lineWidth = s, n.strokeRect(p, f, g - p, m - f);
      continue;
    }
    const [v, M, L] = [(p + g) / 2, (f + m) / 2, rt(t.level[d]) * s];
    r ? n.fillRect(v - L, M - L, 2 * L, 2 * L) : J(n, v, M, L);
  }
  n.globalAlpha = 1;
}
function Wt(n) {
  const t = P.map(() => []);
  for (let e = 0; e < n.length; e++) t[n[e] % P.length].push(e);
  return t.flat();
}
let X = 1;
const rt = (n) => (2.2 + 1.1 * Math.min(n, 7)) * X;
function J(n, t, e, s) {
  n.beginPath(), n.arc(t, e, s, 0, 7), n.fill();
}
function Ft(n, { panel: t, look: e }, s) {
  const i = (a, o) => {
    if (a)
      for (let r = 0; r < a.level.length; r++) {
        const [h, d, c, u] = a.boxes.subarray(4 * r, 4 * r + 4);
        o((h + c) / 2, (d + u) / 2, rt(a.level[r]) * s);
      }
  };
  e.layers.includes("negative") && (n.fillStyle = "rgb(255 255 255 / 0.6)", i(t.layers.negative, (a, o, r) => J(n, a, o, r * 0.6))), e.layers.includes("sampled") && (n.fillStyle = "#ffffff", i(t.layers.sampled, (a, o) => J(n, a, o, 1.7 * X * s))), e.layers.includes("ignored") && (n.strokeStyle = at, n.lineWidth = 1.2 * s, i(t.layers.ignored, (a, o, r) => {
    n.beginPath(), n.arc(a, o, r, 0, 7), n.stroke();
  }));
}
function _t(n, { answer: t, panel: e, look: s }) {
  const i = /* @__PURE__ */ new Map();
  for (let o = 0; o < e.target.length; o++) {
    const r = e.level[o];
    if (s.heat >= 0 && r !== s.heat) continue;
    const [h, d] = t.data.levels[r].stride, [c, u, p, f] = e.boxes.subarray(4 * o, 4 * o + 4), [g, m] = [(c + p) / 2 - d / 2, (u + f) / 2 - h / 2], y = `${r}/${g.toFixed(1)}/${m.toFixed(1)}`, $ = i.get(y);
    $ ? $[4] += 1 : i.set(y, [g, m, d, h, 1]);
  }
  const a = Math.max(1, ...[...i.values()].map((o) => o[4]));
  for (const [o, r, h, d, c] of i.values())
    n.fillStyle = `rgb(255 ${Math.round(220 - 150 * (c / a))} 40 / ${0.25 + 0.45 * (c / a)})`, n.fillRect(o, r, h, d);
}
function Bt(n, { answer: t, panel: e, look: s }, i) {
  const a = s.selected, [o, r, h, d] = t.boxes.subarray(4 * a, 4 * a + 4), c = e.reasons.get(a)?.box;
  n.setLineDash([5 * i, 4 * i]), n.lineWidth = 2 * i, n.strokeStyle = ut, c && n.strokeRect(c[0], c[1], c[2] - c[0], c[3] - c[1]);
  const u = e.codeOf[a];
  if (u >= 0) {
    const [f, g, m, y] = e.boxes.subarray(4 * u, 4 * u + 4);
    n.strokeRect(f, g, m - f, y - g);
  }
  if (n.setLineDash([]), s.tool !== "move") return;
  n.fillStyle = "#ffffff";
  const p = 4 * i;
  for (const [f, g] of [[o, r], [h, r], [o, d], [h, d]])
    n.fillRect(f - p, g - p, 2 * p, 2 * p);
}
class Dt {
  constructor(t, e, s, i, a) {
    this.canvas = t, this.store = e, this.camera = s, this.redraw = i, this.hover = a, t.addEventListener("pointerdown", (o) => this.press(o)), t.addEventListener("pointermove", (o) => this.move(o)), t.addEventListener("pointerup", (o) => this.release(o)), t.addEventListener("pointercancel", (o) => this.release(o)), t.addEventListener("pointerleave", () => this.hover(-1)), t.addEventListener("wheel", (o) => this.wheel(o), { passive: !1 }), t.addEventListener("dblclick", () => {
      this.camera.reset(), this.redraw();
    });
  }
  down = /* @__PURE__ */ new Map();
  moved = 0;
  grip = null;
  drawing = null;
  get input() {
    return this.store.answer.data.input;
  }
  // a place on the network's input
  at(t) {
    const e = this.canvas.getBoundingClientRect(), s = this.camera.scale(e.width, this.input);
    return [
      (t.clientX - e.left) / s + this.camera.x,
      (t.clientY - e.top) / s + this.camera.y
    ];
  }
  press(t) {
    if (!this.store.answer) return;
    this.canvas.setPointerCapture(t.pointerId), this.down.set(t.pointerId, [t.clientX, t.clientY]), this.moved = 0;
    const e = this.at(t), { tool: s } = this.store.look;
    this.down.size > 1 ? this.grip = this.drawing = null : s === "draw" ? this.drawing = { from: e, to: e } : s === "move" && (this.grip = this.grab(e));
  }
  move(t) {
    if (!this.store.answer) return;
    const e = this.down.get(t.pointerId);
    if (!e) {
      this.hover(this.find(this.at(t)));
      return;
    }
    const [s, i] = [t.clientX - e[0], t.clientY - e[1]];
    if (this.moved += Math.abs(s) + Math.abs(i), this.down.size === 2) this.pinch(t);
    else if (this.drawing) this.drawing.to = this.at(t);
    else if (this.grip) this.pull(this.at(t));
    else {
      const a = this.camera.scale(this.canvas.clientWidth, this.input);
      this.camera.move(-s / a, -i / a, this.input);
    }
    this.down.set(t.pointerId, [t.clientX, t.clientY]), this.redraw(), this.drawing && this.outline();
  }
  release(t) {
    !this.down.delete(t.pointerId) || !this.store.answer || (this.drawing && this.moved > 6 ? this.add(this.drawing.from, this.drawing.to) : this.moved < 6 && this.store.set({ selected: this.find(this.at(t)) }), this.drawing = this.grip = null, this.redraw());
  }
  wheel(t) {
    if (!this.store.answer) return;
    t.preventDefault();
    const [e, s] = this.at(t);
    this.camera.zoomAt(Math.exp(-t.deltaY / 400), e, s, this.input), this.redraw();
  }
  pinch(t) {
    const e = [...this.down].find(([r]) => r !== t.pointerId), s = this.down.get(t.pointerId), i = (r) => Math.hypot(r[0] - e[1][0], r[1] - e[1][1]), a = i([t.clientX, t.clientY]) / Math.max(1, i(s)), o = {
      clientX: (t.clientX + e[1][0]) / 2,
      clientY: (t.clientY + e[1][1]) / 2
    };
    this.camera.zoomAt(a, ...this.at(o), this.input);
  }
  // the smallest object around a place, or one with a side near it
  find([t, e]) {
    const s = this.store.answer, i = 6 / this.camera.scale(this.canvas.clientWidth, this.input);
    let a = -1, o = 1 / 0;
    for (let r = 0; r < s.labels.length; r++) {
      const [h, d, c, u] = s.boxes.subarray(4 * r, 4 * r + 4);
      if (t < h - i || t > c + i || e < d - i || e > u + i) continue;
      const p = (c - h) * (u - d);
      p < o && ([a, o] = [r, p]);
    }
    return a;
  }
  // -- objects that are moved and drawn: in pixels of the image
  toImage([t, e]) {
    const [s, i, a, o] = this.store.answer.data.placed, [r, h] = this.full;
    return [(t - s) / a * r, (e - i) / o * h];
  }
  get full() {
    const [, , t, e] = this.store.answer.data.placed;
    return this.store.picture?.full ?? [t, e];
  }
  get boxes() {
    if (this.store.state.boxes) return this.store.state.boxes;
    const { boxes: t, labels: e } = this.store.answer;
    return Array.from(e, (s, i) => {
      const [a, o, r, h] = t.subarray(4 * i, 4 * i + 4);
      return [...this.toImage([a, o]), ...this.toImage([r, h])];
    });
  }
  get labels() {
    return this.store.state.labels ?? Array.from(this.store.answer.labels);
  }
  grab(t) {
    const e = this.store.answer, s = 9 / this.camera.scale(this.canvas.clientWidth, this.input), i = this.store.look.selected;
    for (const a of i >= 0 ? [i, this.find(t)] : [this.find(t)]) {
      if (a < 0) continue;
      const [o, r, h, d] = e.boxes.subarray(4 * a, 4 * a + 4), [c, u] = t, p = [Math.abs(c - o) < s, Math.abs(c - h) < s], f = [Math.abs(u - r) < s, Math.abs(u - d) < s];
      if (!(c > o - s && c < h + s && u > r - s && u < d + s)) continue;
      const y = (p[0] || p[1]) && (f[0] || f[1]) && a === i ? [+p[0], +f[0], +p[1], +f[1]] : [1, 1, 1, 1];
      return this.store.set({ selected: a }), {
        box: this.boxes[a],
        sides: y,
        from: this.toImage(t),
        object: a
      };
    }
    return null;
  }
  pull(t) {
    const { box: e, sides: s, from: i, object: a } = this.grip, [o, r] = this.toImage(t), h = [o - i[0], r - i[1], o - i[0], r - i[1]], d = e.map((f, g) => f + s[g] * h[g]), [c, u] = [d[2] - d[0], d[3] - d[1]];
    if (c < 1 || u < 1) return;
    const p = this.boxes.slice();
    p[a] = d.map((f) => +f.toFixed(2)), this.store.change({ boxes: p, labels: this.labels }, `move ${a}`);
  }
  outline() {
    const { from: t, to: e } = this.drawing, s = this.canvas.getContext("2d"), i = this.camera.scale(this.canvas.width, this.input);
    s.setTransform(i, 0, 0, i, -this.camera.x * i, -this.camera.y * i), s.strokeStyle = "#ffffff", s.lineWidth = 2 / i, s.strokeRect(t[0], t[1], e[0] - t[0], e[1] - t[1]);
  }
  add(t, e) {
    const [[s, i], [a, o]] = [this.toImage(t), this.toImage(e)], r = [Math.min(s, a), Math.min(i, o), Math.max(s, a), Math.max(i, o)];
    if (r[2] - r[0] < 1 || r[3] - r[1] < 1) return;
    const h = [...this.boxes, r.map((d) => +d.toFixed(2))];
    this.store.set({ selected: h.length - 1 }), this.store.change({ boxes: h, labels: [...this.labels, 0] });
  }
  remove(t) {
    const e = this.boxes.filter((i, a) => a !== t), s = this.labels.filter((i, a) => a !== t);
    this.store.set({ selected: -1 }), this.store.change({ boxes: e, labels: s });
  }
}
function Ut(n, t, e, s) {
  const i = { ...t.settings }, a = n.fields.map((o) => qt(o, i, e, s));
  return a.length || a.push(l("p", { class: "quiet" }, "It has no settings.")), l("div", { class: "settings" }, ...a);
}
function qt(n, t, e, s) {
  const i = n.name in t ? t[n.name] : n.default, a = (h) => {
    h === n.default ? delete t[n.name] : t[n.name] = h, e({ ...t }, n.name);
  }, o = n.name.replaceAll("_", " "), r = `f${Math.random().toString(36).slice(2, 8)}`;
  return l(
    "div",
    { class: "setting", "data-setting": n.name },
    l("label", { for: r }, o),
    ...Kt(n, i, a, r, s)
  );
}
function Kt(n, t, e, s, i) {
  if (n.kind === "flag") {
    const a = l("input", { type: "checkbox", id: s, checked: !!t, disabled: i });
    return a.addEventListener("change", () => e(a.checked)), [a];
  }
  if (n.kind === "choice") {
    const a = l("select", { id: s, disabled: i }, ...k(n.choices.map(String), String(t)));
    return a.addEventListener("change", () => e(a.value)), [a];
  }
  if (n.kind === "text") {
    const a = n.optional ? "none" : "", o = l("input", { type: "text", id: s, disabled: i, placeholder: a });
    return o.value = t === null ? "" : String(t), o.addEventListener("change", () => e(o.value.trim() === "" ? null : o.value.trim())), [o];
  }
  return Jt(n, t, e, s, i);
}
function Jt(n, t, e, s, i) {
  const { low: a, high: o, step: r, optional: h } = n, d = { min: String(a), max: String(o), step: String(r), disabled: i }, c = n.name.replaceAll("_", " "), u = l("input", { type: "range", id: s, ...d }), p = l("input", { type: "number", step: "any", disabled: i, "aria-label": `${c}, exactly` }), f = (g, m) => {
    m !== u && (u.value = String(g ?? a)), m !== p && (p.value = g === null ? "" : String(g));
  };
  return f(t), u.addEventListener("input", () => {
    f(Number(u.value), u), e(Number(u.value));
  }), p.placeholder = h ? "none" : "", p.addEventListener("input", () => {
    const g = p.value.trim() === "";
    if (g && !h) return;
    const m = g ? null : Number(p.value);
    f(m, p), e(m);
  }), [u, p];
}
class Yt {
  // settings that come from these forms just now: they need not be made again
  constructor(t) {
    this.store = t, t.on("state", () => this.sync()), t.on("answer", () => this.facts()), t.on("look", () => this.redraw()), t.on("picture", () => this.redraw()), new ResizeObserver(() => this.redraw()).observe(this.root), this.sync();
  }
  root = l("section", { class: "panels", "aria-label": "Strategies side by side" });
  camera = new Nt();
  views = [];
  hovered = -1;
  frame = 0;
  anew = !1;
  // the next frame paints all panels, not those alone that changed
  own = "";
  get pointer() {
    return this.views[0].pointer;
  }
  sync() {
    const { strategies: t } = this.store.state;
    for (; this.views.length > t.length; ) this.views.pop().root.remove();
    for (; this.views.length < t.length; ) this.views.push(this.make(this.views.length));
    this.root.dataset.count = String(t.length), t.forEach((e, s) => this.syncOne(this.views[s], e, s));
  }
  syncOne(t, e, s) {
    t.choice.value = e.name;
    const i = JSON.stringify(e);
    if (t.shown === i) return;
    const a = `${s}${i}` === this.own;
    if (t.shown = i, a) return;
    const o = this.store.catalogue.strategies.find((d) => d.name === e.name);
    if (!o) return;
    t.choice.title = o.summary;
    const { fixed: r } = this.store.transport, h = (d, c) => {
      const u = { ...this.store.state.strategies[s], settings: d };
      this.own = `${s}${JSON.stringify(u)}`, this.replace(s, u, `${s} ${c}`), this.own = "";
    };
    t.settings.replaceChildren(
      Ut(o, e, h, r),
      l("details", { class: "about" }, l("summary", {}, `About ${o.title}`), l("pre", {}, o.text))
    );
  }
  replace(t, e, s = "") {
    const i = this.store.state.strategies.map((a, o) => o === t ? e : a);
    this.store.change({ strategies: i }, s);
  }
  make(t) {
    const { catalogue: e, transport: s } = this.store, i = l("canvas", { role: "img", tabindex: "0", class: "picture" }), a = l("p", { class: "facts" }), o = l("div", { class: "fields" }), r = e.strategies.map(
      (p) => [p.name, p.name]
    ), h = l(
      "select",
      { "aria-label": `Strategy of panel ${t + 1}`, disabled: s.fixed },
      ...k(r)
    );
    h.addEventListener("change", () => this.replace(t, { name: h.value, settings: {} }));
    const d = w("×", () => this.remove(t), {
      class: "close",
      "aria-label": `Remove panel ${t + 1}`
    }), c = l(
      "article",
      { class: "panel", "data-panel": String(t) },
      l("header", {}, h, !s.fixed && d),
      a,
      i,
      o
    );
    this.root.append(c);
    const u = new Dt(i, this.store, this.camera, () => this.redraw(), (p) => {
      p !== this.hovered && (this.hovered = p, this.redraw());
    });
    return { root: c, canvas: i, facts: a, settings: o, choice: h, pointer: u, shown: "", painted: null };
  }
  add() {
    const { strategies: t } = this.store.state;
    if (t.length >= 4) return;
    const e = ["max_iou", "atss", "yolov5", "fcos", "ssd"], s = new Set(t.map((a) => a.name)), i = e.find((a) => !s.has(a)) ?? "max_iou";
    this.store.change({ strategies: [...t, { name: i, settings: {} }] });
  }
  remove(t) {
    const { strategies: e } = this.store.state;
    e.length < 2 || this.store.change({ strategies: e.filter((s, i) => i !== t) });
  }
  facts() {
    const { answer: t } = this.store;
    if (!t) return;
    const e = Array.from(t.crowd).filter((s) => !s).length;
    this.views.forEach((s, i) => {
      const a = t.panels[i];
      if (!a) return;
      const o = Lt(a, e);
      s.facts.textContent = o, s.facts.classList.toggle("wrong", !!a.error), s.canvas.setAttribute("aria-label", `${this.store.answered.strategies[i].name}: ${o}`);
    }), this.redraw(!1);
  }
  redraw(t = !0) {
    this.anew ||= t, !this.frame && (this.frame = requestAnimationFrame(() => {
      this.frame = 0, this.paint();
    }));
  }
  paint() {
    const { answer: t, look: e, pixels: s } = this.store;
    t && (this.camera.bound(t.data.input), this.views.forEach((i, a) => {
      const o = t.panels[a];
      if (!o || o === i.painted && !this.anew) return;
      i.painted = o;
      const { canvas: r } = i, [h, d] = t.data.input;
      r.style.aspectRatio = `${d} / ${h}`, r.style.maxWidth = `calc(72vh * ${d / h})`;
      const c = Math.min(devicePixelRatio || 1, 2), u = Math.max(1, Math.round(r.clientWidth * c)), p = Math.max(1, Math.round(u * h / d));
      (r.width !== u || r.height !== p) && ([r.width, r.height] = [u, p]), r.style.cursor = e.tool === "draw" ? "crosshair" : e.tool === "move" ? "move" : "grab", Ot(r, { answer: t, panel: o, look: e, pixels: s, camera: this.camera, hover: this.hovered }), i.root.classList.toggle("stale", !!o.error);
    }), this.anew = !1, this.root.dataset.drawn = String(Number(this.root.dataset.drawn ?? 0) + 1));
  }
}
class Ht {
  constructor(t, e, s) {
    this.transport = t, this.catalogue = e, this.state = this.answered = s;
  }
  state;
  look = { anchors: "points", heat: -2, layers: [], tool: "look", selected: -1, tab: "Objects" };
  answer = null;
  answered;
  // what the answer is about; the state may be ahead of it
  picture = null;
  pixels = null;
  problem = "";
  noPixels = "";
  busy = !1;
  // milliseconds from the last change to its answer, as the page saw it
  took = 0;
  past = [];
  future = [];
  lastKey = "";
  lastTime = 0;
  asking = !1;
  again = !1;
  listeners = {};
  shown = "";
  on(t, e) {
    (this.listeners[t] ??= /* @__PURE__ */ new Set()).add(e);
  }
  tell(t) {
    for (const e of this.listeners[t] ?? []) e();
  }
  // changes of one `key` within a second are one step of undo
  change(t, e = "") {
    if (this.transport.fixed) return;
    const s = performance.now();
    (!e || e !== this.lastKey || s - this.lastTime > 1e3) && this.past.push(this.state), this.past.length > 200 && this.past.shift(), this.lastKey = e, this.lastTime = s, this.future = [], this.become({ ...this.state, ...t });
  }
  get undoable() {
    return this.past.length > 0;
  }
  get redoable() {
    return this.future.length > 0;
  }
  undo() {
    const t = this.past.pop();
    t && (this.future.push(this.state), this.lastKey = "", this.become(t));
  }
  redo() {
    const t = this.future.pop();
    t && (this.past.push(this.state), this.lastKey = "", this.become(t));
  }
  set(t) {
    const e = t.layers !== void 0;
    this.look = { ...this.look, ...t }, this.tell("look"), e ? this.ask() : t.selected !== void 0 && this.why();
  }
  become(t) {
    t.image !== this.state.image && (this.look = { ...this.look, selected: -1 }), this.state = t, this.tell("state"), this.ask();
  }
  // one question at a time; what changed meanwhile is asked after it, once
  async ask() {
    if (this.asking) {
      this.again = !0;
      return;
    }
    this.asking = this.busy = !0;
    const t = performance.now(), e = this.state;
    try {
      const s = this.answer, i = s?.panels.map((r) => r.data.key) ?? [], a = { state: e, layers: this.look.layers, have: i }, [o] = await Promise.all([
        this.transport.ask("answer", a),
        this.show(e.image)
      ]);
      this.answer = Mt(o, s), this.answered = e, this.problem = "", this.took = performance.now() - t, this.look.selected >= this.answer.labels.length && (this.look.selected = -1);
    } catch (s) {
      this.problem = s.message;
    }
    if (this.asking = !1, this.again)
      return this.again = !1, this.ask();
    this.busy = !1, this.tell("answer"), this.why();
  }
  // why the chosen object goes without, where it does; a saved page knows it of all
  async why() {
    const { answer: t, answered: e } = this, s = this.look.selected;
    if (!(!t || this.transport.fixed || s < 0 || t.crowd[s] || !t.panels.some(
      (a) => !a.error && a.counts[s] === 0 && !a.reasons.has(s)
    ))) {
      try {
        const a = { state: e, object: s };
        (await this.transport.ask("why", a)).reasons.forEach((r, h) => r && t.panels[h].reasons.set(s, r));
      } catch (a) {
        this.problem = a.message;
      }
      t === this.answer && this.tell("look");
    }
  }
  async show(t) {
    if (this.shown !== t) {
      this.shown = t, this.pixels = null, this.picture = null, this.noPixels = "";
      try {
        const e = await this.transport.ask("image", { image: t }), s = new Image();
        if (s.src = e.src, await s.decode(), this.shown !== t) return;
        this.picture = e, this.pixels = s;
      } catch (e) {
        this.noPixels = e.message;
      }
      this.tell("picture");
    }
  }
}
const [W, A, F, K, G, B] = [340, 190, 42, 12, 10, 34];
function O(n, t, e, s = null) {
  const i = n.flatMap((f) => f.points).filter(([, f]) => f !== null), a = S("svg", {
    viewBox: `0 0 ${W} ${A}`,
    role: "img",
    class: "chart",
    "aria-label": `${e}. ${n.map(Xt).join(" ")}`
  });
  if (!i.length)
    return a.append(S("text", { x: W / 2, y: A / 2, "text-anchor": "middle" }, "nothing yet")), a;
  const [o, r] = Z(i.map(([f]) => f)), [h, d] = Z(i.map(([, f]) => f)), c = h > 0 && h < 0.6 * d ? 0 : h, u = (f) => F + (f - o) / (r - o) * (W - F - K), p = (f) => A - B - (f - c) / (d - c) * (A - G - B);
  for (const f of tt(c, d))
    a.append(
      S("line", { x1: F, x2: W - K, y1: p(f), y2: p(f), class: "grid" }),
      S("text", { x: F - 5, y: p(f) + 3.5, "text-anchor": "end" }, Q(f, c, d))
    );
  for (const f of tt(o, r))
    a.append(S("text", { x: u(f), y: A - B + 13, "text-anchor": "middle" }, Q(f, o, r)));
  return s !== null && s >= o && s <= r && a.append(S("line", { x1: u(s), x2: u(s), y1: G, y2: A - B, class: "mark" })), a.append(S("text", { x: (F + W - K) / 2, y: A - 4, "text-anchor": "middle" }, t)), n.forEach((f, g) => {
    const m = f.points.filter(([, v]) => v !== null), y = m.map(([v, M], L) => `${L ? "L" : "M"}${u(v).toFixed(1)} ${p(M).toFixed(1)}`), $ = I[g % I.length];
    if (a.append(S("path", { d: y.join(""), stroke: $, fill: "none", "stroke-width": 2 })), m.length <= 41)
      for (const [v, M] of m)
        a.append(
          S("circle", { cx: u(v), cy: p(M), r: 2.6, fill: $ }, S("title", {}, `${b(v)}: ${b(M)}`))
        );
  }), a;
}
function U(n) {
  const t = document.createElement("p");
  return t.className = "legend", n.forEach((e, s) => {
    const i = document.createElement("span"), a = document.createElement("i");
    a.style.background = I[s % I.length], i.append(a, e.name), t.append(i);
  }), t;
}
function Xt(n) {
  const t = n.points.filter(([, i]) => i !== null);
  if (!t.length) return `${n.name}: nothing yet.`;
  const [e, s] = [t[0], t[t.length - 1]];
  return `${n.name}: ${b(e[1])} at ${b(e[0])}, ${b(s[1])} at ${b(s[0])}.`;
}
function Z(n) {
  const t = n.reduce((s, i) => Math.min(s, i), 1 / 0), e = n.reduce((s, i) => Math.max(s, i), -1 / 0);
  return t === e ? [t - 0.5, e + 0.5] : [t, e];
}
function Q(n, t, e) {
  const s = Math.max(0, Math.ceil(-Math.log10((e - t) / 4)));
  return String(+n.toFixed(Math.min(s, 6)));
}
function tt(n, t) {
  const e = (t - n) / 4, s = 10 ** Math.floor(Math.log10(e)), i = [1, 2, 5, 10].map((o) => o * s).find((o) => o >= e), a = [];
  for (let o = Math.ceil(n / i) * i; o <= t + 1e-9 * i; o += i) a.push(+o.toPrecision(12));
  return a;
}
class Vt {
  constructor(t) {
    this.store = t, this.root.append(
      l("p", { class: "quiet" }, "Over many images: a setting from low to high, and what the strategy then does."),
      this.form,
      this.out
    ), t.on("state", () => this.sync()), this.sync();
  }
  root = l("div", { class: "tab sweep" });
  panel = 0;
  setting = "";
  form = l("div", { class: "form" });
  out = l("div", { class: "form", "aria-live": "polite" });
  job = null;
  numbers = { low: 0, high: 1, steps: 11, images: 200 };
  shown = "";
  sync() {
    const t = this.store.state.strategies.map((e) => e.name).join();
    t !== this.shown && (this.shown = t, this.panel = Math.min(this.panel, this.store.state.strategies.length - 1), this.build());
  }
  fields() {
    const { state: t, catalogue: e } = this.store;
    return (e.strategies.find((i) => i.name === t.strategies[this.panel].name)?.fields ?? []).filter((i) => i.kind === "number");
  }
  build() {
    const t = this.fields(), e = t.find((a) => a.name === this.setting) ?? t[0], s = l(
      "select",
      { "aria-label": "Strategy to sweep" },
      ...k(
        this.store.state.strategies.map((a, o) => [String(o), `${o + 1}: ${a.name}`]),
        String(this.panel)
      )
    );
    if (s.addEventListener("change", () => {
      this.panel = Number(s.value), this.setting = "", this.build();
    }), !e) {
      this.form.replaceChildren(s, l("p", { class: "quiet" }, "It has no number to sweep."));
      return;
    }
    e.name !== this.setting && (this.setting = e.name, this.numbers.low = e.high === 1 ? 0.1 : Math.max(e.low, e.step), this.numbers.high = e.high === 1 ? 0.9 : e.high);
    const i = l("select", { "aria-label": "Setting" }, ...k(t.map((a) => a.name), e.name));
    i.addEventListener("change", () => {
      this.setting = "";
      const a = t.find((o) => o.name === i.value);
      this.setting = a.name, this.numbers.low = a.high === 1 ? 0.1 : Math.max(a.low, a.step), this.numbers.high = a.high === 1 ? 0.9 : a.high, this.build();
    }), this.form.replaceChildren(
      l("div", { class: "inline" }, s, i),
      l(
        "div",
        { class: "inline" },
        this.number("low"),
        this.number("high"),
        this.number("steps", "values"),
        this.number("images", "images, at most")
      ),
      l(
        "div",
        { class: "inline" },
        w("Sweep", () => void this.start(), { class: "go" }),
        w("Cancel", () => void this.cancel(), { class: "stop", disabled: !0 })
      )
    );
  }
  number(t, e = t) {
    const s = l("input", { type: "number", step: "any", "aria-label": e });
    return s.value = String(this.numbers[t]), s.addEventListener("change", () => this.numbers[t] = Number(s.value)), l("label", {}, `${e} `, s);
  }
  async start() {
    const { transport: t, state: e } = this.store, s = { state: e, panel: this.panel, setting: this.setting, ...this.numbers };
    try {
      const i = await t.ask("sweep", s);
      await nt(t, i, (a) => this.tell(a));
    } catch (i) {
      this.out.replaceChildren(l("p", { class: "wrong" }, i.message));
    }
  }
  async cancel() {
    this.job && await this.store.transport.ask("cancel", { id: this.job.id });
  }
  tell(t) {
    this.job = t;
    const e = t.state === "running", s = this.form.querySelector(".stop");
    s && (s.disabled = !e);
    const i = t.result, a = l("progress", { value: t.done, max: Math.max(1, t.total), "aria-label": "Progress" }), o = {
      running: "running",
      done: "done",
      cancelled: "cancelled: what was counted until then",
      failed: t.error
    }[t.state];
    this.out.replaceChildren(
      a,
      l(
        "p",
        { class: t.state === "failed" ? "wrong" : "state", "data-state": t.state },
        i ? `${i.images} of ${x(i.of, "image")}, ${x(i.objects, "object")}; ${o}` : o
      ),
      ...i ? this.charts(i) : []
    );
  }
  charts(t) {
    const e = this.current(), s = (u) => t.rows.map((p) => [p.value, u(p)]), i = [{ name: "positives per object", points: s((u) => u.per_object) }], a = [
      { name: "share of objects with an anchor", points: s((u) => u.answered) }
    ], o = [{ name: "objects without", points: s((u) => u.without) }], h = [{ name: "recall of the anchors, whatever the strategy", points: t.recall_at.map((u, p) => [u, t.recall[p]]) }], d = t.rows.filter((u) => u.refused), c = (u, p, f) => [
      U(u),
      O(u, p, u[0].name, f)
    ];
    return [
      ...d.length ? [l("p", { class: "quiet" }, `${x(d.length, "value")} refused: ${d[0].refused}`)] : [],
      ...c(i, t.setting, e),
      ...c(a, t.setting, e),
      ...c(o, t.setting, e),
      ...c(h, "IoU of the best anchor, at least", null),
      this.classes(t),
      this.table(t)
    ];
  }
  current() {
    const t = this.store.state.strategies[this.panel], e = this.fields().find((i) => i.name === this.setting), s = t?.settings[this.setting] ?? e?.default;
    return typeof s == "number" ? s : null;
  }
  // who goes without at the value that is nearest to the one in use
  classes(t) {
    const e = this.current(), s = t.rows.filter((d) => d.by_class);
    if (!s.length || t.classes.length < 2) return "";
    const i = (d) => Math.abs(d.value - (e ?? d.value)), a = s.reduce((d, c) => i(c) < i(d) ? c : d), o = this.store.catalogue.classes, r = t.classes.map((d, c) => ({ name: o[c] ?? `class ${c}`, objects: d, without: a.by_class[c] })).filter((d) => d.objects).sort((d, c) => c.without / c.objects - d.without / d.objects), h = (d) => l("tr", {}, ...d.map((c) => l("td", {}, c)));
    return l(
      "table",
      { class: "classes" },
      l("thead", {}, l("tr", {}, ...[`at ${t.setting} ${a.value}`, "objects", "without", ""].map((d) => l("th", {}, d)))),
      l(
        "tbody",
        {},
        ...r.slice(0, 20).map(
          (d) => h([d.name, String(d.objects), String(d.without), `${Math.round(100 * d.without / d.objects)} %`])
        ),
        r.length > 20 && h([`and ${r.length - 20} more classes`])
      )
    );
  }
  table(t) {
    const e = (s, i) => s === null ? "–" : s.toFixed(i);
    return l(
      "details",
      {},
      l("summary", {}, "Numbers"),
      l(
        "table",
        {},
        l(
          "thead",
          {},
          l("tr", {}, ...[t.setting, "per object", "with", "without", "ignored"].map((s) => l("th", {}, s)))
        ),
        l(
          "tbody",
          {},
          ...t.rows.map(
            (s) => l(
              "tr",
              {},
              ...[
                String(s.value),
                e(s.per_object, 2),
                e(s.answered, 3),
                e(s.without, 0),
                e(s.ignored, 0)
              ].map((i) => l("td", {}, i))
            )
          )
        )
      )
    );
  }
}
class Gt {
  constructor(t, e) {
    this.store = t, this.restart = e, this.build();
  }
  root = l("div", { class: "tab tour" });
  steps = [];
  at = -1;
  build() {
    if (this.at < 0) {
      this.root.replaceChildren(
        l("p", {}, "Ten steps: what an anchor is, thresholds, levels, sampling, fixed and adaptive rules, shapes that fit."),
        w("Start the tour", () => void this.go(0), { class: "go" })
      );
      return;
    }
    const t = this.steps[this.at], e = this.at === this.steps.length - 1;
    this.root.replaceChildren(
      l("p", { class: "quiet" }, `Step ${this.at + 1} of ${this.steps.length}`),
      l("h3", { tabindex: "-1" }, t.title),
      l("p", { "aria-live": "polite" }, t.text),
      l(
        "div",
        { class: "inline" },
        w("Back", () => void this.go(this.at - 1), { disabled: this.at === 0 }),
        w(e ? "End" : "Next", () => e ? this.end() : void this.go(this.at + 1), { class: "go" }),
        !e && w("Leave", () => this.end())
      )
    );
  }
  async go(t) {
    this.steps.length || (this.steps = (await this.store.transport.ask("tour")).steps), this.at = t;
    const e = this.steps[t];
    this.store.look = { ...this.store.look, layers: e.layers, selected: -1, anchors: "points" }, this.store.change(e.state), this.store.tell("look"), this.restart(), this.build();
  }
  end() {
    this.at = -1, this.store.look = { ...this.store.look, layers: [] }, this.store.change(this.store.catalogue.start), this.store.tell("look"), this.build();
  }
}
class Zt {
  constructor(t) {
    this.token = t;
  }
  fixed = !1;
  async ask(t, e = {}) {
    return this.send(`api/${t}`, JSON.stringify(e), "application/json");
  }
  upload = (t) => this.send("api/upload", t, "application/octet-stream");
  async send(t, e, s) {
    let i;
    try {
      const o = { "X-Kedge-Token": this.token, "Content-Type": s };
      i = await fetch(t, { method: "POST", headers: o, body: e });
    } catch {
      throw new Error("the server does not answer: is kedge live still running?");
    }
    const a = await i.json();
    if (!i.ok) throw new Error(a.error ?? `the server says ${i.status}`);
    return a;
  }
}
class Qt {
  constructor(t) {
    this.saved = t;
  }
  fixed = !0;
  upload = null;
  async ask(t) {
    const e = {
      open: this.saved.open,
      image: this.saved.image,
      answer: this.saved.answer
    };
    if (!(t in e)) throw new Error("this is a saved page: it holds one answer");
    return e[t];
  }
}
class te {
  constructor(t) {
    this.model = t, t.on("msg:custom", this.heard);
  }
  fixed = !1;
  upload = null;
  waiting = /* @__PURE__ */ new Map();
  // two views of one model share its messages
  mark = Math.random().toString(36).slice(2);
  last = 0;
  heard = (t) => {
    const e = this.waiting.get(t?.id);
    e && (this.waiting.delete(t.id), t.error !== void 0 ? e[1](new Error(t.error)) : e[0](t.answer));
  };
  ask(t, e = {}) {
    const s = `${this.mark}-${++this.last}`;
    return new Promise((i, a) => {
      this.waiting.set(s, [i, a]), this.model.send({ id: s, name: t, body: e });
    });
  }
  close() {
    this.model.off("msg:custom", this.heard);
  }
}
const ee = 2e3;
class se {
  constructor(t) {
    if (this.store = t, this.root.append(this.head, this.scrub, this.plane.canvas, this.epochs, this.charts), t.catalogue.run === null) {
      this.root.replaceChildren(
        l("p", { class: "quiet" }, "There is no run to watch. Start with ", l("code", {}, "kedge live --run runs/a"), ".")
      );
      return;
    }
    this.look(), setInterval(() => void this.look(), ee), t.on("look", () => this.store.look.tab === "Watch" && void this.drawPlane()), t.on("answer", () => void this.count()), t.on("look", () => void this.count());
  }
  root = l("div", { class: "tab watch" });
  plane = new ot();
  run = null;
  at = -1;
  // a row of the shapes; -1: the last
  playing = 0;
  head = l("p", { class: "state", "aria-live": "polite" });
  charts = l("div", { class: "form" });
  scrub = l("div", { class: "scrub" });
  stamp = "";
  lossName = "loss";
  sized = "";
  epochs = l("div", { class: "form" });
  counted = "";
  async look() {
    if (!document.hidden)
      try {
        const t = await this.store.transport.ask("watch", { stamp: this.stamp });
        if (t.same) return;
        const e = this.run !== null && t.has_weights;
        this.stamp = t.stamp, this.run = t, this.build(), e && this.store.ask();
      } catch (t) {
        this.head.textContent = t.message;
      }
  }
  build() {
    const t = this.run, e = t.left_out ? `; ${x(t.left_out, "row")} of the curves not drawn` : "";
    this.head.textContent = `${t.title} (${t.detector}): epoch ${t.epochs} of ${t.of_epochs}, ${t.finished ? "finished" : "not finished"}${e}`, this.head.dataset.epochs = String(t.epochs);
    const s = l("select", { "aria-label": "Which loss" }, ...k(t.losses, this.lossName));
    s.addEventListener("change", () => {
      this.lossName = s.value, this.build();
    });
    const i = [{
      name: this.lossName,
      points: t.metrics.filter((r) => this.lossName in r).map((r) => [r.step ?? 0, r[this.lossName]])
    }], a = [{
      name: "share of objects with an anchor",
      points: t.metrics.filter((r) => r.objects).map((r) => [r.step ?? 0, (r.answered ?? 0) / r.objects])
    }], o = ["AP", "AP50", "AR100"].map((r) => ({
      name: r,
      points: t.scores.filter((h) => r in h).map((h) => [h.epoch ?? 0, h[r]])
    }));
    this.charts.replaceChildren(
      l("label", {}, "Curve ", s),
      O(i, "step", this.lossName),
      ...a[0].points.length ? [U(a), O(a, "step", a[0].name)] : [],
      ...t.scores.length ? [U(o), O(o, "epoch", "scores on the held-out split")] : []
    ), this.buildScrub(), this.drawPlane(), this.count();
  }
  // what the shapes of every epoch would do on this image
  async count() {
    if (this.store.look.tab !== "Watch" || !this.run?.shapes.length) return;
    const { state: t, transport: e } = this.store, { levels: s, ...i } = t, a = JSON.stringify([i, this.run.shapes.length]);
    if (a !== this.counted) {
      this.counted = a;
      try {
        const o = await e.ask("epochs", { state: t });
        if (!o.moved) {
          this.epochs.replaceChildren(l("p", { class: "quiet" }, "The shapes do not move in this run."));
          return;
        }
        const r = (p) => p.flatMap(
          (f, g) => f ? [{ name: t.strategies[g].name, points: f.map((m, y) => [o.epoch[y], m]) }] : []
        ), [h, d] = [r(o.positives), r(o.without)], c = t.strategies.length - h.length, u = c ? ` (${x(c, "strategy", "strategies")} that read predictions left out)` : "";
        this.epochs.replaceChildren(
          l("p", {}, `On this image, with the shapes of each epoch${u}: positives`),
          U(h),
          O(h, "epoch", "positives on this image"),
          l("p", {}, "objects without an anchor"),
          O(d, "epoch", "objects without an anchor on this image")
        );
      } catch (o) {
        this.epochs.replaceChildren(l("p", { class: "wrong" }, o.message));
      }
    }
  }
  buildScrub() {
    const t = this.run, { shapes: e } = t;
    if (!e.length) {
      this.scrub.replaceChildren(
        l("p", { class: "quiet" }, "No shapes have been written: not yet, or these anchors are points.")
      );
      return;
    }
    const s = e.length - 1, i = this.at < 0 ? s : Math.min(this.at, s), a = l("input", {
      type: "range",
      min: "0",
      max: String(s),
      step: "1",
      "aria-label": "Point of the run"
    });
    a.value = String(i), a.addEventListener("input", () => this.go(Number(a.value)));
    const o = e[i], r = o.fit === null ? "" : `, mean best IoU ${o.fit.toFixed(3)}`;
    this.scrub.replaceChildren(
      l(
        "div",
        { class: "inline" },
        w(this.playing ? "Pause" : "Play", () => this.play(), { class: "play" }),
        a,
        t.saved.length > 0 && w("Saved anchors", () => this.useSaved(t.saved), {
          title: "Those of the saved weights: the run's predictions are for them"
        })
      ),
      l("p", { class: "at", "data-at": String(i) }, `epoch ${o.epoch}, step ${o.step} (${o.stage})${r}`)
    );
  }
  play() {
    if (this.playing) {
      clearInterval(this.playing), this.playing = 0, this.buildScrub();
      return;
    }
    const t = this.run.shapes.length - 1;
    (this.at < 0 || this.at >= t) && (this.at = -1);
    let e = this.at < 0 ? 0 : this.at;
    this.playing = window.setInterval(() => {
      this.go(e), e >= this.run.shapes.length - 1 && this.play(), e += 1;
    }, 300), this.buildScrub();
  }
  // the shapes of that point become the anchors of all panels
  go(t) {
    this.at = t >= this.run.shapes.length - 1 ? -1 : t;
    const { shapes: e } = this.run.shapes[t], s = et(this.store.catalogue.start.levels, e);
    s && this.store.change({ levels: s }, "epoch");
    const i = this.scrub.querySelector("input");
    i && Number(i.value) === t && !this.playing ? this.words(t) : this.buildScrub(), this.drawPlane();
  }
  useSaved(t) {
    const { start: e } = this.store.catalogue, s = et(e.levels, t);
    s && this.store.change({ levels: s, size: e.size, resize: e.resize });
  }
  words(t) {
    const e = this.run.shapes[t], s = e.fit === null ? "" : `, mean best IoU ${e.fit.toFixed(3)}`, i = this.scrub.querySelector(".at");
    i && (i.textContent = `epoch ${e.epoch}, step ${e.step} (${e.stage})${s}`, i.dataset.at = String(t));
  }
  async drawPlane() {
    const t = this.run;
    if (this.plane.canvas.hidden = !t?.shapes.length, !t?.shapes.length) return;
    const { state: e, transport: s } = this.store, i = JSON.stringify([e.size, e.resize]);
    if (i !== this.sized) {
      this.sized = i;
      const r = await s.ask("sizes", { state: e });
      this.plane.sizes = E(r.wh);
    }
    const a = this.at < 0 ? t.shapes.length - 1 : this.at, o = t.shapes[0].shapes.map((r, h) => t.shapes.slice(0, a + 1).map((d) => d.shapes[h]));
    this.plane.draw(
      [
        { name: "now", shapes: t.shapes[a].shapes },
        { name: "at the start", shapes: t.shapes[0].shapes, hollow: !0 }
      ],
      o
    );
  }
}
function et(n, t) {
  if (n.reduce((i, a) => i + (a.shapes?.length ?? 0), 0) !== t.length) return null;
  let s = 0;
  return n.map((i) => {
    if (!i.shapes) return i;
    const a = t.slice(s, s += i.shapes.length);
    return { ...i, shapes: a };
  });
}
async function Y(n, t, e) {
  n.classList.add("kedge-live"), n.dataset.theme ??= "auto", n.replaceChildren(l("p", { class: "quiet" }, "Opening ..."));
  let s;
  try {
    s = await t.ask("open");
  } catch (p) {
    n.replaceChildren(l("p", { class: "wrong", role: "alert" }, p.message));
    return;
  }
  const i = new Ht(t, s, e.state ?? s.start);
  i.look.layers = e.layers ?? [];
  const a = l("p", { class: "status", role: "status" }), o = (p) => a.textContent = p, r = new Yt(i), h = new bt(i, n, o), d = new yt(i, r), c = (p) => r.pointer.remove(p), u = ie(i, r, c, t.fixed);
  n.replaceChildren(
    h.root,
    d.root,
    l("main", {}, l("div", { class: "stage" }, r.root, a), u)
  ), i.on("answer", () => {
    n.dataset.took = i.took.toFixed(1), d.refresh(), i.problem ? o(i.problem) : t.fixed ? o("A saved page: zoom, choose objects, change what is drawn. kedge live changes the rest.") : o(i.noPixels || `answered in ${Math.round(i.took)} ms`), a.classList.toggle("wrong", !!i.problem), n.dataset.answered = String(Number(n.dataset.answered ?? 0) + 1);
  }), i.on("state", () => e.changed?.(i.state)), e.page && !t.fixed && ae(i), oe(e.page ? window : n, n, i, r, h, c), t.upload && re(n, i, t, o), await i.ask();
}
function ie(n, t, e, s) {
  const i = { Objects: new It(n, e).root };
  s || (i.Anchors = new ft(n).root, i.Sweep = new Vt(n).root, n.catalogue.run !== null && (i.Watch = new se(n).root), i.Design = new $t(n).root, i.Tour = new Gt(n, () => t.camera.reset()).root);
  const a = l("div", { class: "body" }), o = l("div", { class: "names", role: "tablist", "aria-label": "Tools" }), r = (h) => {
    n.look.tab = h;
    for (const d of o.children)
      d.setAttribute("aria-selected", String(d.textContent === h)), d.tabIndex = d.textContent === h ? 0 : -1;
    a.replaceChildren(i[h]), a.setAttribute("aria-label", h), n.tell("look");
  };
  for (const h of Object.keys(i)) o.append(w(h, () => r(h), { role: "tab" }));
  return o.addEventListener("keydown", (h) => {
    const d = { ArrowRight: 1, ArrowLeft: -1 }[h.key];
    if (!d) return;
    h.stopPropagation();
    const c = Object.keys(i), u = (c.indexOf(n.look.tab) + d + c.length) % c.length;
    r(c[u]), o.children[u].focus();
  }), a.setAttribute("role", "tabpanel"), r("Objects"), l("aside", {}, o, a);
}
function ae(n) {
  let t = 0;
  const e = () => {
    t = 0;
    const i = JSON.stringify({ state: n.state, layers: n.look.layers });
    history.replaceState(null, "", `#${encodeURIComponent(i)}`);
  }, s = () => {
    t ||= window.setTimeout(e, 300);
  };
  n.on("state", s), n.on("look", s);
}
function ne() {
  if (location.hash.length < 3) return {};
  try {
    return JSON.parse(decodeURIComponent(location.hash.slice(1)));
  } catch {
    return {};
  }
}
function oe(n, t, e, s, i, a) {
  n.addEventListener("keydown", (o) => {
    const r = o, h = r.target;
    if ((r.ctrlKey || r.metaKey) && r.key.toLowerCase() === "z") {
      if (h instanceof HTMLInputElement && h.type === "text") return;
      r.preventDefault(), r.shiftKey ? e.redo() : e.undo();
      return;
    }
    if (h.closest("input, select, textarea, dialog, [role=tablist]") || r.ctrlKey || r.metaKey || r.altKey) return;
    const c = e.answer?.data.input, { camera: u } = s, p = c && [u.x + c[1] / u.zoom / 2, u.y + c[0] / u.zoom / 2], f = c ? c[1] / u.zoom / 10 : 0, g = e.answer?.labels.length ?? 0, y = {
      "[": () => i.step(-1),
      "]": () => i.step(1),
      "+": () => p && u.zoomAt(1.4, ...p, c),
      "=": () => p && u.zoomAt(1.4, ...p, c),
      "-": () => p && u.zoomAt(1 / 1.4, ...p, c),
      0: () => u.reset(),
      ArrowLeft: () => c && u.move(-f, 0, c),
      ArrowRight: () => c && u.move(f, 0, c),
      ArrowUp: () => c && u.move(0, -f, c),
      ArrowDown: () => c && u.move(0, f, c),
      n: () => g && e.set({ selected: (e.look.selected + 1) % g }),
      p: () => g && e.set({ selected: (Math.max(0, e.look.selected) - 1 + g) % g }),
      l: () => e.set({ tool: "look" }),
      m: () => e.set({ tool: "move" }),
      d: () => e.set({ tool: "draw" }),
      Escape: () => e.set({ selected: -1, tool: "look" }),
      Delete: () => e.look.selected >= 0 && !e.transport.fixed && a(e.look.selected)
    }[r.key];
    !y || !t.isConnected || r.key.startsWith("Arrow") && !h.closest("canvas") || (r.preventDefault(), y(), s.redraw());
  });
}
function re(n, t, e, s) {
  const i = async (r) => {
    if (r)
      try {
        const { image: h } = await e.upload(r);
        t.change({ image: h, boxes: [], labels: [] }), t.set({ tool: "draw", selected: -1 });
      } catch (h) {
        s(h.message);
      }
  };
  n.addEventListener("dragover", (r) => r.preventDefault()), n.addEventListener("drop", (r) => {
    r.preventDefault(), i(r.dataTransfer?.files[0]);
  });
  const a = l("input", { type: "file", accept: "image/*", class: "file", "aria-label": "Own image" });
  a.addEventListener("change", () => void i(a.files?.[0]));
  const o = l("label", { class: "own", title: "Or drop one on the page" }, "Own image", a);
  n.querySelector(".images")?.append(o);
}
function le(n) {
  const t = document.getElementById("kedge-data");
  if (t) {
    const s = JSON.parse(t.textContent ?? "");
    Y(n, new Qt(s), { page: !0, state: s.state, layers: s.layers });
    return;
  }
  const e = new URLSearchParams(location.search).get("token") ?? "";
  Y(n, new Zt(e), { page: !0, ...ne() });
}
const st = typeof document > "u" ? null : document.getElementById("kedge-live");
st && le(st);
function he({ model: n, el: t }) {
  const e = l("div");
  t.append(e);
  const s = new te(n), i = (a) => {
    n.set("state", a), n.save_changes();
  };
  return Y(e, s, { page: !1, state: n.get("state"), changed: i }), () => s.close();
}
const ce = { render: he };
export {
  ce as default
};

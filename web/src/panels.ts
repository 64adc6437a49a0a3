// One to four strategies side by side: a picture and its settings each.
import { summary, type Panel } from "./answer";
import { Camera } from "./camera";
import { button, h, options } from "./dom";
import { draw } from "./draw";
import { Pointer } from "./pointer";
import { settingsForm } from "./settings";
import type { Store } from "./store";
import type { Strategy } from "./types";

interface View {
  root: HTMLElement;
  canvas: HTMLCanvasElement;
  facts: HTMLElement;
  settings: HTMLElement;
  choice: HTMLSelectElement;
  pointer: Pointer;
  shown: string; // the settings that the form was made for
  painted: Panel | null;
}

export class Panels {
  readonly root = h("section", { class: "panels", "aria-label": "Strategies side by side" });
  readonly camera = new Camera();
  private views: View[] = [];
  private hovered = -1;
  private frame = 0;
  private anew = false; // the next frame paints all panels, not those alone that changed
  private own = ""; // settings that come from these forms just now: they need not be made again

  constructor(private store: Store) {
    store.on("state", () => this.sync());
    store.on("answer", () => this.facts());
    store.on("look", () => this.redraw());
    store.on("picture", () => this.redraw());
    new ResizeObserver(() => this.redraw()).observe(this.root);
    this.sync();
  }

  get pointer() {
    return this.views[0].pointer;
  }

  private sync() {
    const { strategies } = this.store.state;
    while (this.views.length > strategies.length) this.views.pop()!.root.remove();
    while (this.views.length < strategies.length) this.views.push(this.make(this.views.length));
    this.root.dataset.count = String(strategies.length);
    strategies.forEach((strategy, i) => this.syncOne(this.views[i], strategy, i));
  }

  private syncOne(view: View, strategy: Strategy, at: number) {
    view.choice.value = strategy.name;
    const wanted = JSON.stringify(strategy);
    if (view.shown === wanted) return;
    const mine = `${at}${wanted}` === this.own;
    view.shown = wanted;
    if (mine) return;
    const form = this.store.catalogue.strategies.find((one) => one.name === strategy.name);
    if (!form) return;
    view.choice.title = form.summary;
    const { fixed } = this.store.transport;
    const change = (settings: Record<string, unknown>, key: string) => {
      const next = { ...this.store.state.strategies[at], settings };
      this.own = `${at}${JSON.stringify(next)}`;
      this.replace(at, next, `${at} ${key}`);
      this.own = "";
    };
    view.settings.replaceChildren(
      settingsForm(form, strategy, change, fixed),
      h("details", { class: "about" }, h("summary", {}, `About ${form.title}`), h("pre", {}, form.text)),
    );
  }

  private replace(at: number, next: Strategy, key = "") {
    const strategies = this.store.state.strategies.map((one, i) => (i === at ? next : one));
    this.store.change({ strategies }, key);
  }

  private make(at: number): View {
    const { catalogue, transport } = this.store;
    const canvas = h("canvas", { role: "img", tabindex: "0", class: "picture" });
    const facts = h("p", { class: "facts" });
    const settings = h("div", { class: "fields" });
    const names = catalogue.strategies.map(
      (form) => [form.name, form.name] as [string, string],
    );
    const choice = h(
      "select",
      { "aria-label": `Strategy of panel ${at + 1}`, disabled: transport.fixed },
      ...options(names),
    );
    choice.addEventListener("change", () => this.replace(at, { name: choice.value, settings: {} }));
    const close = button("×", () => this.remove(at), {
      class: "close",
      "aria-label": `Remove panel ${at + 1}`,
    });
    const root = h(
      "article",
      { class: "panel", "data-panel": String(at) },
      h("header", {}, choice, !transport.fixed && close),
      facts,
      canvas,
      settings,
    );
    this.root.append(root);
    const pointer = new Pointer(canvas, this.store, this.camera, () => this.redraw(), (object) => {
      if (object === this.hovered) return;
      this.hovered = object;
      this.redraw();
    });
    return { root, canvas, facts, settings, choice, pointer, shown: "", painted: null };
  }

  add() {
    const { strategies } = this.store.state;
    if (strategies.length >= 4) return;
    const known = ["max_iou", "atss", "yolov5", "fcos", "ssd"];
    const used = new Set(strategies.map((one) => one.name));
    const name = known.find((one) => !used.has(one)) ?? "max_iou";
    this.store.change({ strategies: [...strategies, { name, settings: {} }] });
  }

  private remove(at: number) {
    const { strategies } = this.store.state;
    if (strategies.length < 2) return;
    this.store.change({ strategies: strategies.filter((_, i) => i !== at) });
  }

  private facts() {
    const { answer } = this.store;
    if (!answer) return;
    const objects = Array.from(answer.crowd).filter((crowd) => !crowd).length;
    this.views.forEach((view, i) => {
      const panel = answer.panels[i];
      if (!panel) return;
      const words = summary(panel, objects);
      view.facts.textContent = words;
      view.facts.classList.toggle("wrong", Boolean(panel.error));
      view.canvas.setAttribute("aria-label", `${this.store.answered.strategies[i].name}: ${words}`);
    });
    this.redraw(false);
  }

  redraw(anew = true) {
    this.anew ||= anew;
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.paint();
    });
  }

  private paint() {
    const { answer, look, pixels } = this.store;
    if (!answer) return;
    this.camera.bound(answer.data.input);
    this.views.forEach((view, i) => {
      const panel = answer.panels[i];
      if (!panel || (panel === view.painted && !this.anew)) return;
      view.painted = panel;
      const { canvas } = view;
      const [height, width] = answer.data.input;
      canvas.style.aspectRatio = `${width} / ${height}`;
      canvas.style.maxWidth = `calc(72vh * ${width / height})`; // the settings stay in sight
      const density = Math.min(devicePixelRatio || 1, 2);
      const wide = Math.max(1, Math.round(canvas.clientWidth * density));
      const tall = Math.max(1, Math.round((wide * height) / width));
      if (canvas.width !== wide || canvas.height !== tall) [canvas.width, canvas.height] = [wide, tall];
      canvas.style.cursor = look.tool === "draw" ? "crosshair" : look.tool === "move" ? "move" : "grab";
      draw(canvas, { answer, panel, look, pixels, camera: this.camera, hover: this.hovered });
      view.root.classList.toggle("stale", Boolean(panel.error));
    });
    this.anew = false;
    this.root.dataset.drawn = String(Number(this.root.dataset.drawn ?? 0) + 1);
  }
}

// The bars above the pictures: which image, what is drawn, and what is done with the page.
import { button, count, h, options, short } from "./dom";
import type { Panels } from "./panels";
import type { Store } from "./store";
import { savePage, showCode } from "./take";

export class Bar {
  readonly root = h("header", { class: "bar" });
  private name = h("span", { class: "name" });
  private number = h("input", { type: "number", min: "1", "aria-label": "Number of the image" });
  private undo = button("Undo", () => this.store.undo(), { title: "Ctrl+Z" });
  private redo = button("Redo", () => this.store.redo(), { title: "Ctrl+Shift+Z" });

  constructor(
    private store: Store,
    private page: HTMLElement,
    private say: (words: string) => void,
  ) {
    const { catalogue, transport } = store;
    const several = catalogue.images > 1;
    this.number.max = String(catalogue.images);
    this.number.addEventListener("change", () => this.goTo(Number(this.number.value) - 1));
    this.root.append(
      h("h1", {}, "Kedge"),
      h("p", { class: "title" }, catalogue.title),
      h(
        "div",
        { class: "inline images" },
        several && !transport.fixed && button("◀", () => this.step(-1), { "aria-label": "Image before", title: "[" }),
        !transport.fixed && several && this.number,
        several && !transport.fixed && h("span", { class: "quiet" }, `of ${catalogue.images.toLocaleString("en")}`),
        several && !transport.fixed && button("▶", () => this.step(1), { "aria-label": "Next image", title: "]" }),
        this.name,
      ),
      h(
        "div",
        { class: "inline actions" },
        !transport.fixed && this.undo,
        !transport.fixed && this.redo,
        !transport.fixed && button("Copy as code", () => void showCode(store, page)),
        !transport.fixed && button("Save as HTML", () => void savePage(store).catch((e) => say(e.message))),
        button("Theme", () => this.theme(), { title: "Light, dark, or as the system has it" }),
      ),
    );
    store.on("state", () => this.sync());
    store.on("picture", () => this.sync());
    store.on("answer", () => this.sync());
    this.sync();
  }

  private sync() {
    const { state, picture } = this.store;
    this.undo.disabled = !this.store.undoable;
    this.redo.disabled = !this.store.redoable;
    if (/^\d+$/.test(state.image)) this.number.value = String(Number(state.image) + 1);
    else this.number.value = "";
    const size = picture ? `, ${picture.full[0]} × ${picture.full[1]} px` : "";
    this.name.textContent = picture ? `${picture.name || "image"}${size}` : this.store.noPixels;
  }

  step(by: number) {
    const now = /^\d+$/.test(this.store.state.image) ? Number(this.store.state.image) : -by;
    this.goTo(now + by);
  }

  private goTo(image: number) {
    const { images } = this.store.catalogue;
    if (!Number.isInteger(image)) return;
    const wrapped = ((image % images) + images) % images;
    this.store.change({ image: String(wrapped), boxes: null, labels: null });
  }

  private theme() {
    const order = ["auto", "light", "dark"];
    const next = order[(order.indexOf(this.page.dataset.theme ?? "auto") + 1) % 3];
    this.page.dataset.theme = next;
    this.say(`Theme: ${next === "auto" ? "as the system has it" : next}`);
    this.store.tell("look");
  }
}

// what is drawn over the image, and with which tool one works
export class Layers {
  readonly root = h("div", { class: "layers", role: "toolbar", "aria-label": "What is drawn" });

  constructor(
    private store: Store,
    private panels: Panels,
  ) {
    store.on("look", () => this.build());
    store.on("state", () => this.build());
    this.build();
  }

  private build() {
    if (this.root.contains(document.activeElement) && document.activeElement instanceof HTMLSelectElement) {
      document.activeElement.blur();
    }
    const held = (document.activeElement as HTMLElement | null)?.dataset?.key;
    const { look, transport, state, catalogue } = this.store;
    const anchors = h("select", { "aria-label": "Anchors as" }, ...options([["points", "points"], ["boxes", "boxes"], ["none", "hidden"]], look.anchors));
    anchors.addEventListener("change", () => this.store.set({ anchors: anchors.value as typeof look.anchors }));
    const levels: [string, string][] = state.levels.map((level, i) => [String(i), `stride ${short(level.stride[0])}`]);
    const heat = h("select", { "aria-label": "Heat of positives" }, ...options([["-2", "off"], ["-1", "all levels"], ...levels], String(look.heat)));
    heat.addEventListener("change", () => this.store.set({ heat: Number(heat.value) }));
    const tools = (["look", "move", "draw"] as const).map((tool) =>
      button({ look: "Look", move: "Move objects", draw: "Draw objects" }[tool], () => this.store.set({ tool }), {
        "aria-pressed": String(look.tool === tool),
        "data-key": tool,
      }),
    );
    this.root.replaceChildren(
      ...(transport.fixed ? [] : [h("span", { class: "group" }, ...tools)]),
      h("label", {}, "Anchors ", anchors),
      h("label", {}, "Heat ", heat),
      ...["ignored", "negative", "sampled"].map((name) => this.layer(name)),
      ...(look.layers.includes("sampled") && !transport.fixed ? [this.sampler(catalogue.samplers)] : []),
      button("Whole image", () => {
        this.panels.camera.reset();
        this.panels.redraw();
      }, { title: "0" }),
      ...(transport.fixed || state.strategies.length > 3 ? [] : [button("+ strategy", () => this.panels.add(), { "data-key": "add" })]),
    );
    if (held) this.root.querySelector<HTMLElement>(`[data-key=${held}]`)?.focus();
  }

  private layer(name: string) {
    const { look, transport, answer } = this.store;
    const on = look.layers.includes(name);
    const box = h("input", { type: "checkbox", checked: on, disabled: transport.fixed, "data-key": name });
    box.addEventListener("change", () => {
      const layers = box.checked ? [...look.layers, name] : look.layers.filter((one) => one !== name);
      if (name === "sampled" && box.checked && this.store.state.sampler === null) {
        this.store.change({ sampler: "random" });
      }
      this.store.set({ layers });
    });
    const drawn = answer?.panels.map((panel) => panel.layers[name]).filter(Boolean) ?? [];
    const cut = drawn.find((layer) => layer.shown < layer.total);
    const words = cut ? ` (${cut.shown.toLocaleString("en")} of ${count(cut.total, "anchor")} drawn)` : "";
    return h("label", { class: "check" }, box, ` ${name}${on ? words : ""}`);
  }

  private sampler(names: string[]) {
    const select = h("select", { "aria-label": "Sampler" }, ...options(names, this.store.state.sampler ?? "random"));
    select.addEventListener("change", () => this.store.change({ sampler: select.value }));
    return select;
  }

  refresh() {
    this.build();
  }
}

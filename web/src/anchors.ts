// The anchors: input size, resizing, levels with their strides and offsets, and shapes.
import { button, h, options, short } from "./dom";
import { ShapeEditor } from "./shapes";
import type { Store } from "./store";
import type { Level, State } from "./types";

export class AnchorsTab {
  readonly root = h("div", { class: "tab" });
  private level = 0;
  private shown = "";
  private editor = new ShapeEditor((shapes) => this.setLevel({ shapes }, "shapes"));
  private list = h("input", { type: "text", "aria-label": "Shapes of the level, w x h" });

  constructor(private store: Store) {
    this.list.addEventListener("change", () => this.typed());
    store.on("state", () => this.sync());
    this.sync();
  }

  private sync() {
    const { size, resize, levels } = this.store.state;
    const skeleton = JSON.stringify([size, resize, levels.map(({ shapes, ...rest }) => [rest, !shapes])]);
    if (this.level >= levels.length) this.level = levels.length - 1;
    if (skeleton !== this.shown && !this.root.contains(focused(this.root))) {
      this.shown = skeleton;
      this.build();
    }
    this.syncShapes();
  }

  private syncShapes() {
    const { shapes } = this.store.state.levels[this.level];
    this.editor.canvas.hidden = this.list.hidden = !shapes;
    if (!shapes) return;
    this.editor.show(shapes);
    if (this.list !== focused(this.root)) {
      this.list.value = shapes.map(([w, t]) => `${short(w)}x${short(t)}`).join(", ");
    }
  }

  private build() {
    const { state, catalogue } = this.store;
    const presets = ["as it was", ...Object.keys(catalogue.presets)];
    const pick = h("select", { "aria-label": "Published anchors" }, ...options(presets));
    pick.addEventListener("change", () => {
      const levels = catalogue.presets[pick.value] ?? catalogue.start.levels;
      this.shown = "";
      pick.blur();
      this.store.change(pick.value in catalogue.presets ? { levels } : reset(catalogue.start));
    });
    const rows = state.levels.map((level, i) => this.row(level, i));
    this.root.replaceChildren(
      h("label", {}, "Published anchors ", pick),
      h(
        "div",
        { class: "inline" },
        h("span", {}, "Input"),
        this.number("height", state.size[0], (v) => this.resizeTo([v, this.store.state.size[1]])),
        h("span", {}, "high,"),
        this.number("width", state.size[1], (v) => this.resizeTo([this.store.state.size[0], v])),
        h("span", {}, "wide"),
        this.resizing(),
      ),
      h(
        "table",
        { class: "levels" },
        h("thead", {}, h("tr", {}, ...["", "stride", "offset", "shapes", ""].map((t) => h("th", {}, t)))),
        h("tbody", {}, ...rows),
      ),
      button("+ level", () => this.addLevel()),
      h("p", { class: "quiet" }, "Shapes of the chosen level, w × h in pixels: drag a corner, or type."),
      this.editor.canvas,
      this.list,
    );
  }

  private row(level: Level, i: number) {
    const choose = h("input", {
      type: "radio",
      name: "level",
      checked: i === this.level,
      "aria-label": `Show the shapes of level ${i + 1}`,
    });
    choose.addEventListener("change", () => {
      this.level = i;
      this.syncShapes();
    });
    const stride = this.number(`stride of level ${i + 1}`, level.stride[0], (value) =>
      this.setLevel({ stride: [value, value], cells: null }, "stride", i),
    );
    const offset = this.number(
      `offset of level ${i + 1}`,
      level.offset,
      (value) => this.setLevel({ offset: value }, "offset", i),
      { min: "0", max: "1", step: "0.1" },
    );
    const number = level.shapes ? String(level.shapes.length) : "points";
    const several = this.store.state.levels.length > 1;
    return h(
      "tr",
      {},
      h("td", {}, choose),
      h("td", {}, stride),
      h("td", {}, offset),
      h("td", {}, number),
      h(
        "td",
        {},
        several && button("×", () => this.removeLevel(i), { class: "close", "aria-label": `Remove level ${i + 1}` }),
      ),
    );
  }

  private number(words: string, value: number, set: (value: number) => void, props = {}) {
    const input = h("input", { type: "number", "aria-label": words, title: words, ...props });
    input.value = String(value);
    input.addEventListener("change", () => {
      const next = Number(input.value);
      if (input.value.trim() !== "" && Number.isFinite(next)) set(next);
    });
    return input;
  }

  private resizing() {
    const rules: [string, string][] = [
      ["letterbox", "letterbox"],
      ["stretch", "stretch"],
      ["short-side", "short side"],
    ];
    const select = h("select", { "aria-label": "Resizing" }, ...options(rules, this.store.state.resize));
    select.addEventListener("change", () =>
      this.store.change({ resize: select.value as State["resize"], levels: this.free() }),
    );
    return select;
  }

  // numbers of cells belong to one input size
  private free() {
    return this.store.state.levels.map((level) => ({ ...level, cells: null }));
  }

  private resizeTo(size: [number, number]) {
    this.store.change({ size, levels: this.free() }, "size");
  }

  private setLevel(patch: Partial<Level>, key: string, at = this.level) {
    const levels = this.store.state.levels.map((one, i) => (i === at ? { ...one, ...patch } : one));
    this.store.change({ levels }, `level ${at} ${key}`);
  }

  private addLevel() {
    const { levels } = this.store.state;
    const last = levels[levels.length - 1];
    const next: Level = {
      ...last,
      stride: [2 * last.stride[0], 2 * last.stride[1]],
      shapes: last.shapes?.map(([w, t]) => [2 * w, 2 * t]) ?? null,
      cells: null,
    };
    this.store.change({ levels: [...levels, next] });
  }

  private removeLevel(at: number) {
    this.store.change({ levels: this.store.state.levels.filter((_, i) => i !== at) });
  }

  private typed() {
    const pairs = [...this.list.value.matchAll(/([\d.]+)\s*[x×*]\s*([\d.]+)/g)];
    const shapes = pairs.map((pair) => [Number(pair[1]), Number(pair[2])] as [number, number]);
    if (shapes.length && shapes.flat().every((side) => side > 0)) this.setLevel({ shapes }, "typed");
    this.list.blur();
    this.syncShapes();
    this.shown = "";
    this.sync();
  }
}

function reset(start: State): Partial<State> {
  return { levels: start.levels, size: start.size, resize: start.resize };
}

function focused(root: HTMLElement) {
  const active = (root.getRootNode() as Document | ShadowRoot).activeElement;
  return active instanceof HTMLInputElement && active.type !== "radio" ? active : null;
}

// Shapes designed for the data, over the distribution of its objects, beside those in use.
import { button, count, h, options, short } from "./dom";
import { follow } from "./jobs";
import { Plane } from "./plane";
import type { Store } from "./store";
import { copyBox } from "./take";
import type { Designed, Job, Level, Packed } from "./types";
import { unpack } from "./unpack";

const OBJECTIVES: [string, string][] = [
  ["mean_iou", "mean best IoU"],
  ["placed", "placed recall (real grid)"],
  ["recall", "recall at IoU 0.5"],
  ["bpr", "BPR (ratio of sides)"],
  ["fitness", "YOLOv5's fitness"],
];
const FRAMEWORKS = ["kedge", "torchvision", "detectron2", "mmdetection", "yolov5", "darknet"];

export class DesignTab {
  readonly root = h("div", { class: "tab design" });
  private plane = new Plane();
  private asked = { layout: "free", k: 9, scales: 3, ratios: 3, objective: "mean_iou", framework: "kedge" };
  private form = h("div", { class: "form" });
  private note = h("p", { class: "quiet" });
  private out = h("div", { class: "form", "aria-live": "polite" });
  private found: Designed | null = null;
  private sized = "";

  constructor(private store: Store) {
    this.root.append(this.form, this.note, this.plane.canvas, this.out);
    this.build();
    store.on("look", () => this.store.look.tab === "Design" && void this.draw());
    store.on("state", () => this.store.look.tab === "Design" && void this.draw());
  }

  private select(name: "layout" | "objective" | "framework", words: string, names: (string | [string, string])[]) {
    const select = h("select", { "aria-label": words }, ...options(names, this.asked[name]));
    select.addEventListener("change", () => {
      this.asked[name] = select.value;
      this.build();
    });
    return select;
  }

  private number(name: "k" | "scales" | "ratios", words: string) {
    const input = h("input", { type: "number", min: "1", max: name === "k" ? "64" : "6", "aria-label": words });
    input.value = String(this.asked[name]);
    input.addEventListener("change", () => (this.asked[name] = Number(input.value)));
    return h("label", {}, `${words} `, input);
  }

  private build() {
    const free = this.asked.layout === "free";
    this.form.replaceChildren(
      h(
        "div",
        { class: "inline" },
        this.select("layout", "Layout", [["free", "free shapes"], ["pyramid", "sizes × scales × ratios"]]),
        ...(free ? [this.number("k", "shapes")] : [this.number("scales", "scales"), this.number("ratios", "ratios")]),
      ),
      h(
        "div",
        { class: "inline" },
        this.select("objective", "Objective", OBJECTIVES),
        this.select("framework", "Syntax", FRAMEWORKS),
        button("Design", () => void this.start(), { class: "go" }),
      ),
    );
  }

  private async start() {
    const { transport, state } = this.store;
    const { layout, k, scales, ratios, objective, framework } = this.asked;
    try {
      const job = await transport.ask<Job<Designed>>("design", {
        state, layout, k, scales, ratios, objective, framework,
      });
      this.out.replaceChildren(h("p", { class: "state", "data-state": "running" }, "designing ..."), h("progress"));
      const over = await follow(transport, job, () => undefined);
      if (over.state === "failed") throw new Error(over.error);
      if (over.state === "cancelled" || !over.result) throw new Error("another job took its place");
      this.found = over.result;
      this.show();
    } catch (error) {
      this.out.replaceChildren(h("p", { class: "wrong" }, (error as Error).message));
    }
    void this.draw();
  }

  private show() {
    const found = this.found!;
    const names = ["name", "shapes", "mean_best_iou", "recall", "bpr", "placed_recall"];
    const titles = ["on held-out images", "shapes", "mean IoU", "IoU ≥ .5", "BPR", "placed"];
    const cell = (value: unknown) =>
      typeof value === "number" ? (Number.isInteger(value) && value > 1 ? String(value) : value.toFixed(3)) : String(value ?? "–");
    this.out.replaceChildren(
      h("p", { class: "state", "data-state": "done" }, found.verdict),
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, ...titles.map((t) => h("th", {}, t)))),
        h("tbody", {}, ...found.rows.map((row) => h("tr", {}, ...names.map((n) => h("td", {}, cell(row[n])))))),
      ),
      button("Use these shapes in the panels", () => this.use(), { class: "use" }),
      copyBox("snippet", found.snippet),
    );
  }

  // levels without a shape of their own fall away
  private use() {
    const before = this.store.state.levels;
    const levels = this.found!.levels.map((level) => {
      const like = before.find((one) => one.stride[0] === level.stride) ?? before[0];
      return { ...like, stride: [level.stride, level.stride], shapes: level.shapes, cells: null } as Level;
    });
    this.store.change({ levels });
  }

  private async draw() {
    const { state, transport } = this.store;
    const key = JSON.stringify([state.size, state.resize]);
    if (key !== this.sized) {
      this.sized = key;
      const found = await transport.ask<{ wh: Packed; shown: number; total: number }>("sizes", { state });
      this.plane.sizes = unpack(found.wh);
      const part = found.shown < found.total ? `${found.shown.toLocaleString("en")} of ` : "";
      this.note.textContent =
        `${part}${count(found.total, "object")} as the network sees them (grey), ` +
        "the anchors in use (hollow) and the designed ones (filled).";
    }
    const shapes = state.levels.flatMap((level) => level.shapes ?? []);
    this.plane.draw([
      { name: "designed", shapes: this.found?.levels.flatMap((level) => level.shapes) ?? [] },
      { name: `in use, ${short(shapes.length)}`, shapes, hollow: true },
    ]);
  }
}

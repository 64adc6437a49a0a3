// A run as it grows: its losses and scores, and its shapes epoch by epoch.
import { chart, legend } from "./chart";
import { button, count, h, options } from "./dom";
import { Plane } from "./plane";
import type { Store } from "./store";
import type { Epochs, Level, Packed, Watched } from "./types";
import { unpack } from "./unpack";

const EVERY = 2000; // milliseconds

export class WatchTab {
  readonly root = h("div", { class: "tab watch" });
  private plane = new Plane();
  private run: Watched | null = null;
  private at = -1; // a row of the shapes; -1: the last
  private playing = 0;
  private head = h("p", { class: "state", "aria-live": "polite" });
  private charts = h("div", { class: "form" });
  private scrub = h("div", { class: "scrub" });
  private stamp = "";
  private lossName = "loss";
  private sized = "";
  private epochs = h("div", { class: "form" });
  private counted = "";

  constructor(private store: Store) {
    this.root.append(this.head, this.scrub, this.plane.canvas, this.epochs, this.charts);
    if (store.catalogue.run === null) {
      this.root.replaceChildren(
        h("p", { class: "quiet" }, "There is no run to watch. Start with ", h("code", {}, "kedge live --run runs/a"), "."),
      );
      return;
    }
    void this.look();
    setInterval(() => void this.look(), EVERY);
    store.on("look", () => this.store.look.tab === "Watch" && void this.drawPlane());
    store.on("answer", () => void this.count());
    store.on("look", () => void this.count());
  }

  private async look() {
    if (document.hidden) return;
    try {
      const now = await this.store.transport.ask<Watched>("watch", { stamp: this.stamp });
      if (now.same) return;
      const weights = this.run !== null && now.has_weights;
      this.stamp = now.stamp;
      this.run = now;
      this.build();
      if (weights) void this.store.ask(); // strategies that read predictions read newer ones
    } catch (error) {
      this.head.textContent = (error as Error).message;
    }
  }

  private build() {
    const run = this.run!;
    const left = run.left_out ? `; ${count(run.left_out, "row")} of the curves not drawn` : "";
    this.head.textContent =
      `${run.title} (${run.detector}): epoch ${run.epochs} of ${run.of_epochs}, ` +
      `${run.finished ? "finished" : "not finished"}${left}`;
    this.head.dataset.epochs = String(run.epochs);
    const pick = h("select", { "aria-label": "Which loss" }, ...options(run.losses, this.lossName));
    pick.addEventListener("change", () => {
      this.lossName = pick.value;
      this.build();
    });
    const losses = [{
      name: this.lossName,
      points: run.metrics
        .filter((row) => this.lossName in row)
        .map((row) => [row.step ?? 0, row[this.lossName]] as [number, number | null]),
    }];
    const answered = [{
      name: "share of objects with an anchor",
      points: run.metrics
        .filter((row) => row.objects)
        .map((row) => [row.step ?? 0, (row.answered ?? 0) / row.objects!] as [number, number]),
    }];
    const scores = ["AP", "AP50", "AR100"].map((name) => ({
      name,
      points: run.scores
        .filter((row) => name in row)
        .map((row) => [row.epoch ?? 0, row[name]] as [number, number | null]),
    }));
    this.charts.replaceChildren(
      h("label", {}, "Curve ", pick),
      chart(losses, "step", this.lossName),
      ...(answered[0].points.length ? [legend(answered), chart(answered, "step", answered[0].name)] : []),
      ...(run.scores.length ? [legend(scores), chart(scores, "epoch", "scores on the held-out split")] : []),
    );
    this.buildScrub();
    void this.drawPlane();
    void this.count();
  }

  // what the shapes of every epoch would do on this image
  private async count() {
    if (this.store.look.tab !== "Watch" || !this.run?.shapes.length) return;
    const { state, transport } = this.store;
    const { levels, ...rest } = state;
    const key = JSON.stringify([rest, this.run.shapes.length]);
    if (key === this.counted) return;
    this.counted = key;
    try {
      const found = await transport.ask<Epochs>("epochs", { state });
      if (!found.moved) {
        this.epochs.replaceChildren(h("p", { class: "quiet" }, "The shapes do not move in this run."));
        return;
      }
      const over = (columns: (number[] | null)[]) =>
        columns.flatMap((column, i) =>
          column
            ? [{ name: state.strategies[i].name, points: column.map((y, k) => [found.epoch[k], y] as [number, number]) }]
            : [],
        );
      const [positives, without] = [over(found.positives), over(found.without)];
      const left = state.strategies.length - positives.length;
      const words = left ? ` (${count(left, "strategy", "strategies")} that read predictions left out)` : "";
      this.epochs.replaceChildren(
        h("p", {}, `On this image, with the shapes of each epoch${words}: positives`),
        legend(positives),
        chart(positives, "epoch", "positives on this image"),
        h("p", {}, "objects without an anchor"),
        chart(without, "epoch", "objects without an anchor on this image"),
      );
    } catch (error) {
      this.epochs.replaceChildren(h("p", { class: "wrong" }, (error as Error).message));
    }
  }

  private buildScrub() {
    const run = this.run!;
    const { shapes } = run;
    if (!shapes.length) {
      this.scrub.replaceChildren(
        h("p", { class: "quiet" }, "No shapes have been written: not yet, or these anchors are points."),
      );
      return;
    }
    const last = shapes.length - 1;
    const at = this.at < 0 ? last : Math.min(this.at, last);
    const slider = h("input", {
      type: "range",
      min: "0",
      max: String(last),
      step: "1",
      "aria-label": "Point of the run",
    });
    slider.value = String(at);
    slider.addEventListener("input", () => this.go(Number(slider.value)));
    const row = shapes[at];
    const fit = row.fit === null ? "" : `, mean best IoU ${row.fit.toFixed(3)}`;
    this.scrub.replaceChildren(
      h(
        "div",
        { class: "inline" },
        button(this.playing ? "Pause" : "Play", () => this.play(), { class: "play" }),
        slider,
        run.saved.length > 0 && button("Saved anchors", () => this.useSaved(run.saved), {
          title: "Those of the saved weights: the run's predictions are for them",
        }),
      ),
      h("p", { class: "at", "data-at": String(at) }, `epoch ${row.epoch}, step ${row.step} (${row.stage})${fit}`),
    );
  }

  private play() {
    if (this.playing) {
      clearInterval(this.playing);
      this.playing = 0;
      this.buildScrub();
      return;
    }
    const last = this.run!.shapes.length - 1;
    if (this.at < 0 || this.at >= last) this.at = -1;
    let next = this.at < 0 ? 0 : this.at;
    this.playing = window.setInterval(() => {
      this.go(next);
      if (next >= this.run!.shapes.length - 1) this.play();
      next += 1;
    }, 300);
    this.buildScrub();
  }

  // the shapes of that point become the anchors of all panels
  private go(at: number) {
    this.at = at >= this.run!.shapes.length - 1 ? -1 : at;
    const { shapes } = this.run!.shapes[at];
    const levels = withShapes(this.store.catalogue.start.levels, shapes);
    if (levels) this.store.change({ levels }, "epoch");
    const slider = this.scrub.querySelector("input");
    if (slider && Number(slider.value) === at && !this.playing) this.words(at);
    else this.buildScrub();
    void this.drawPlane();
  }

  private useSaved(shapes: [number, number][]) {
    const { start } = this.store.catalogue;
    const levels = withShapes(start.levels, shapes);
    if (levels) this.store.change({ levels, size: start.size, resize: start.resize });
  }

  private words(at: number) {
    const row = this.run!.shapes[at];
    const fit = row.fit === null ? "" : `, mean best IoU ${row.fit.toFixed(3)}`;
    const line = this.scrub.querySelector<HTMLElement>(".at");
    if (!line) return;
    line.textContent = `epoch ${row.epoch}, step ${row.step} (${row.stage})${fit}`;
    line.dataset.at = String(at);
  }

  private async drawPlane() {
    const run = this.run;
    this.plane.canvas.hidden = !run?.shapes.length;
    if (!run?.shapes.length) return;
    const { state, transport } = this.store;
    const key = JSON.stringify([state.size, state.resize]);
    if (key !== this.sized) {
      this.sized = key;
      const found = await transport.ask<{ wh: Packed }>("sizes", { state });
      this.plane.sizes = unpack(found.wh);
    }
    const at = this.at < 0 ? run.shapes.length - 1 : this.at;
    const trails = run.shapes[0].shapes.map((_, k) => run.shapes.slice(0, at + 1).map((row) => row.shapes[k]));
    this.plane.draw(
      [
        { name: "now", shapes: run.shapes[at].shapes },
        { name: "at the start", shapes: run.shapes[0].shapes, hollow: true },
      ],
      trails,
    );
  }
}

export function withShapes(levels: Level[], shapes: [number, number][]): Level[] | null {
  const total = levels.reduce((n, level) => n + (level.shapes?.length ?? 0), 0);
  if (total !== shapes.length) return null;
  let first = 0;
  return levels.map((level) => {
    if (!level.shapes) return level;
    const mine = shapes.slice(first, (first += level.shapes.length));
    return { ...level, shapes: mine };
  });
}

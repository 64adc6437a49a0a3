// A setting of a strategy against what it does, over the data set.
import { chart, legend } from "./chart";
import { button, count, h, options } from "./dom";
import { follow } from "./jobs";
import type { Store } from "./store";
import type { Field, Job, Swept } from "./types";

export class SweepTab {
  readonly root = h("div", { class: "tab sweep" });
  private panel = 0;
  private setting = "";
  private form = h("div", { class: "form" });
  private out = h("div", { class: "form", "aria-live": "polite" });
  private job: Job<Swept> | null = null;
  private numbers = { low: 0, high: 1, steps: 11, images: 200 };
  private shown = "";

  constructor(private store: Store) {
    this.root.append(
      h("p", { class: "quiet" }, "Over many images: a setting from low to high, and what the strategy then does."),
      this.form,
      this.out,
    );
    store.on("state", () => this.sync());
    this.sync();
  }

  private sync() {
    const names = this.store.state.strategies.map((one) => one.name).join();
    if (names === this.shown) return;
    this.shown = names;
    this.panel = Math.min(this.panel, this.store.state.strategies.length - 1);
    this.build();
  }

  private fields(): Field[] {
    const { state, catalogue } = this.store;
    const form = catalogue.strategies.find((one) => one.name === state.strategies[this.panel].name);
    return (form?.fields ?? []).filter((field) => field.kind === "number");
  }

  private build() {
    const fields = this.fields();
    const field = fields.find((one) => one.name === this.setting) ?? fields[0];
    const which = h(
      "select",
      { "aria-label": "Strategy to sweep" },
      ...options(
        this.store.state.strategies.map((one, i) => [String(i), `${i + 1}: ${one.name}`] as [string, string]),
        String(this.panel),
      ),
    );
    which.addEventListener("change", () => {
      this.panel = Number(which.value);
      this.setting = "";
      this.build();
    });
    if (!field) {
      this.form.replaceChildren(which, h("p", { class: "quiet" }, "It has no number to sweep."));
      return;
    }
    if (field.name !== this.setting) {
      this.setting = field.name;
      this.numbers.low = field.high === 1 ? 0.1 : Math.max(field.low, field.step);
      this.numbers.high = field.high === 1 ? 0.9 : field.high;
    }
    const pick = h("select", { "aria-label": "Setting" }, ...options(fields.map((one) => one.name), field.name));
    pick.addEventListener("change", () => {
      this.setting = "";
      const chosen = fields.find((one) => one.name === pick.value)!;
      this.setting = chosen.name;
      this.numbers.low = chosen.high === 1 ? 0.1 : Math.max(chosen.low, chosen.step);
      this.numbers.high = chosen.high === 1 ? 0.9 : chosen.high;
      this.build();
    });
    this.form.replaceChildren(
      h("div", { class: "inline" }, which, pick),
      h(
        "div",
        { class: "inline" },
        this.number("low"),
        this.number("high"),
        this.number("steps", "values"),
        this.number("images", "images, at most"),
      ),
      h(
        "div",
        { class: "inline" },
        button("Sweep", () => void this.start(), { class: "go" }),
        button("Cancel", () => void this.cancel(), { class: "stop", disabled: true }),
      ),
    );
  }

  private number(name: keyof SweepTab["numbers"], words: string = name) {
    const input = h("input", { type: "number", step: "any", "aria-label": words });
    input.value = String(this.numbers[name]);
    input.addEventListener("change", () => (this.numbers[name] = Number(input.value)));
    return h("label", {}, `${words} `, input);
  }

  private async start() {
    const { transport, state } = this.store;
    const asked = { state, panel: this.panel, setting: this.setting, ...this.numbers };
    try {
      const job = await transport.ask<Job<Swept>>("sweep", asked);
      await follow(transport, job, (now) => this.tell(now));
    } catch (error) {
      this.out.replaceChildren(h("p", { class: "wrong" }, (error as Error).message));
    }
  }

  private async cancel() {
    if (this.job) await this.store.transport.ask("cancel", { id: this.job.id });
  }

  private tell(job: Job<Swept>) {
    this.job = job;
    const running = job.state === "running";
    const stop = this.form.querySelector<HTMLButtonElement>(".stop");
    if (stop) stop.disabled = !running;
    const done = job.result;
    const bar = h("progress", { value: job.done, max: Math.max(1, job.total), "aria-label": "Progress" });
    const words = {
      running: "running",
      done: "done",
      cancelled: "cancelled: what was counted until then",
      failed: job.error,
    }[job.state];
    this.out.replaceChildren(
      bar,
      h(
        "p",
        { class: job.state === "failed" ? "wrong" : "state", "data-state": job.state },
        done
          ? `${done.images} of ${count(done.of, "image")}, ${count(done.objects, "object")}; ${words}`
          : words,
      ),
      ...(done ? this.charts(done) : []),
    );
  }

  private charts(done: Swept) {
    const now = this.current();
    const over = (pick: (row: Swept["rows"][0]) => number | null) =>
      done.rows.map((row) => [row.value, pick(row)] as [number, number | null]);
    const each = [{ name: "positives per object", points: over((row) => row.per_object) }];
    const share = [
      { name: "share of objects with an anchor", points: over((row) => row.answered) },
    ];
    const without = [{ name: "objects without", points: over((row) => row.without) }];
    const best = done.recall_at.map((t, i) => [t, done.recall[i]] as [number, number]);
    const recall = [{ name: "recall of the anchors, whatever the strategy", points: best }];
    const refused = done.rows.filter((row) => row.refused);
    const figure = (lines: Parameters<typeof chart>[0], axis: string, mark: number | null) => [
      legend(lines),
      chart(lines, axis, lines[0].name, mark),
    ];
    return [
      ...(refused.length
        ? [h("p", { class: "quiet" }, `${count(refused.length, "value")} refused: ${refused[0].refused}`)]
        : []),
      ...figure(each, done.setting, now),
      ...figure(share, done.setting, now),
      ...figure(without, done.setting, now),
      ...figure(recall, "IoU of the best anchor, at least", null),
      this.classes(done),
      this.table(done),
    ];
  }

  private current(): number | null {
    const strategy = this.store.state.strategies[this.panel];
    const field = this.fields().find((one) => one.name === this.setting);
    const value = strategy?.settings[this.setting] ?? field?.default;
    return typeof value === "number" ? value : null;
  }

  // who goes without at the value that is nearest to the one in use
  private classes(done: Swept) {
    const now = this.current();
    const known = done.rows.filter((row) => row.by_class);
    if (!known.length || done.classes.length < 2) return "";
    const away = (row: Swept["rows"][0]) => Math.abs(row.value - (now ?? row.value));
    const row = known.reduce((a, b) => (away(b) < away(a) ? b : a));
    const names = this.store.catalogue.classes;
    const rows = done.classes
      .map((objects, i) => ({ name: names[i] ?? `class ${i}`, objects, without: row.by_class![i] }))
      .filter((one) => one.objects)
      .sort((a, b) => b.without / b.objects - a.without / a.objects);
    const cells = (texts: string[]) => h("tr", {}, ...texts.map((text) => h("td", {}, text)));
    return h(
      "table",
      { class: "classes" },
      h("thead", {}, h("tr", {}, ...[`at ${done.setting} ${row.value}`, "objects", "without", ""].map((t) => h("th", {}, t)))),
      h(
        "tbody",
        {},
        ...rows
          .slice(0, 20)
          .map((one) =>
            cells([one.name, String(one.objects), String(one.without), `${Math.round((100 * one.without) / one.objects)} %`]),
          ),
        rows.length > 20 && cells([`and ${rows.length - 20} more classes`]),
      ),
    );
  }

  private table(done: Swept) {
    const number = (value: number | null, digits: number) => (value === null ? "–" : value.toFixed(digits));
    return h(
      "details",
      {},
      h("summary", {}, "Numbers"),
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h("tr", {}, ...[done.setting, "per object", "with", "without", "ignored"].map((t) => h("th", {}, t))),
        ),
        h(
          "tbody",
          {},
          ...done.rows.map((row) =>
            h(
              "tr",
              {},
              ...[
                String(row.value),
                number(row.per_object, 2),
                number(row.answered, 3),
                number(row.without, 0),
                number(row.ignored, 0),
              ].map((text) => h("td", {}, text)),
            ),
          ),
        ),
      ),
    );
  }
}

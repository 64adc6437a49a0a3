// The objects: who goes without, and what every panel says about the one that was chosen.
import { about } from "./answer";
import { colourOf, MISSED } from "./colours";
import { button, count, h, options, short } from "./dom";
import type { Store } from "./store";
import type { Found } from "./types";

const LISTED = 200;
const REST = 300; // milliseconds without an answer

export class ObjectsTab {
  readonly root = h("div", { class: "tab objects" });
  private only = "without"; // which are listed: those without an anchor somewhere, or all
  private later = 0;

  constructor(
    private store: Store,
    private remove: (object: number) => void,
  ) {
    store.on("answer", () => this.soon());
    store.on("look", () => this.build());
  }

  // while something is dragged the pictures come first: the list follows when it rests
  private soon() {
    if (!this.root.hasChildNodes()) return this.build();
    clearTimeout(this.later);
    this.later = window.setTimeout(() => this.build(), REST);
  }

  private build() {
    const { answer } = this.store;
    if (!answer) return;
    const which = h(
      "select",
      { "aria-label": "Which objects are listed" },
      ...options(
        [
          ["without", "without an anchor in some panel"],
          ["all", "all objects"],
        ],
        this.only,
      ),
    );
    which.addEventListener("change", () => {
      this.only = which.value;
      this.build();
    });
    const rows = this.rows();
    const words = rows.length > LISTED ? `The first ${LISTED} of ${count(rows.length, "object")}:` : "";
    this.root.replaceChildren(
      this.detail(),
      !this.store.transport.fixed && this.store.catalogue.images > 1 ? this.finder() : "",
      h("label", {}, "List ", which),
      h("p", { class: "quiet" }, rows.length ? words : "Every object has an anchor in every panel."),
      h("ol", { class: "list" }, ...rows.slice(0, LISTED).map((object) => this.item(object))),
    );
  }

  private finder() {
    const said = h("span", { class: "quiet", role: "status" });
    const press = button("Next image with an object without", async () => {
      press.disabled = true;
      said.textContent = "looking ...";
      try {
        const { transport, state } = this.store;
        const found = await transport.ask<Found>("find", { state });
        const left = found.left_out.length ? `; not asked: ${found.left_out.join(", ")}` : "";
        if (found.image !== null) this.store.change({ image: found.image, boxes: null, labels: null });
        else said.textContent = `none in the next ${count(found.looked, "image")}${left}`;
      } catch (error) {
        said.textContent = (error as Error).message;
      }
      press.disabled = false;
    }, { class: "find" });
    return h("div", { class: "inline" }, press, said);
  }

  private rows(): number[] {
    const { answer } = this.store;
    const every = Array.from(answer!.labels, (_, i) => i);
    if (this.only === "all") return every;
    return every.filter(
      (i) => !answer!.crowd[i] && answer!.panels.some((panel) => !panel.error && panel.counts[i] === 0),
    );
  }

  private name(object: number) {
    const { answer, catalogue } = this.store;
    const [x1, y1, x2, y2] = answer!.boxes.subarray(4 * object, 4 * object + 4);
    const label = catalogue.classes[answer!.labels[object]] ?? `class ${answer!.labels[object]}`;
    return `${object + 1} ${answer!.crowd[object] ? "crowd of " : ""}${label}, ${short(x2 - x1)} × ${short(y2 - y1)} px`;
  }

  private item(object: number) {
    const { answer, look, answered } = this.store;
    const numbers = answer!.panels.map((panel, i) => {
      const words = `${answered.strategies[i].name}: ${count(panel.counts[object] ?? 0, "anchor")}`;
      const none = !panel.error && panel.counts[object] === 0;
      return h("b", { class: none ? "none" : "", title: words }, panel.error ? "–" : String(panel.counts[object]));
    });
    const press = () => this.store.set({ selected: look.selected === object ? -1 : object });
    const mark = h("i", { "aria-hidden": "true" });
    const lost = answer!.panels.every((panel) => !panel.error && panel.counts[object] === 0);
    mark.style.background = lost ? MISSED : colourOf(object);
    return h(
      "li",
      {},
      h(
        "button",
        { type: "button", onclick: press, "aria-pressed": String(look.selected === object) },
        mark,
        h("span", {}, this.name(object)),
        ...numbers,
      ),
    );
  }

  private detail() {
    const { answer, answered, look, state, catalogue, transport } = this.store;
    const object = look.selected;
    if (object < 0 || object >= answer!.labels.length) {
      return h("p", { class: "quiet" }, "Choose an object, in a picture or below, to see why it is answered for.");
    }
    const parts = answer!.panels.map((_, i) =>
      h(
        "div",
        { class: "said", "data-panel": String(i) },
        h("b", {}, answered.strategies[i].name),
        ...about(answer!, i, object, answered).map((line) => h("p", {}, line)),
      ),
    );
    const label = h(
      "select",
      { "aria-label": "Class of the object" },
      ...options(catalogue.classes.map((name, i) => [String(i), name] as [string, string])),
    );
    label.value = String(answer!.labels[object]);
    label.addEventListener("change", () => {
      const labels = [...(state.labels ?? [])];
      labels[object] = Number(label.value);
      this.store.change({ labels });
    });
    return h(
      "section",
      { class: "detail", "aria-live": "polite" },
      h("h3", {}, this.name(object)),
      ...parts,
      !transport.fixed &&
        h(
          "div",
          { class: "inline" },
          state.boxes && label,
          button("Remove", () => this.remove(object)),
          state.boxes && button("The image's own objects", () => this.store.change({ boxes: null, labels: null })),
        ),
    );
  }
}

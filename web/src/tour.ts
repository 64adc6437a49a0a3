// Ten steps through the ideas, each a live state.
import { button, h } from "./dom";
import type { Store } from "./store";
import type { Step } from "./types";

export class TourTab {
  readonly root = h("div", { class: "tab tour" });
  private steps: Step[] = [];
  private at = -1;

  constructor(
    private store: Store,
    private restart: () => void,
  ) {
    this.build();
  }

  private build() {
    if (this.at < 0) {
      this.root.replaceChildren(
        h("p", {}, "Ten steps: what an anchor is, thresholds, levels, sampling, fixed and adaptive rules, shapes that fit."),
        button("Start the tour", () => void this.go(0), { class: "go" }),
      );
      return;
    }
    const step = this.steps[this.at];
    const last = this.at === this.steps.length - 1;
    this.root.replaceChildren(
      h("p", { class: "quiet" }, `Step ${this.at + 1} of ${this.steps.length}`),
      h("h3", { tabindex: "-1" }, step.title),
      h("p", { "aria-live": "polite" }, step.text),
      h(
        "div",
        { class: "inline" },
        button("Back", () => void this.go(this.at - 1), { disabled: this.at === 0 }),
        button(last ? "End" : "Next", () => (last ? this.end() : void this.go(this.at + 1)), { class: "go" }),
        !last && button("Leave", () => this.end()),
      ),
    );
  }

  private async go(at: number) {
    if (!this.steps.length) {
      this.steps = (await this.store.transport.ask<{ steps: Step[] }>("tour")).steps;
    }
    this.at = at;
    const step = this.steps[at];
    this.store.look = { ...this.store.look, layers: step.layers, selected: -1, anchors: "points" };
    this.store.change(step.state);
    this.store.tell("look");
    this.restart();
    this.build();
  }

  private end() {
    this.at = -1;
    this.store.look = { ...this.store.look, layers: [] };
    this.store.change(this.store.catalogue.start);
    this.store.tell("look");
    this.build();
  }
}

// What the page shows: the state, its history, the question under way, and the last answer.
import { read, type Answer } from "./answer";
import type { Transport } from "./transport";
import type { AnswerData, Catalogue, Picture, Reason, State } from "./types";

export interface Look {
  anchors: "points" | "boxes" | "none";
  heat: number; // -2 none, -1 all levels, else a level
  layers: string[];
  tool: "look" | "move" | "draw";
  selected: number; // an object, or -1
  tab: string;
}

type Listener = () => void;

export class Store {
  state: State;
  look: Look = { anchors: "points", heat: -2, layers: [], tool: "look", selected: -1, tab: "Objects" };
  answer: Answer | null = null;
  answered: State; // what the answer is about; the state may be ahead of it
  picture: Picture | null = null;
  pixels: ImageBitmap | HTMLImageElement | null = null;
  problem = "";
  noPixels = "";
  busy = false;
  // milliseconds from the last change to its answer, as the page saw it
  took = 0;
  private past: State[] = [];
  private future: State[] = [];
  private lastKey = "";
  private lastTime = 0;
  private asking = false;
  private again = false;
  private listeners: Record<string, Set<Listener>> = {};
  private shown = "";

  constructor(
    readonly transport: Transport,
    readonly catalogue: Catalogue,
    state: State,
  ) {
    this.state = this.answered = state;
  }

  on(event: "state" | "answer" | "look" | "picture", listener: Listener) {
    (this.listeners[event] ??= new Set()).add(listener);
  }

  tell(event: string) {
    for (const listener of this.listeners[event] ?? []) listener();
  }

  // changes of one `key` within a second are one step of undo
  change(patch: Partial<State>, key = "") {
    if (this.transport.fixed) return;
    const now = performance.now();
    if (!key || key !== this.lastKey || now - this.lastTime > 1000) this.past.push(this.state);
    if (this.past.length > 200) this.past.shift();
    this.lastKey = key;
    this.lastTime = now;
    this.future = [];
    this.become({ ...this.state, ...patch });
  }

  get undoable() {
    return this.past.length > 0;
  }

  get redoable() {
    return this.future.length > 0;
  }

  undo() {
    const before = this.past.pop();
    if (!before) return;
    this.future.push(this.state);
    this.lastKey = "";
    this.become(before);
  }

  redo() {
    const after = this.future.pop();
    if (!after) return;
    this.past.push(this.state);
    this.lastKey = "";
    this.become(after);
  }

  set(patch: Partial<Look>) {
    const asks = patch.layers !== undefined;
    this.look = { ...this.look, ...patch };
    this.tell("look");
    if (asks) void this.ask();
    else if (patch.selected !== undefined) void this.why();
  }

  private become(state: State) {
    if (state.image !== this.state.image) this.look = { ...this.look, selected: -1 };
    this.state = state;
    this.tell("state");
    void this.ask();
  }

  // one question at a time; what changed meanwhile is asked after it, once
  async ask(): Promise<void> {
    if (this.asking) {
      this.again = true;
      return;
    }
    this.asking = this.busy = true;
    const begin = performance.now();
    const state = this.state;
    try {
      const before = this.answer;
      const have = before?.panels.map((panel) => panel.data.key) ?? [];
      const body = { state, layers: this.look.layers, have };
      const [data] = await Promise.all([
        this.transport.ask<AnswerData>("answer", body),
        this.show(state.image),
      ]);
      this.answer = read(data, before);
      this.answered = state;
      this.problem = "";
      this.took = performance.now() - begin;
      if (this.look.selected >= this.answer.labels.length) this.look.selected = -1;
    } catch (error) {
      this.problem = (error as Error).message;
    }
    this.asking = false;
    if (this.again) {
      this.again = false;
      return this.ask();
    }
    this.busy = false;
    this.tell("answer");
    void this.why();
  }

  // why the chosen object goes without, where it does; a saved page knows it of all
  private async why() {
    const { answer, answered } = this;
    const object = this.look.selected;
    if (!answer || this.transport.fixed || object < 0 || answer.crowd[object]) return;
    const open = answer.panels.some(
      (panel) => !panel.error && panel.counts[object] === 0 && !panel.reasons.has(object),
    );
    if (!open) return;
    try {
      const body = { state: answered, object };
      const found = await this.transport.ask<{ reasons: (Reason | null)[] }>("why", body);
      found.reasons.forEach((reason, i) => reason && answer.panels[i].reasons.set(object, reason));
    } catch (error) {
      this.problem = (error as Error).message;
    }
    if (answer === this.answer) this.tell("look");
  }

  private async show(image: string) {
    if (this.shown === image) return;
    this.shown = image;
    this.pixels = null;
    this.picture = null;
    this.noPixels = "";
    try {
      const picture = await this.transport.ask<Picture>("image", { image });
      const element = new Image();
      element.src = picture.src;
      await element.decode();
      if (this.shown !== image) return;
      this.picture = picture;
      this.pixels = element;
    } catch (error) {
      this.noPixels = (error as Error).message; // boxes without pixels are shown all the same
    }
    this.tell("picture");
  }
}

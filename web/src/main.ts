// The page, in a browser tab, in a saved file, and in a notebook.
import { AnchorsTab } from "./anchors";
import { Bar, Layers } from "./bar";
import { DesignTab } from "./design";
import { button, h } from "./dom";
import { ObjectsTab } from "./objects";
import { Panels } from "./panels";
import { Store } from "./store";
import "./style.css";
import { SweepTab } from "./sweep";
import { TourTab } from "./tour";
import { Embedded, Http, Widget, type Transport, type WidgetModel } from "./transport";
import type { Catalogue, Saved, State } from "./types";
import { WatchTab } from "./watch";

interface Options {
  state?: State;
  layers?: string[];
  page: boolean; // a page of its own: the state goes into the address, keys are the whole page's
  changed?: (state: State) => void;
}

async function mount(root: HTMLElement, transport: Transport, given: Options) {
  root.classList.add("kedge-live");
  root.dataset.theme ??= "auto";
  root.replaceChildren(h("p", { class: "quiet" }, "Opening ..."));
  let catalogue: Catalogue;
  try {
    catalogue = await transport.ask<Catalogue>("open");
  } catch (error) {
    root.replaceChildren(h("p", { class: "wrong", role: "alert" }, (error as Error).message));
    return;
  }
  const store = new Store(transport, catalogue, given.state ?? catalogue.start);
  store.look.layers = given.layers ?? [];
  const status = h("p", { class: "status", role: "status" });
  const say = (words: string) => (status.textContent = words);
  const panels = new Panels(store);
  const bar = new Bar(store, root, say);
  const layers = new Layers(store, panels);
  const remove = (object: number) => panels.pointer.remove(object);
  const side = tabs(store, panels, remove, transport.fixed);
  root.replaceChildren(
    bar.root,
    layers.root,
    h("main", {}, h("div", { class: "stage" }, panels.root, status), side),
  );
  store.on("answer", () => {
    root.dataset.took = store.took.toFixed(1);
    layers.refresh();
    if (store.problem) say(store.problem);
    else if (transport.fixed) say("A saved page: zoom, choose objects, change what is drawn. kedge live changes the rest.");
    else say(store.noPixels || `answered in ${Math.round(store.took)} ms`);
    status.classList.toggle("wrong", Boolean(store.problem));
    root.dataset.answered = String(Number(root.dataset.answered ?? 0) + 1);
  });
  store.on("state", () => given.changed?.(store.state));
  if (given.page && !transport.fixed) remember(store);
  keys(given.page ? window : root, root, store, panels, bar, remove);
  if (transport.upload) dropping(root, store, transport, say);
  await store.ask();
}

function tabs(store: Store, panels: Panels, remove: (object: number) => void, fixed: boolean) {
  const parts: Record<string, HTMLElement> = { Objects: new ObjectsTab(store, remove).root };
  if (!fixed) {
    parts.Anchors = new AnchorsTab(store).root;
    parts.Sweep = new SweepTab(store).root;
    if (store.catalogue.run !== null) parts.Watch = new WatchTab(store).root;
    parts.Design = new DesignTab(store).root;
    parts.Tour = new TourTab(store, () => panels.camera.reset()).root;
  }
  const body = h("div", { class: "body" });
  const list = h("div", { class: "names", role: "tablist", "aria-label": "Tools" });
  const show = (name: string) => {
    store.look.tab = name;
    for (const tab of list.children) {
      tab.setAttribute("aria-selected", String(tab.textContent === name));
      (tab as HTMLElement).tabIndex = tab.textContent === name ? 0 : -1;
    }
    body.replaceChildren(parts[name]);
    body.setAttribute("aria-label", name);
    store.tell("look");
  };
  for (const name of Object.keys(parts)) list.append(button(name, () => show(name), { role: "tab" }));
  list.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.stopPropagation();
    const names = Object.keys(parts);
    const next = (names.indexOf(store.look.tab) + by + names.length) % names.length;
    show(names[next]);
    (list.children[next] as HTMLElement).focus();
  });
  body.setAttribute("role", "tabpanel");
  show("Objects");
  return h("aside", {}, list, body);
}

// the state in the address: a reload, or another tab, shows the same
function remember(store: Store) {
  let waiting = 0;
  const write = () => {
    waiting = 0;
    const kept = JSON.stringify({ state: store.state, layers: store.look.layers });
    history.replaceState(null, "", `#${encodeURIComponent(kept)}`);
  };
  const soon = () => {
    waiting ||= window.setTimeout(write, 300);
  };
  store.on("state", soon);
  store.on("look", soon);
}

function remembered(): { state?: State; layers?: string[] } {
  if (location.hash.length < 3) return {};
  try {
    return JSON.parse(decodeURIComponent(location.hash.slice(1)));
  } catch {
    return {};
  }
}

function keys(
  where: Window | HTMLElement,
  root: HTMLElement,
  store: Store,
  panels: Panels,
  bar: Bar,
  remove: (object: number) => void,
) {
  where.addEventListener("keydown", (given) => {
    const event = given as KeyboardEvent;
    const target = event.target as HTMLElement;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
      if (target instanceof HTMLInputElement && target.type === "text") return;
      event.preventDefault();
      if (event.shiftKey) store.redo();
      else store.undo();
      return;
    }
    const typing = target.closest("input, select, textarea, dialog, [role=tablist]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const input = store.answer?.data.input;
    const { camera } = panels;
    const middle = input && ([camera.x + input[1] / camera.zoom / 2, camera.y + input[0] / camera.zoom / 2] as const);
    const pan = input ? input[1] / camera.zoom / 10 : 0;
    const objects = store.answer?.labels.length ?? 0;
    const acts: Record<string, () => void> = {
      "[": () => bar.step(-1),
      "]": () => bar.step(1),
      "+": () => middle && camera.zoomAt(1.4, ...middle, input!),
      "=": () => middle && camera.zoomAt(1.4, ...middle, input!),
      "-": () => middle && camera.zoomAt(1 / 1.4, ...middle, input!),
      "0": () => camera.reset(),
      ArrowLeft: () => input && camera.move(-pan, 0, input),
      ArrowRight: () => input && camera.move(pan, 0, input),
      ArrowUp: () => input && camera.move(0, -pan, input),
      ArrowDown: () => input && camera.move(0, pan, input),
      n: () => objects && store.set({ selected: (store.look.selected + 1) % objects }),
      p: () => objects && store.set({ selected: (Math.max(0, store.look.selected) - 1 + objects) % objects }),
      l: () => store.set({ tool: "look" }),
      m: () => store.set({ tool: "move" }),
      d: () => store.set({ tool: "draw" }),
      Escape: () => store.set({ selected: -1, tool: "look" }),
      Delete: () => store.look.selected >= 0 && !store.transport.fixed && remove(store.look.selected),
    };
    const act = acts[event.key];
    if (!act || !root.isConnected) return;
    if (event.key.startsWith("Arrow") && !target.closest("canvas")) return;
    event.preventDefault();
    act();
    panels.redraw();
  });
}

// an image dropped on the page takes the place of the data set's; its objects are drawn by hand
function dropping(root: HTMLElement, store: Store, transport: Transport, say: (words: string) => void) {
  const take = async (file: File | undefined) => {
    if (!file) return;
    try {
      const { image } = await transport.upload!(file);
      store.change({ image, boxes: [], labels: [] });
      store.set({ tool: "draw", selected: -1 });
    } catch (error) {
      say((error as Error).message);
    }
  };
  root.addEventListener("dragover", (event) => event.preventDefault());
  root.addEventListener("drop", (event) => {
    event.preventDefault();
    void take(event.dataTransfer?.files[0]);
  });
  const picker = h("input", { type: "file", accept: "image/*", class: "file", "aria-label": "Own image" });
  picker.addEventListener("change", () => void take(picker.files?.[0]));
  const own = h("label", { class: "own", title: "Or drop one on the page" }, "Own image", picker);
  root.querySelector(".images")?.append(own);
}

function start(root: HTMLElement) {
  const data = document.getElementById("kedge-data");
  if (data) {
    const saved = JSON.parse(data.textContent ?? "") as Saved;
    void mount(root, new Embedded(saved), { page: true, state: saved.state, layers: saved.layers });
    return;
  }
  const token = new URLSearchParams(location.search).get("token") ?? "";
  void mount(root, new Http(token), { page: true, ...remembered() });
}

const own = typeof document === "undefined" ? null : document.getElementById("kedge-live");
if (own) start(own);

// anywidget's entry
function render({ model, el }: { model: WidgetModel; el: HTMLElement }) {
  const root = h("div");
  el.append(root);
  const transport = new Widget(model);
  const changed = (state: State) => {
    model.set("state", state);
    model.save_changes();
  };
  void mount(root, transport, { page: false, state: model.get("state") as State, changed });
  return () => transport.close();
}

export default { render };

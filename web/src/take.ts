// What can be taken along: the state as code, and the page as one file.
import { button, h } from "./dom";
import type { Store } from "./store";
import type { Code } from "./types";

export function copyBox(name: string, text: string) {
  const area = h("pre", { class: "code", tabindex: "0", "data-code": name, "aria-label": name }, text);
  const press = button("Copy", async () => {
    try {
      await navigator.clipboard.writeText(text);
      press.textContent = "Copied";
    } catch {
      getSelection()?.selectAllChildren(area); // where a page may not: it is marked, and ready to be
      press.textContent = "Press Ctrl+C";
    }
    setTimeout(() => (press.textContent = "Copy"), 1500);
  });
  return h("div", { class: "copy" }, press, area);
}

export async function showCode(store: Store, root: HTMLElement) {
  const dialog = h("dialog", { class: "dialog", "aria-label": "This state as code" });
  const close = button("×", () => dialog.close(), { class: "close", "aria-label": "Close" });
  dialog.append(h("header", {}, h("h2", {}, "This state as code"), close));
  dialog.addEventListener("close", () => dialog.remove());
  root.append(dialog);
  dialog.showModal();
  try {
    const code = await store.transport.ask<Code>("code", { state: store.state, panel: 0 });
    dialog.append(
      h("h3", {}, "Python, with the objects: it gives the same assignment"),
      copyBox("python", code.python),
      h("h3", {}, "A file for kedge train"),
      copyBox("yaml", code.yaml),
      h("h3", {}, "The command line, over the whole data set"),
      copyBox("command", code.command),
      ...(code.notes.length
        ? [h("h3", {}, "What the last two do not say"), h("ul", {}, ...code.notes.map((note) => h("li", {}, note)))]
        : []),
    );
  } catch (error) {
    dialog.append(h("p", { class: "wrong" }, (error as Error).message));
  }
}

export async function savePage(store: Store) {
  const body = { state: store.state, layers: store.look.layers };
  const { html } = await store.transport.ask<{ html: string }>("save", body);
  const link = h("a", {
    href: URL.createObjectURL(new Blob([html], { type: "text/html" })),
    download: "kedge-live.html",
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

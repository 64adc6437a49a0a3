// The settings of a strategy: a control for each field of its own signature.
import { h, options } from "./dom";
import type { Field, Strategy, StrategyForm } from "./types";

type Change = (settings: Record<string, unknown>, key: string) => void;

export function settingsForm(form: StrategyForm, chosen: Strategy, change: Change, fixed: boolean) {
  const settings = { ...chosen.settings }; // one for all rows
  const rows = form.fields.map((field) => row(field, settings, change, fixed));
  if (!rows.length) rows.push(h("p", { class: "quiet" }, "It has no settings."));
  return h("div", { class: "settings" }, ...rows);
}

function row(field: Field, settings: Record<string, unknown>, change: Change, fixed: boolean) {
  const value = field.name in settings ? settings[field.name] : field.default;
  const set = (next: unknown) => {
    if (next === field.default) delete settings[field.name];
    else settings[field.name] = next;
    change({ ...settings }, field.name);
  };
  const label = field.name.replaceAll("_", " ");
  const id = `f${Math.random().toString(36).slice(2, 8)}`;
  return h(
    "div",
    { class: "setting", "data-setting": field.name },
    h("label", { for: id }, label),
    ...control(field, value, set, id, fixed),
  );
}

function control(
  field: Field,
  value: unknown,
  set: (value: unknown) => void,
  id: string,
  disabled: boolean,
): HTMLElement[] {
  if (field.kind === "flag") {
    const box = h("input", { type: "checkbox", id, checked: Boolean(value), disabled });
    box.addEventListener("change", () => set(box.checked));
    return [box];
  }
  if (field.kind === "choice") {
    const select = h("select", { id, disabled }, ...options(field.choices.map(String), String(value)));
    select.addEventListener("change", () => set(select.value));
    return [select];
  }
  if (field.kind === "text") {
    const hint = field.optional ? "none" : "";
    const text = h("input", { type: "text", id, disabled, placeholder: hint });
    text.value = value === null ? "" : String(value);
    text.addEventListener("change", () => set(text.value.trim() === "" ? null : text.value.trim()));
    return [text];
  }
  return numeric(field, value as number | null, set, id, disabled);
}

function numeric(
  field: Field,
  value: number | null,
  set: (value: unknown) => void,
  id: string,
  disabled: boolean,
): HTMLElement[] {
  const { low, high, step, optional } = field;
  const range = { min: String(low), max: String(high), step: String(step), disabled };
  const words = field.name.replaceAll("_", " ");
  const slider = h("input", { type: "range", id, ...range });
  const exact = h("input", { type: "number", step: "any", disabled, "aria-label": `${words}, exactly` });
  const show = (shown: number | null, but?: Element) => {
    if (but !== slider) slider.value = String(shown ?? low);
    if (but !== exact) exact.value = shown === null ? "" : String(shown);
  };
  show(value);
  slider.addEventListener("input", () => {
    show(Number(slider.value), slider);
    set(Number(slider.value));
  });
  exact.placeholder = optional ? "none" : "";
  exact.addEventListener("input", () => {
    const empty = exact.value.trim() === "";
    if (empty && !optional) return;
    const next = empty ? null : Number(exact.value);
    show(next, exact);
    set(next);
  });
  return [slider, exact];
}

// Elements in one line each.
export type Child = Node | string | null | undefined | false;
type Props = Record<string, unknown>;

function apply(element: Element, props: Props) {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value as EventListener);
    else if (name in element && typeof value !== "string") (element as any)[name] = value;
    else if (name === "value") (element as any).value = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false) element.setAttribute(name, String(value));
  }
}

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  apply(element, props);
  element.append(...(children.filter(Boolean) as (Node | string)[]));
  // a select has no value before it has its options
  if (tag === "select" && props.value !== undefined) (element as any).value = props.value;
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
export function s(tag: string, props: Props = {}, ...children: Child[]): SVGElement {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value as EventListener);
    else if (value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...(children.filter(Boolean) as (Node | string)[]));
  return element;
}

export function options(names: readonly (string | [string, string])[], chosen?: string) {
  return names.map((item) => {
    const [value, words] = typeof item === "string" ? [item, item] : item;
    return h("option", { value, selected: value === chosen }, words);
  });
}

const whole = new Intl.NumberFormat("en");

export function count(number: number, noun: string, plural = `${noun}s`) {
  return `${whole.format(number)} ${number === 1 ? noun : plural}`;
}

export function short(value: number) {
  return Number.isInteger(value) ? String(value) : String(+value.toFixed(value < 10 ? 2 : 1));
}

export function button(words: string, press: () => void, props: Props = {}) {
  return h("button", { type: "button", onclick: press, ...props }, words);
}

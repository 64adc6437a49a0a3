// Line charts: a few curves over one axis, readable without colour by their labels at the end.
import { s, short } from "./dom";
import { LINES } from "./colours";

export interface Line {
  name: string;
  points: [number, number | null][];
}

const [W, H, LEFT, RIGHT, TOP, BOTTOM] = [340, 190, 42, 12, 10, 34];

export function chart(lines: Line[], axis: string, title: string, mark: number | null = null) {
  const all = lines.flatMap((line) => line.points).filter(([, y]) => y !== null) as [number, number][];
  const figure = s("svg", {
    viewBox: `0 0 ${W} ${H}`,
    role: "img",
    class: "chart",
    "aria-label": `${title}. ${lines.map(inWords).join(" ")}`,
  });
  if (!all.length) {
    figure.append(s("text", { x: W / 2, y: H / 2, "text-anchor": "middle" }, "nothing yet"));
    return figure;
  }
  const [x0, x1] = spread(all.map(([x]) => x));
  const [low, y1] = spread(all.map(([, y]) => y));
  const y0 = low > 0 && low < 0.6 * y1 ? 0 : low;
  const sx = (x: number) => LEFT + ((x - x0) / (x1 - x0)) * (W - LEFT - RIGHT);
  const sy = (y: number) => H - BOTTOM - ((y - y0) / (y1 - y0)) * (H - TOP - BOTTOM);
  for (const y of ticks(y0, y1)) {
    figure.append(
      s("line", { x1: LEFT, x2: W - RIGHT, y1: sy(y), y2: sy(y), class: "grid" }),
      s("text", { x: LEFT - 5, y: sy(y) + 3.5, "text-anchor": "end" }, tick(y, y0, y1)),
    );
  }
  for (const x of ticks(x0, x1)) {
    figure.append(s("text", { x: sx(x), y: H - BOTTOM + 13, "text-anchor": "middle" }, tick(x, x0, x1)));
  }
  if (mark !== null && mark >= x0 && mark <= x1) {
    figure.append(s("line", { x1: sx(mark), x2: sx(mark), y1: TOP, y2: H - BOTTOM, class: "mark" }));
  }
  figure.append(s("text", { x: (LEFT + W - RIGHT) / 2, y: H - 4, "text-anchor": "middle" }, axis));
  lines.forEach((line, i) => {
    const known = line.points.filter(([, y]) => y !== null) as [number, number][];
    const path = known.map(([x, y], k) => `${k ? "L" : "M"}${sx(x).toFixed(1)} ${sy(y).toFixed(1)}`);
    const colour = LINES[i % LINES.length];
    figure.append(s("path", { d: path.join(""), stroke: colour, fill: "none", "stroke-width": 2 }));
    if (known.length <= 41) {
      for (const [x, y] of known) {
        figure.append(
          s("circle", { cx: sx(x), cy: sy(y), r: 2.6, fill: colour }, s("title", {}, `${short(x)}: ${short(y)}`)),
        );
      }
    }
  });
  return figure;
}

// what the lines are called, beside their colours
export function legend(lines: Line[]) {
  const list = document.createElement("p");
  list.className = "legend";
  lines.forEach((line, i) => {
    const key = document.createElement("span");
    const mark = document.createElement("i");
    mark.style.background = LINES[i % LINES.length];
    key.append(mark, line.name);
    list.append(key);
  });
  return list;
}

function inWords(line: Line) {
  const known = line.points.filter(([, y]) => y !== null) as [number, number][];
  if (!known.length) return `${line.name}: nothing yet.`;
  const [first, last] = [known[0], known[known.length - 1]];
  return `${line.name}: ${short(first[1])} at ${short(first[0])}, ${short(last[1])} at ${short(last[0])}.`;
}

function spread(values: number[]): [number, number] {
  const low = values.reduce((a, b) => Math.min(a, b), Infinity);
  const high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

// as many digits as tell neighbours apart
function tick(value: number, low: number, high: number) {
  const digits = Math.max(0, Math.ceil(-Math.log10((high - low) / 4)));
  return String(+value.toFixed(Math.min(digits, 6)));
}

function ticks(low: number, high: number): number[] {
  const raw = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= raw)!;
  const found = [];
  for (let x = Math.ceil(low / step) * step; x <= high + 1e-9 * step; x += step) found.push(+x.toPrecision(12));
  return found;
}

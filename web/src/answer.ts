// An answer with its columns unpacked, and what can be read off it.
import { count, short } from "./dom";
import type { AnswerData, PanelData, Reason, State } from "./types";
import { unpack } from "./unpack";

type Numbers = Float32Array | Int32Array;

export function largest(values: Numbers) {
  let most = 0;
  for (const value of values) if (value > most) most = value;
  return most;
}

export interface Layer {
  boxes: Numbers;
  level: Numbers;
  total: number;
  shown: number;
}

export interface Panel {
  error: string | null;
  data: PanelData;
  boxes: Numbers;
  level: Numbers;
  target: Numbers;
  weight: Numbers;
  iou: Numbers;
  counts: Numbers;
  codes: Numbers;
  codeOf: Numbers;
  reasons: Map<number, Reason>;
  layers: Record<string, Layer>;
}

export interface Answer {
  data: AnswerData;
  boxes: Numbers;
  labels: Numbers;
  crowd: Numbers;
  best: Numbers;
  panels: Panel[];
}

const NONE = new Float32Array(0);

function panelOf(data: PanelData): Panel {
  const columns = { boxes: NONE, level: NONE, target: NONE, weight: NONE, iou: NONE } as Record<
    string,
    Numbers
  >;
  const names = ["boxes", "level", "target", "weight", "iou", "counts", "codes"] as const;
  for (const name of names) columns[name] = data.error ? NONE : unpack(data[name]);
  return {
    error: data.error ?? null,
    data,
    ...(columns as any),
    codeOf: data.error ? NONE : unpack(data.code_of),
    reasons: new Map((data.reasons ?? []).map((reason) => [reason.object, reason])),
    layers: Object.fromEntries(
      Object.entries(data.layers ?? {}).map(([name, layer]) => [
        name,
        { ...layer, boxes: unpack(layer.boxes), level: unpack(layer.level) },
      ]),
    ),
  };
}

// `before`: an answer whose panels stand where the server sent their keys alone
export function read(data: AnswerData, before: Answer | null): Answer {
  const known = new Map(before?.panels.map((panel) => [panel.data.key, panel]));
  return {
    data,
    boxes: unpack(data.boxes),
    labels: unpack(data.labels),
    crowd: unpack(data.crowd),
    best: unpack(data.best),
    panels: data.panels.map((panel) => known.get(panel.key) ?? panelOf(panel)),
  };
}

export function summary(panel: Panel, objects: number): string {
  if (panel.error) return panel.error;
  const { positives, without, ignored, anchors } = panel.data;
  const parts = [
    `${count(positives, "positive")} of ${count(anchors, "anchor")}`,
    without ? `${without} of ${count(objects, "object")} without` : "no object without",
  ];
  if (ignored) parts.push(`${ignored.toLocaleString("en")} ignored`);
  if (panel.data.predicted) parts.push("by the run's predictions");
  return parts.join(" · ");
}

// what a panel says about one object
export function about(answer: Answer, at: number, object: number, state: State): string[] {
  const panel = answer.panels[at];
  if (panel.error) return [];
  if (answer.crowd[object]) return ["A crowd: it never has an anchor; anchors that it covers are ignored."];
  const mine: number[] = [];
  for (let i = 0; i < panel.target.length; i++) if (panel.target[i] === object) mine.push(i);
  const best = answer.best[object];
  if (!mine.length) return unanswered(panel.reasons.get(object), best);
  const ious = mine.map((i) => panel.iou[i]);
  const levels = [...new Set(mine.map((i) => panel.level[i]))].sort((a, b) => a - b);
  const where = levels.map((level) => short(state.levels[level]?.stride[0] ?? NaN)).join(", ");
  const range =
    mine.length === 1
      ? `IoU ${ious[0].toFixed(2)}`
      : `IoU ${Math.min(...ious).toFixed(2)} to ${Math.max(...ious).toFixed(2)}`;
  const lines = [`${count(mine.length, "anchor")}, ${range}, stride ${where}.`];
  const pair = panel.codeOf[object];
  if (pair >= 0) {
    const [dx, dy, dw, dh] = Array.from(panel.codes.slice(4 * object, 4 * object + 4));
    const text = [dx, dy, dw, dh].map((x) => x.toFixed(2));
    const [w, height] = [
      panel.boxes[4 * pair + 2] - panel.boxes[4 * pair],
      panel.boxes[4 * pair + 3] - panel.boxes[4 * pair + 1],
    ];
    lines.push(
      `From its best anchor (${short(w)} × ${short(height)}): centre ${text[0]}, ${text[1]} ` +
        `anchor sides; log ratios ${text[2]}, ${text[3]}.`,
    );
  }
  const weights = mine.map((i) => panel.weight[i]);
  if (Math.min(...weights) < 0.999) lines.push(`Weights add up to ${short(sum(weights))}.`);
  return lines;
}

function unanswered(reason: Reason | undefined, best: number): string[] {
  if (!reason) return [`No anchor. Best IoU ${best.toFixed(2)}.`];
  const lines = [`No anchor. ${reason.words}`];
  if (reason.box) {
    const [x1, y1, x2, y2] = reason.box;
    const rank = reason.among > 1 ? `; rank ${reason.rank} of ${reason.among} objects on it` : "";
    lines.push(
      `Best IoU ${reason.iou.toFixed(2)}, with an anchor of ${short(x2 - x1)} × ${short(y2 - y1)}` +
        `${rank}.`,
    );
  }
  const said = reason.words.includes("asks for");
  if (reason.threshold !== null && !said) lines.push(`Asked for: ${reason.threshold.toFixed(2)}.`);
  return lines;
}

function sum(values: number[]) {
  return values.reduce((a, b) => a + b, 0);
}

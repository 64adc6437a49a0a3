// What the page asks and is answered: the Python types of kedge/live, as JSON has them.

export interface Packed {
  type: "f4" | "i4";
  data: string;
}

export interface Level {
  stride: [number, number]; // y, x
  shapes: [number, number][] | null; // w, h; null: points
  offset: number;
  cells: [number, number] | null;
  measured: boolean;
}

export interface Strategy {
  name: string;
  settings: Record<string, unknown>;
}

export type Box = [number, number, number, number];

export interface State {
  image: string;
  boxes: Box[] | null;
  labels: number[] | null;
  resize: "letterbox" | "stretch" | "short-side";
  size: [number, number]; // H, W
  levels: Level[];
  strategies: Strategy[];
  sampler: string | null;
}

export interface Field {
  name: string;
  kind: "number" | "choice" | "flag" | "text";
  default: unknown;
  optional: boolean;
  choices: unknown[];
  low: number;
  high: number;
  step: number;
}

export interface StrategyForm {
  name: string;
  title: string;
  summary: string;
  text: string;
  fields: Field[];
}

export interface Catalogue {
  title: string;
  classes: string[];
  images: number;
  objects: number;
  start: State;
  strategies: StrategyForm[];
  samplers: string[];
  presets: Record<string, Level[]>;
  run: string | null;
}

export interface Picture {
  src: string;
  width: number;
  height: number;
  full: [number, number];
  name: string;
}

export interface Reason {
  object: number;
  iou: number;
  box: Box | null;
  rank: number;
  among: number;
  threshold: number | null;
  alone: number | null;
  rival: number | null;
  words: string;
}

export interface LayerData {
  boxes: Packed;
  level: Packed;
  total: number;
  shown: number;
}

export interface PanelData {
  key: string; // what the panel depends on; alone where the page has it already
  error?: string;
  ms: number;
  boxes: Packed;
  level: Packed;
  target: Packed;
  weight: Packed;
  iou: Packed;
  counts: Packed;
  codes: Packed;
  code_of: Packed;
  positives: number;
  shared: number;
  ignored: number;
  anchors: number;
  without: number;
  unexplained: number;
  reasons: Reason[];
  layers: Record<string, LayerData>;
  predicted: boolean;
}

export interface AnswerData {
  input: [number, number];
  placed: Box; // x, y, w, h of the image on the input
  boxes: Packed;
  labels: Packed;
  crowd: Packed;
  best: Packed;
  levels: { stride: [number, number]; rows: number; columns: number; anchors: number }[];
  panels: PanelData[];
  ms: number;
}

export interface Job<T> {
  id: number;
  state: "running" | "done" | "cancelled" | "failed";
  done: number;
  total: number;
  result: T | null;
  error: string;
}

export interface Found {
  image: string | null;
  looked: number;
  left_out: string[];
}

export interface Swept {
  setting: string;
  images: number;
  of: number;
  objects: number;
  classes: number[];
  rows: {
    value: number;
    per_object: number | null;
    answered: number | null;
    without: number | null;
    ignored: number | null;
    by_class: number[] | null;
    refused: string;
  }[];
  recall_at: number[];
  recall: number[];
}

export interface Designed {
  levels: { stride: number; shapes: [number, number][] }[];
  rows: Record<string, unknown>[];
  verdict: string;
  snippet: string;
  text: string;
}

export interface Station {
  epoch: number;
  step: number;
  stage: string;
  fit: number | null;
  shapes: [number, number][];
}

export interface Watched {
  same: boolean;
  stamp: string;
  title: string;
  detector: string;
  finished: boolean;
  epochs: number;
  of_epochs: number;
  losses: string[];
  metrics: Record<string, number | null>[];
  scores: Record<string, number | null>[];
  shapes: Station[];
  left_out: number;
  saved: [number, number][];
  has_weights: boolean;
}

export interface Epochs {
  moved: boolean;
  epoch: number[];
  positives: (number[] | null)[];
  without: (number[] | null)[];
}

export interface Step {
  title: string;
  text: string;
  state: State;
  layers: string[];
}

export interface Code {
  python: string;
  yaml: string;
  command: string;
  notes: string[];
}

export interface Saved {
  open: Catalogue;
  image: Picture;
  answer: AnswerData;
  state: State;
  layers: string[];
}

// One panel's picture: the image, its objects, and the anchors that answer for them.
import { largest, type Answer, type Layer, type Panel } from "./answer";
import type { Camera } from "./camera";
import { BEST, colourOf, MISSED, OBJECTS, QUIET } from "./colours";
import type { Look } from "./store";

export interface Scene {
  answer: Answer;
  panel: Panel;
  look: Look;
  pixels: CanvasImageSource | null;
  camera: Camera;
  hover: number;
}

export function draw(canvas: HTMLCanvasElement, scene: Scene) {
  const { answer, camera } = scene;
  const pen = canvas.getContext("2d")!;
  const density = canvas.width / Math.max(1, canvas.clientWidth);
  const scale = camera.scale(canvas.width, answer.data.input);
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.fillStyle = "#4a5058";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.setTransform(scale, 0, 0, scale, -camera.x * scale, -camera.y * scale);
  const thin = density / scale; // one pixel of the screen
  grown = Math.min(2, Math.max(1, canvas.clientWidth / 520)); // larger pictures, larger dots
  picture(pen, scene);
  if (scene.look.heat > -2) heat(pen, scene);
  layers(pen, scene, thin);
  objects(pen, scene, thin);
  if (scene.look.anchors !== "none") anchors(pen, scene, thin);
  if (scene.look.selected >= 0) chosen(pen, scene, thin);
}

function picture(pen: CanvasRenderingContext2D, { answer, pixels }: Scene) {
  const [x, y, w, h] = answer.data.placed;
  pen.fillStyle = "#20262c";
  pen.fillRect(x, y, w, h);
  if (!pixels) return;
  pen.imageSmoothingEnabled = true;
  pen.globalAlpha = 0.72; // the picture steps back behind what is drawn on it
  pen.drawImage(pixels, x, y, w, h);
  pen.globalAlpha = 1;
}

function objects(pen: CanvasRenderingContext2D, { answer, panel, look, hover }: Scene, thin: number) {
  const many = answer.labels.length > 500;
  for (let i = 0; i < answer.labels.length; i++) {
    const [x1, y1, x2, y2] = answer.boxes.subarray(4 * i, 4 * i + 4);
    const crowd = answer.crowd[i] === 1;
    const lost = !crowd && !panel.error && panel.counts[i] === 0;
    const loud = i === look.selected || i === hover;
    const dashed = lost && !many; // dashes take sixty times as long; many are told by their cross
    pen.setLineDash(crowd ? [2 * thin, 4 * thin] : dashed ? [7 * thin, 4 * thin] : []);
    pen.strokeStyle = crowd ? QUIET : lost ? MISSED : colourOf(i);
    pen.lineWidth = (loud ? 4 : many ? 1.2 : 2.4) * thin;
    pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
    if (!lost) continue;
    pen.setLineDash([]);
    pen.lineWidth = (many ? 0.8 : 1.4) * thin;
    pen.beginPath();
    pen.moveTo(x1, y1);
    pen.lineTo(x2, y2);
    pen.moveTo(x2, y1);
    pen.lineTo(x1, y2);
    pen.stroke();
  }
  pen.setLineDash([]);
}

function anchors(pen: CanvasRenderingContext2D, { panel, look }: Scene, thin: number) {
  const most = Math.max(1e-12, largest(panel.weight));
  const boxes = look.anchors === "boxes";
  const focus = look.selected;
  const many = panel.target.length > 1500; // squares are drawn at once, circles one by one
  let colour = "";
  for (const i of byColour(panel.target)) {
    const target = panel.target[i];
    const at = 4 * i;
    const [x1, y1] = [panel.boxes[at], panel.boxes[at + 1]];
    const [x2, y2] = [panel.boxes[at + 2], panel.boxes[at + 3]];
    const quiet = focus >= 0 && target !== focus ? 0.35 : 1;
    pen.globalAlpha = (0.15 + 0.85 * (panel.weight[i] / most)) * quiet * (boxes ? 0.8 : 1);
    const next = colourOf(target);
    if (next !== colour) pen.fillStyle = pen.strokeStyle = colour = next;
    if (boxes) {
      pen.lineWidth = thin;
      pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
      continue;
    }
    const [x, y, r] = [(x1 + x2) / 2, (y1 + y2) / 2, radius(panel.level[i]) * thin];
    if (many) pen.fillRect(x - r, y - r, 2 * r, 2 * r);
    else dot(pen, x, y, r);
  }
  pen.globalAlpha = 1;
}

// pairs in the order of their colours: to change a colour costs more than to draw
function byColour(target: ArrayLike<number>): number[] {
  const rows: number[][] = OBJECTS.map(() => []);
  for (let i = 0; i < target.length; i++) rows[target[i] % OBJECTS.length].push(i);
  return rows.flat();
}

let grown = 1;
const radius = (level: number) => (2.2 + 1.1 * Math.min(level, 7)) * grown;

function dot(pen: CanvasRenderingContext2D, x: number, y: number, r: number) {
  pen.beginPath();
  pen.arc(x, y, r, 0, 7);
  pen.fill();
}

// anchors asked for beside the positives
function layers(pen: CanvasRenderingContext2D, { panel, look }: Scene, thin: number) {
  const show = (layer: Layer | undefined, paint: (x: number, y: number, r: number) => void) => {
    if (!layer) return;
    for (let i = 0; i < layer.level.length; i++) {
      const [x1, y1, x2, y2] = layer.boxes.subarray(4 * i, 4 * i + 4);
      paint((x1 + x2) / 2, (y1 + y2) / 2, radius(layer.level[i]) * thin);
    }
  };
  if (look.layers.includes("negative")) {
    pen.fillStyle = "rgb(255 255 255 / 0.6)";
    show(panel.layers.negative, (x, y, r) => dot(pen, x, y, r * 0.6));
  }
  if (look.layers.includes("sampled")) {
    pen.fillStyle = "#ffffff";
    show(panel.layers.sampled, (x, y) => dot(pen, x, y, 1.7 * grown * thin));
  }
  if (look.layers.includes("ignored")) {
    pen.strokeStyle = QUIET;
    pen.lineWidth = 1.2 * thin;
    show(panel.layers.ignored, (x, y, r) => {
      pen.beginPath();
      pen.arc(x, y, r, 0, 7);
      pen.stroke();
    });
  }
}

// cells by how many positives they hold
function heat(pen: CanvasRenderingContext2D, { answer, panel, look }: Scene) {
  const cells = new Map<string, [number, number, number, number, number]>();
  for (let i = 0; i < panel.target.length; i++) {
    const level = panel.level[i];
    if (look.heat >= 0 && level !== look.heat) continue;
    const [h, w] = answer.data.levels[level].stride;
    const [x1, y1, x2, y2] = panel.boxes.subarray(4 * i, 4 * i + 4);
    const [x, y] = [(x1 + x2) / 2 - w / 2, (y1 + y2) / 2 - h / 2];
    const key = `${level}/${x.toFixed(1)}/${y.toFixed(1)}`;
    const known = cells.get(key);
    if (known) known[4] += 1;
    else cells.set(key, [x, y, w, h, 1]);
  }
  const most = Math.max(1, ...[...cells.values()].map((cell) => cell[4]));
  for (const [x, y, w, h, number] of cells.values()) {
    pen.fillStyle = `rgb(255 ${Math.round(220 - 150 * (number / most))} 40 / ${
      0.25 + 0.45 * (number / most)
    })`;
    pen.fillRect(x, y, w, h);
  }
}

// the chosen object: its anchors as boxes, or the best one that it could not have
function chosen(pen: CanvasRenderingContext2D, { answer, panel, look }: Scene, thin: number) {
  const at = look.selected;
  const [x1, y1, x2, y2] = answer.boxes.subarray(4 * at, 4 * at + 4);
  const best = panel.reasons.get(at)?.box;
  pen.setLineDash([5 * thin, 4 * thin]);
  pen.lineWidth = 2 * thin;
  pen.strokeStyle = BEST;
  if (best) pen.strokeRect(best[0], best[1], best[2] - best[0], best[3] - best[1]);
  const pair = panel.codeOf[at];
  if (pair >= 0) {
    const [ax1, ay1, ax2, ay2] = panel.boxes.subarray(4 * pair, 4 * pair + 4);
    pen.strokeRect(ax1, ay1, ax2 - ax1, ay2 - ay1);
  }
  pen.setLineDash([]);
  if (look.tool !== "move") return;
  pen.fillStyle = "#ffffff";
  const r = 4 * thin;
  for (const [x, y] of [[x1, y1], [x2, y1], [x1, y2], [x2, y2]]) {
    pen.fillRect(x - r, y - r, 2 * r, 2 * r);
  }
}

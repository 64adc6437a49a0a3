// The log w - log h plane: the objects' sizes as a cloud, the anchors' shapes over it.
import { h, short } from "./dom";
import { LINES } from "./colours";

export interface Shapes {
  name: string;
  shapes: [number, number][];
  hollow?: boolean;
}

const [W, H, LEFT, BOTTOM, PAD] = [340, 300, 34, 30, 10];
const POWERS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];

export class Plane {
  readonly canvas = h("canvas", {
    class: "plane",
    role: "img",
    "aria-label": "Width and height of the objects, and the anchors' shapes over them",
  });
  sizes: Float32Array | Int32Array = new Float32Array(0);

  draw(sets: Shapes[], trails: [number, number][][] = []) {
    const density = Math.min(devicePixelRatio || 1, 2);
    [this.canvas.width, this.canvas.height] = [W * density, H * density];
    const pen = this.canvas.getContext("2d")!;
    pen.scale(density, density);
    const style = getComputedStyle(this.canvas);
    const ink = style.getPropertyValue("--ink") || "#222222";
    const [low, high] = this.bounds(sets);
    const at = (value: number) => (Math.log(value) - Math.log(low)) / (Math.log(high) - Math.log(low));
    const x = (w: number) => LEFT + at(w) * (W - LEFT - PAD);
    const y = (height: number) => H - BOTTOM - at(height) * (H - BOTTOM - PAD);
    this.axes(pen, low, high, x, y, ink);
    pen.fillStyle = ink;
    pen.globalAlpha = Math.min(0.5, Math.max(0.05, 300 / Math.max(1, this.sizes.length)));
    for (let i = 0; i < this.sizes.length; i += 2) {
      pen.fillRect(x(this.sizes[i]) - 1, y(this.sizes[i + 1]) - 1, 2, 2);
    }
    pen.globalAlpha = 0.7;
    pen.strokeStyle = LINES[0];
    for (const trail of trails) {
      pen.beginPath();
      trail.forEach(([w, height], i) => pen[i ? "lineTo" : "moveTo"](x(w), y(height)));
      pen.stroke();
    }
    pen.globalAlpha = 1;
    sets.forEach((set, i) => this.marks(pen, set, LINES[i % LINES.length], x, y));
    const words = sets.map(
      (set) => `${set.name}: ${set.shapes.map(([w, t]) => `${short(w)} by ${short(t)}`).join(", ")}.`,
    );
    this.canvas.setAttribute(
      "aria-label",
      `Width and height of ${this.sizes.length / 2} objects. ${words.join(" ")}`,
    );
  }

  private bounds(sets: Shapes[]): [number, number] {
    let [low, high] = [Infinity, 0];
    const see = (value: number) => {
      if (!(value > 0)) return;
      low = Math.min(low, value);
      high = Math.max(high, value);
    };
    this.sizes.forEach(see);
    for (const set of sets) set.shapes.flat().forEach(see);
    return high > low ? [low * 0.85, high * 1.2] : [4, 512];
  }

  private axes(
    pen: CanvasRenderingContext2D,
    low: number,
    high: number,
    x: (value: number) => number,
    y: (value: number) => number,
    ink: string,
  ) {
    pen.font = "11px system-ui, sans-serif";
    pen.fillStyle = pen.strokeStyle = ink;
    for (const power of POWERS.filter((one) => one >= low && one <= high)) {
      pen.globalAlpha = 0.12;
      pen.fillRect(x(power), PAD, 1, H - BOTTOM - PAD);
      pen.fillRect(LEFT, y(power), W - LEFT - PAD, 1);
      pen.globalAlpha = 0.75;
      pen.textAlign = "center";
      pen.fillText(String(power), x(power), H - BOTTOM + 13);
      pen.textAlign = "right";
      pen.fillText(String(power), LEFT - 4, y(power) + 4);
    }
    pen.textAlign = "center";
    pen.fillText("width, px", (LEFT + W) / 2, H - 4);
    pen.save();
    pen.translate(9, (H - BOTTOM) / 2);
    pen.rotate(-Math.PI / 2);
    pen.fillText("height, px", 0, 0);
    pen.restore();
  }

  private marks(
    pen: CanvasRenderingContext2D,
    set: Shapes,
    colour: string,
    x: (value: number) => number,
    y: (value: number) => number,
  ) {
    pen.lineWidth = 2;
    for (const [w, height] of set.shapes) {
      pen.beginPath();
      pen.arc(x(w), y(height), 5, 0, 7);
      pen.fillStyle = pen.strokeStyle = colour;
      if (!set.hollow) pen.fill();
      pen.strokeStyle = set.hollow ? colour : "#ffffff";
      pen.stroke();
    }
  }
}

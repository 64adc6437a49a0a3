// The shapes of one level, about one centre: drag a corner.
import { h, short } from "./dom";
import { OBJECTS } from "./colours";

type Shape = [number, number];
const SIDE = 300;

export class ShapeEditor {
  readonly canvas = h("canvas", { class: "shapes", role: "img", tabindex: "0" });
  private shapes: Shape[] = [];
  private chosen = 0;
  private held = -1;
  private most = 64; // pixels from side to side of the drawing

  constructor(private change: (shapes: Shape[]) => void) {
    this.canvas.addEventListener("pointerdown", (event) => this.press(event));
    this.canvas.addEventListener("pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel"]) {
      this.canvas.addEventListener(end, () => {
        this.held = -1;
        this.fit();
        this.draw();
      });
    }
    this.canvas.addEventListener("keydown", (event) => this.key(event));
  }

  show(shapes: Shape[]) {
    const other = shapes.length !== this.shapes.length;
    this.shapes = shapes.map(([w, t]) => [w, t]);
    if (other) this.chosen = 0;
    if (this.held < 0) this.fit();
    this.draw();
  }

  private fit() {
    this.most = 1.25 * Math.max(16, ...this.shapes.flat());
  }

  private get scale() {
    return SIDE / this.most;
  }

  private place(event: PointerEvent): Shape {
    const frame = this.canvas.getBoundingClientRect();
    const rate = SIDE / frame.width;
    const x = (event.clientX - frame.left) * rate - SIDE / 2;
    const y = (event.clientY - frame.top) * rate - SIDE / 2;
    return [Math.abs(x), Math.abs(y)];
  }

  private press(event: PointerEvent) {
    const [x, y] = this.place(event);
    let least = 18;
    this.shapes.forEach(([w, t], i) => {
      const away = Math.hypot(x - (w * this.scale) / 2, y - (t * this.scale) / 2);
      if (away < least) [this.held, least] = [i, away];
    });
    if (this.held < 0) return;
    this.chosen = this.held;
    this.canvas.setPointerCapture(event.pointerId);
    this.draw();
  }

  private drag(event: PointerEvent) {
    if (this.held < 0) return;
    const [x, y] = this.place(event);
    const sides = [x, y].map((value) => Math.max(1, +((2 * value) / this.scale).toFixed(1)));
    this.shapes[this.held] = sides as Shape;
    this.draw();
    this.change(this.shapes.map(([w, t]) => [w, t]));
  }

  // arrows make the chosen shape wider and taller; comma and full stop choose another
  private key(event: KeyboardEvent) {
    const step = event.shiftKey ? 8 : 1;
    const grow: Record<string, Shape> = {
      ArrowRight: [step, 0],
      ArrowLeft: [-step, 0],
      ArrowUp: [0, step],
      ArrowDown: [0, -step],
    };
    const turn: Record<string, number> = { ".": 1, ",": -1 };
    if (event.key in turn) {
      this.chosen = (this.chosen + turn[event.key] + this.shapes.length) % this.shapes.length;
      this.draw();
    } else if (event.key in grow) {
      const [w, t] = this.shapes[this.chosen];
      const [dw, dt] = grow[event.key];
      this.shapes[this.chosen] = [Math.max(1, w + dw), Math.max(1, t + dt)];
      this.draw();
      this.change(this.shapes.map(([a, b]) => [a, b]));
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  private draw() {
    const density = Math.min(devicePixelRatio || 1, 2);
    this.canvas.width = this.canvas.height = SIDE * density;
    const pen = this.canvas.getContext("2d")!;
    pen.scale(density, density);
    pen.translate(SIDE / 2, SIDE / 2);
    pen.font = "12px system-ui, sans-serif";
    this.shapes.forEach(([w, t], i) => {
      const [wide, tall] = [w * this.scale, t * this.scale];
      pen.strokeStyle = pen.fillStyle = OBJECTS[i % OBJECTS.length];
      pen.lineWidth = i === this.chosen ? 3 : 1.5;
      pen.strokeRect(-wide / 2, -tall / 2, wide, tall);
      pen.beginPath();
      pen.arc(wide / 2, tall / 2, i === this.chosen ? 6 : 4.5, 0, 7);
      pen.fill();
    });
    const words = this.shapes.map(([w, t]) => `${short(w)} × ${short(t)}`);
    this.canvas.setAttribute(
      "aria-label",
      `Shapes, width by height: ${words.join(", ")}. Drag a corner; or arrows to change shape ` +
        `${this.chosen + 1}, comma and full stop to choose another.`,
    );
  }
}

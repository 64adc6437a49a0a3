// What fingers and the mouse do on a panel: look around, choose, move and draw objects.
import type { Camera } from "./camera";
import type { Store } from "./store";
import type { Box } from "./types";

interface Grip {
  box: Box;
  sides: [number, number, number, number]; // which of x1, y1, x2, y2 follow the pointer
  from: [number, number];
  object: number;
}

export class Pointer {
  private down = new Map<number, [number, number]>();
  private moved = 0;
  private grip: Grip | null = null;
  private drawing: { from: [number, number]; to: [number, number] } | null = null;

  constructor(
    private canvas: HTMLCanvasElement,
    private store: Store,
    private camera: Camera,
    private redraw: () => void,
    private hover: (object: number) => void,
  ) {
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.release(event));
    canvas.addEventListener("pointercancel", (event) => this.release(event));
    canvas.addEventListener("pointerleave", () => this.hover(-1));
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("dblclick", () => {
      this.camera.reset();
      this.redraw();
    });
  }

  private get input() {
    return this.store.answer!.data.input;
  }

  // a place on the network's input
  private at(event: { clientX: number; clientY: number }): [number, number] {
    const frame = this.canvas.getBoundingClientRect();
    const scale = this.camera.scale(frame.width, this.input);
    return [
      (event.clientX - frame.left) / scale + this.camera.x,
      (event.clientY - frame.top) / scale + this.camera.y,
    ];
  }

  private press(event: PointerEvent) {
    if (!this.store.answer) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.down.set(event.pointerId, [event.clientX, event.clientY]);
    this.moved = 0;
    const place = this.at(event);
    const { tool } = this.store.look;
    if (this.down.size > 1) this.grip = this.drawing = null;
    else if (tool === "draw") this.drawing = { from: place, to: place };
    else if (tool === "move") this.grip = this.grab(place);
  }

  private move(event: PointerEvent) {
    if (!this.store.answer) return;
    const before = this.down.get(event.pointerId);
    if (!before) {
      this.hover(this.find(this.at(event)));
      return;
    }
    const [dx, dy] = [event.clientX - before[0], event.clientY - before[1]];
    this.moved += Math.abs(dx) + Math.abs(dy);
    if (this.down.size === 2) this.pinch(event);
    else if (this.drawing) this.drawing.to = this.at(event);
    else if (this.grip) this.pull(this.at(event));
    else {
      const scale = this.camera.scale(this.canvas.clientWidth, this.input);
      this.camera.move(-dx / scale, -dy / scale, this.input);
    }
    this.down.set(event.pointerId, [event.clientX, event.clientY]);
    this.redraw();
    if (this.drawing) this.outline();
  }

  private release(event: PointerEvent) {
    if (!this.down.delete(event.pointerId) || !this.store.answer) return;
    if (this.drawing && this.moved > 6) this.add(this.drawing.from, this.drawing.to);
    else if (this.moved < 6) this.store.set({ selected: this.find(this.at(event)) });
    this.drawing = this.grip = null;
    this.redraw();
  }

  private wheel(event: WheelEvent) {
    if (!this.store.answer) return;
    event.preventDefault();
    const [x, y] = this.at(event);
    this.camera.zoomAt(Math.exp(-event.deltaY / 400), x, y, this.input);
    this.redraw();
  }

  private pinch(event: PointerEvent) {
    const others = [...this.down].find(([id]) => id !== event.pointerId)!;
    const before = this.down.get(event.pointerId)!;
    const apart = (p: [number, number]) => Math.hypot(p[0] - others[1][0], p[1] - others[1][1]);
    const factor = apart([event.clientX, event.clientY]) / Math.max(1, apart(before));
    const middle = {
      clientX: (event.clientX + others[1][0]) / 2,
      clientY: (event.clientY + others[1][1]) / 2,
    };
    this.camera.zoomAt(factor, ...this.at(middle), this.input);
  }

  // the smallest object around a place, or one with a side near it
  find([x, y]: [number, number]): number {
    const answer = this.store.answer!;
    const near = 6 / this.camera.scale(this.canvas.clientWidth, this.input);
    let found = -1;
    let least = Infinity;
    for (let i = 0; i < answer.labels.length; i++) {
      const [x1, y1, x2, y2] = answer.boxes.subarray(4 * i, 4 * i + 4);
      if (x < x1 - near || x > x2 + near || y < y1 - near || y > y2 + near) continue;
      const area = (x2 - x1) * (y2 - y1);
      if (area < least) [found, least] = [i, area];
    }
    return found;
  }

  // -- objects that are moved and drawn: in pixels of the image

  private toImage([x, y]: [number, number]): [number, number] {
    const [left, top, w, h] = this.store.answer!.data.placed;
    const [width, height] = this.full;
    return [((x - left) / w) * width, ((y - top) / h) * height];
  }

  private get full(): [number, number] {
    const [, , w, h] = this.store.answer!.data.placed;
    return this.store.picture?.full ?? [w, h];
  }

  private get boxes(): Box[] {
    if (this.store.state.boxes) return this.store.state.boxes;
    const { boxes, labels } = this.store.answer!;
    return Array.from(labels, (_, i) => {
      const [x1, y1, x2, y2] = boxes.subarray(4 * i, 4 * i + 4);
      return [...this.toImage([x1, y1]), ...this.toImage([x2, y2])] as Box;
    });
  }

  private get labels(): number[] {
    return this.store.state.labels ?? Array.from(this.store.answer!.labels);
  }

  private grab(place: [number, number]): Grip | null {
    const answer = this.store.answer!;
    const near = 9 / this.camera.scale(this.canvas.clientWidth, this.input);
    const chosen = this.store.look.selected;
    for (const object of chosen >= 0 ? [chosen, this.find(place)] : [this.find(place)]) {
      if (object < 0) continue;
      const [x1, y1, x2, y2] = answer.boxes.subarray(4 * object, 4 * object + 4);
      const [x, y] = place;
      const onX = [Math.abs(x - x1) < near, Math.abs(x - x2) < near];
      const onY = [Math.abs(y - y1) < near, Math.abs(y - y2) < near];
      const within = x > x1 - near && x < x2 + near && y > y1 - near && y < y2 + near;
      if (!within) continue;
      const corner = (onX[0] || onX[1]) && (onY[0] || onY[1]) && object === chosen;
      const sides = corner ? [+onX[0], +onY[0], +onX[1], +onY[1]] : [1, 1, 1, 1];
      this.store.set({ selected: object });
      return {
        box: this.boxes[object],
        sides: sides as Grip["sides"],
        from: this.toImage(place),
        object,
      };
    }
    return null;
  }

  private pull(place: [number, number]) {
    const { box, sides, from, object } = this.grip!;
    const [x, y] = this.toImage(place);
    const shift = [x - from[0], y - from[1], x - from[0], y - from[1]];
    const next = box.map((value, i) => value + sides[i] * shift[i]);
    const [w, h] = [next[2] - next[0], next[3] - next[1]];
    if (w < 1 || h < 1) return;
    const boxes = this.boxes.slice();
    boxes[object] = next.map((value) => +value.toFixed(2)) as Box;
    this.store.change({ boxes, labels: this.labels }, `move ${object}`);
  }

  private outline() {
    const { from, to } = this.drawing!;
    const pen = this.canvas.getContext("2d")!;
    const scale = this.camera.scale(this.canvas.width, this.input);
    pen.setTransform(scale, 0, 0, scale, -this.camera.x * scale, -this.camera.y * scale);
    pen.strokeStyle = "#ffffff";
    pen.lineWidth = 2 / scale;
    pen.strokeRect(from[0], from[1], to[0] - from[0], to[1] - from[1]);
  }

  private add(from: [number, number], to: [number, number]) {
    const [[x1, y1], [x2, y2]] = [this.toImage(from), this.toImage(to)];
    const box = [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)];
    if (box[2] - box[0] < 1 || box[3] - box[1] < 1) return;
    const boxes = [...this.boxes, box.map((value) => +value.toFixed(2)) as Box];
    this.store.set({ selected: boxes.length - 1 });
    this.store.change({ boxes, labels: [...this.labels, 0] });
  }

  remove(object: number) {
    const boxes = this.boxes.filter((_, i) => i !== object);
    const labels = this.labels.filter((_, i) => i !== object);
    this.store.set({ selected: -1 });
    this.store.change({ boxes, labels });
  }
}

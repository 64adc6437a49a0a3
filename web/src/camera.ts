// Where all panels look: one zoom and one place, in pixels of the network's input.
export class Camera {
  zoom = 1;
  x = 0; // corner of what is seen
  y = 0;

  reset() {
    this.zoom = 1;
    this.x = this.y = 0;
  }

  // pixels of the canvas for one of the input
  scale(width: number, input: [number, number]) {
    return (width / input[1]) * this.zoom;
  }

  zoomAt(factor: number, x: number, y: number, input: [number, number]) {
    const before = this.zoom;
    this.zoom = Math.min(40, Math.max(1, before * factor));
    const kept = before / this.zoom;
    this.x = x - (x - this.x) * kept;
    this.y = y - (y - this.y) * kept;
    this.bound(input);
  }

  move(dx: number, dy: number, input: [number, number]) {
    this.x += dx;
    this.y += dy;
    this.bound(input);
  }

  bound([height, width]: [number, number]) {
    this.x = Math.min(Math.max(0, this.x), width - width / this.zoom);
    this.y = Math.min(Math.max(0, this.y), height - height / this.zoom);
  }
}

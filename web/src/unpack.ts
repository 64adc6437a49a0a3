// Packed columns as typed arrays.
import type { Packed } from "./types";

export function unpack(value: Packed): Float32Array | Int32Array {
  const raw = atob(value.data);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return value.type === "f4" ? new Float32Array(bytes.buffer) : new Int32Array(bytes.buffer);
}

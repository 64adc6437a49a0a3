// The colours of objects, the same as in kedge's drawn sheets: they show on any photograph.
export const OBJECTS = [
  "#ff8a1f", "#31a8ff", "#2fd18c", "#f28be0", "#ffd23f", "#a49bff", "#7fe3e8", "#ffb3a7",
];
export const MISSED = "#ff3b30";
export const BEST = "#ffd23f";
export const QUIET = "#aeb8c1";
export const LINES = ["#1f72ab", "#d95f0e", "#07a679", "#8e44ad", "#b8860b", "#c0392b"];

export function colourOf(object: number) {
  return OBJECTS[object % OBJECTS.length];
}

// Colours that are told apart with every kind of colour blindness (Okabe & Ito).

const classes = [[213, 94, 0], [0, 114, 178], [0, 158, 115], [204, 121, 167], [86, 180, 233], [230, 159, 0], [150, 150, 150], [120, 94, 240], [120, 90, 40], [220, 38, 127]];
const dark = matchMedia("(prefers-color-scheme: dark)");

export const isDark = () => dark.matches;
export const paper = () => (isDark() ? [22, 22, 24] : [255, 255, 255]);
export const ink = () => (isDark() ? "#eaeaea" : "#222");
export const faint = () => (isDark() ? "#555" : "#c4c4c4");

/** When the system goes from light to dark, draw anew. */
export const onScheme = (action) => dark.addEventListener("change", action);

export const rgb = (colour) => `rgb(${colour.map(Math.round).join(",")})`;
export const classColour = (label) => classes[Math.min(label, classes.length - 1) % classes.length];
export const NEGATIVE = classes[0];
export const POSITIVE = classes[1];

/** Lines must be seen on dark ground too. */
export const line = (colour) => rgb(isDark() ? mix(colour, [255, 255, 255], 0.35) : colour);

export function mix(from, to, share) {
  return from.map((value, k) => value + (to[k] - value) * share);
}

/** From orange at -1 through the paper at 0 to blue at 1. */
export function diverging(value) {
  if (!Number.isFinite(value)) return paper();
  const most = Math.min(Math.abs(value), 1);
  return mix(paper(), value < 0 ? NEGATIVE : POSITIVE, 0.75 * most);
}

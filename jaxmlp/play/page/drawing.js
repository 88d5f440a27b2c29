// Pictures on canvases: surfaces, points, graphs of functions, curves.

import { classColour, diverging, faint, ink, line, mix, NEGATIVE, paper, POSITIVE, rgb } from "./colours.js";
import { format, t } from "./text.js";

/** Fit a canvas to its place and the screen's pixels; returns its context, in the page's pixels. */
function prepare(canvas, height) {
  const width = canvas.clientWidth || 300;
  const ratio = devicePixelRatio || 1;
  const size = [Math.round(width * ratio), Math.round((height ?? width) * ratio)];
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height ?? width);
  return [context, width, height ?? width];
}

const scratch = document.createElement("canvas");

function paint(context, [rows, columns], width, height, colourOf) {
  [scratch.width, scratch.height] = [columns, rows];
  const inner = scratch.getContext("2d");
  const image = inner.createImageData(columns, rows);
  for (let k = 0; k < rows * columns; k++) {
    const colour = colourOf(k);
    image.data.set([colour[0], colour[1], colour[2], 255], 4 * k);
  }
  inner.putImageData(image, 0, 0);
  context.imageSmoothingEnabled = true;
  context.drawImage(scratch, 0, 0, width, height);
}

/** The colour of a prediction, by task. */
function colouring(data, values) {
  if (data.task === "unit") return (k) => diverging(values[k]);
  if (data.task === "regression") {
    const most = Math.max(1e-9, ...data.train.map((row) => Math.abs(row[2])));
    return (k) => diverging(values[k] / most);
  }
  if (data.classes.length === 2) return (k) => diverging(2 * Math.min(Math.max(values[k], 0), 1) - 1);
  return (k) => {
    if (!Number.isFinite(values[k])) return paper();
    const label = Math.floor(values[k]);
    const share = (values[k] - label) / 0.999;
    return mix(paper(), classColour(label), 0.15 + 0.55 * Math.max(0, share - 1 / data.classes.length));
  };
}

function places(extent, width, height) {
  const [left, right, bottom, top] = extent;
  return (x, y) => [((x - left) / (right - left)) * width, ((top - y) / (top - bottom)) * height];
}

/** The prediction in the plane, or the graph of a function, and the examples. */
export function drawOutput(canvas, data, surface, chosen) {
  const [context, width, height] = prepare(canvas);
  const at = places(data.extent, width, height);
  if (surface.shape[0] > 1) paint(context, surface.shape, width, height, colouring(data, surface.values));
  const size = Math.max(2, width / 110);
  for (const [rows, hollow] of [[data.test, true], [data.train, false]]) {
    for (const row of rows) mark(context, at(row[0], row[1]), row[2], data, hollow, size);
  }
  if (surface.shape[0] === 1) graph(context, surface.values, data.extent, at);
  if (chosen !== null && data.train[chosen]) {
    context.strokeStyle = ink();
    context.lineWidth = 2.5;
    context.beginPath();
    context.arc(...at(data.train[chosen][0], data.train[chosen][1]), size + 5, 0, 7);
    context.stroke();
  }
}

/** An example: of the classes 0 a square, of all others a disc; of many classes its digit. */
function mark(context, [x, y], label, data, hollow, size) {
  const regression = data.task === "regression";
  const colour = regression ? (data.axes[1] === data.target ? [120, 120, 120] : diverging(label)) : classColour(label);
  context.lineWidth = 1;
  if (data.classes.length > 2) {
    context.font = `${hollow ? "" : "bold "}${Math.max(9, 2.6 * size)}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillStyle = line(mix(colour, [0, 0, 0], 0.25));
    context.fillText(data.classes[label].slice(0, 2), x, y);
    return;
  }
  context.beginPath();
  if (!regression && label === 0) context.rect(x - size, y - size, 2 * size, 2 * size);
  else context.arc(x, y, size + 0.5, 0, 7);
  context.fillStyle = rgb(hollow ? paper() : colour);
  context.strokeStyle = hollow ? rgb(colour) : rgb(paper());
  context.fill();
  context.stroke();
}

function graph(context, values, extent, at) {
  const [left, right] = extent;
  context.strokeStyle = line(NEGATIVE);
  context.lineWidth = 2.5;
  context.beginPath();
  values.forEach((value, k) => context.lineTo(...at(left + ((right - left) * k) / (values.length - 1), value)));
  context.stroke();
}

/** A unit's own picture, from -127 to 127. */
export function drawUnit(canvas, values, shape) {
  const [context, width, height] = prepare(canvas, canvas.clientHeight || undefined);
  if (shape[0] > 1) return paint(context, shape, width, height, (k) => diverging(values[k] / 127));
  context.fillStyle = rgb(paper());
  context.fillRect(0, 0, width, height);
  context.strokeStyle = line(POSITIVE);
  context.lineWidth = 1.5;
  context.beginPath();
  values.forEach((value, k) => context.lineTo((k / (values.length - 1)) * width, height * (0.5 - (0.45 * value) / 127)));
  context.stroke();
}

/** Loss of both parts on a logarithmic axis; how the step grows, so do they fall. */
export function drawCurves(canvas, curve, network) {
  const [context, width, height] = prepare(canvas, canvas.clientHeight || 110);
  const [n, columns] = curve.shape;
  const column = (k) => Array.from({ length: n }, (_, row) => curve.values[row * columns + k]);
  const steps = column(0);
  const lines = [[column(1 + 4 * network), POSITIVE, []], [column(3 + 4 * network), NEGATIVE, [5, 3]]];
  const all = lines.flatMap(([values]) => values).filter((value) => value > 0 && Number.isFinite(value));
  if (!all.length) return;
  const [low, high] = [Math.log(Math.min(...all)), Math.log(Math.max(...all) * 1.05)];
  const [x0, last] = [56, Math.max(steps[n - 1], 1)];
  const y = (value) => 6 + (height - 24) * (1 - (Math.log(value) - low) / Math.max(high - low, 1e-9));
  context.font = "11px system-ui, sans-serif";
  context.fillStyle = ink();
  context.strokeStyle = faint();
  context.lineWidth = 1;
  context.textBaseline = "middle";
  for (const value of [Math.exp(low), Math.exp(high)]) {
    context.textAlign = "right";
    context.fillText(format(value), x0 - 4, Math.max(8, y(value)));
    context.beginPath();
    context.moveTo(x0, y(value));
    context.lineTo(width, y(value));
    context.stroke();
  }
  context.fillText(t("steps_axis", { n: format(steps[n - 1]) }), width - 2, height - 7);
  for (const [values, colour, dashes] of lines) {
    context.strokeStyle = line(colour);
    context.lineWidth = 2;
    context.setLineDash(dashes);
    context.beginPath();
    values.forEach((value, k) => {
      if (value > 0 && Number.isFinite(value)) context.lineTo(x0 + ((width - x0 - 3) * steps[k]) / last, y(value));
    });
    context.stroke();
  }
  context.setLineDash([]);
}

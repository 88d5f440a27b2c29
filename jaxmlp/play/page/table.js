// Data of one's own: a table that is dropped, its columns, its plane; points that are drawn.

import { button, check, field, make, number, refill, select, slider } from "./elements.js";
import { sendTable } from "./server.js";
import { format, t } from "./text.js";

/** Have files that are dropped anywhere on the page learnt. */
export function takeDrops(page) {
  const stop = (event) => event.preventDefault();
  document.addEventListener("dragover", stop);
  document.addEventListener("drop", (event) => {
    stop(event);
    if (event.dataTransfer.files.length) take(page, event.dataTransfer.files[0]);
  });
}

async function take(page, file) {
  try {
    page.note(t("working"));
    const world = await sendTable(file.name, await file.arrayBuffer());
    page.note("");
    page.adopt(world);
  } catch (error) {
    page.note(error.message, true);
  }
}

/** What is below the fields of the data. */
export function buildOwnData(page, body) {
  const { data } = page.wanted;
  const file = make("input", { type: "file", accept: ".csv,.tsv,.txt,.xlsx,.jsonl,.parquet" });
  file.onchange = () => file.files.length && take(page, file.files[0]);
  const parts = [];
  if (data.name === "table" && page.world.table) parts.push(...tableFields(page, data));
  if (data.name === "drawn") parts.push(...drawingFields(page, data));
  parts.push(field("drop_table", file));
  refill(body, ...parts);
}

function tableFields(page, data) {
  const { table, data: shown } = page.world;
  const names = table.columns.map(([name]) => name);
  const plain = (name) => name;
  const target = shown.target;
  const change = (edit) => page.change((settings) => edit(settings.data));
  const usual = table.columns.filter(([name, kind]) => kind !== "drop" && name !== target).map(([name]) => name);
  const used = data.columns.length ? data.columns : usual;
  const columns = make("fieldset", { className: "one" }, make("legend", {}, t("columns")), ...names.filter((name) => name !== target).map((name) =>
    check(name, used.includes(name), (on) => change((own) => {
      own.columns = names.filter((one) => one !== target && (one === name ? on : used.includes(one)));
      [own.plane, own.held] = [[], {}];
    }), name)));
  const numbers = table.columns.filter(([name, kind]) => kind === "number" && used.includes(name) && name !== target).map(([name]) => name);
  const axes = numbers.length < 2 ? [] : [0, 1].map((axis) => field(`axis_${axis}`, select(numbers, shown.axes[axis], (name) => change((own) => {
    const other = shown.axes[1 - axis] === name ? shown.axes[axis] : shown.axes[1 - axis];
    own.plane = axis ? [other, name] : [name, other];
  }), plain)));
  const held = shown.sliders.map((one) => {
    const hold = (value) => change((own) => { own.held = { ...own.held, [one.name]: value }; });
    if (one.kind === "number") {
      return field(one.name, slider(one.value, hold, { min: one.low, max: one.high, step: (one.high - one.low) / 100 || 1 }), `${one.name}: ${format(one.value)}`);
    }
    return field(one.name, select(one.levels, one.value, hold, plain), one.name);
  });
  return [
    make("p", { className: "faint" }, t("table_said", { name: table.name, rows: table.rows })),
    field("target", select(names, target, (name) => change((own) => {
      Object.assign(own, { target: name, columns: [], plane: [], held: {} });
    }), plain)),
    columns, ...axes, ...(held.length ? [make("h3", {}, t("held"))] : []), ...held];
}

let brush = 1;

function drawingFields(page, data) {
  const at = [0, 0];
  const add = () => addPoint(page, at);
  return [
    make("p", { className: "faint" }, t("draw_hint", { n: data.points.length })),
    field("brush", select(["0", "1"], String(brush), (value) => { brush = Number(value); }, (value) => t(`class_${value}`))),
    make("div", { className: "row" }, field("x1", number(0, (value) => { at[0] = value; }, { min: -2, max: 2 }), "x1"), field("x2", number(0, (value) => { at[1] = value; }, { min: -2, max: 2 }), "x2"), button("add_point", add)),
    button("take_back", () => page.change((settings) => settings.data.points.pop()), { disabled: data.points.length <= 4 }),
  ];
}

/** Add a point of the chosen class. */
export function addPoint(page, [x1, x2]) {
  const round = (value) => Math.round(1000 * Math.min(Math.max(value, -2), 2)) / 1000;
  if (page.wanted.data.points.length >= page.world.choices.most.points) return;
  page.change((settings) => settings.data.points.push([round(x1), round(x2), brush]));
}

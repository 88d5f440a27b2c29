// The controls of the data and of a network's learning.

import { button, check, field, number, select, slider } from "./elements.js";
import { format, t } from "./text.js";

const plane = ["circle", "xor", "gaussians", "spirals", "drawn"];
const drawnAtRandom = ["circle", "xor", "gaussians", "spirals", "function"];

export function activationField(chosen, world, action, layer) {
  const node = select(world.choices.activations, chosen, action, (name) => name);
  node.setAttribute("aria-label", t("activation_of", { n: layer }));
  return node;
}

/** The controls of how a network learns; `change` is given an edit of the network's settings. */
export function settingsFields(own, world, change) {
  const { rules, initializers, losses } = world.choices;
  const task = losses[world.data.task];
  const suitable = world.data.classes.length > 2 ? ["softmax_cross_entropy"] : task;
  const rule = (name) => change((set) => {
    set.rule = name;
    set.numbers = Object.fromEntries(rules[name].map((one) => [one.name, one.default]));
  });
  const numbers = rules[own.rule].map(({ name, low, high }) =>
    field(name, number(own.numbers[name], (value) => change((set) => { set.numbers[name] = value; }), { min: low, max: high })));
  return [
    field("rule", select(Object.keys(rules), own.rule, rule)),
    ...numbers,
    field("batch_size", number(own.batch_size, (value) => change((set) => { set.batch_size = value; }), { max: 100000, whole: true })),
    field("loss", select(suitable, own.loss, (value) => change((set) => { set.loss = value; }))),
    field("initializer", select(initializers, own.initializer, (value) => change((set) => { set.initializer = value; }))),
    field("l2", number(own.l2, (value) => change((set) => { set.l2 = value; }), { max: 10 })),
    field("dropout", number(own.dropout, (value) => change((set) => { set.dropout = value; }), { max: 0.9 })),
    check("batch_norm", own.batch_norm, (value) => change((set) => { set.batch_norm = value; })),
    field("seed", number(own.seed, (value) => change((set) => { set.seed = value; }), { whole: true, max: 2147483647 })),
  ];
}

/** The controls of the data. */
export function dataFields(data, world, change) {
  const set = (name) => (value) => change((settings) => { settings.data[name] = value; });
  const nodes = [field("data_set", select(world.choices.data.filter((name) => name !== "table" || data.name === "table" || world.table), data.name, (value) => change((settings) => {
    settings.data.name = value;
    if (value === "drawn" && !settings.data.points.length) settings.data.points = beginning();
  })))];
  if (drawnAtRandom.includes(data.name)) {
    nodes.push(field("noise", slider(data.noise, set("noise")), `${t("noise")}: ${format(data.noise)}`));
  }
  if (data.name !== "drawn" && data.name !== "table") {
    nodes.push(field("size", slider(data.size, set("size"), { min: data.name === "digits" ? 200 : 20, max: 1000, step: 20 }), `${t("size")}: ${data.size}`));
  }
  nodes.push(field("test_share", slider(data.test, set("test"), { min: 0.1, max: 0.9, step: 0.1 }), `${t("test_share")}: ${format(100 * data.test)} %`));
  if (plane.includes(data.name) || data.name === "function") nodes.push(inputFields(data, world, set("inputs")));
  if (data.name !== "digits" && data.name !== "table") nodes.push(check("standardize", data.standardize, set("standardize")));
  if (drawnAtRandom.includes(data.name)) nodes.push(button("draw_anew", () => change((settings) => { settings.data.seed++; })));
  return nodes;
}

/** Four points that make the exclusive or, to begin drawing with. */
const beginning = () => [[-1, -1, 0], [1, 1, 0], [-1, 1, 1], [1, -1, 1]];

function inputFields(data, world, set) {
  const group = document.createElement("fieldset");
  const legend = document.createElement("legend");
  legend.textContent = t("inputs");
  const known = world.choices.inputs.filter((name) => data.name !== "function" || !name.includes("x2"));
  group.append(legend, ...known.map((name) => check(name, data.inputs.includes(name), (on) => {
    const chosen = known.filter((one) => (one === name ? on : data.inputs.includes(one)));
    set(chosen.length ? chosen : [name]);
  }, name)));
  return group;
}

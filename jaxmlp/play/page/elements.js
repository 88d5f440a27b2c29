// Elements of the page, made in one line.

import { t } from "./text.js";

/** Make an element: its tag, its properties, its children. */
export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-")) node.setAttribute(name, value);
    else if (name === "data") Object.assign(node.dataset, value);
    else node[name] = value;
  }
  node.append(...children);
  return node;
}

export function button(key, action, properties = {}) {
  return make("button", { type: "button", textContent: t(key), onclick: action, ...properties });
}

let fields = 0;

/** A labelled control; its words are looked up anew at every call. */
export function field(key, control, label = t(key)) {
  control.id ||= `field_${++fields}`;
  return make("div", { className: "field" }, make("label", { htmlFor: control.id, textContent: label }), control);
}

export function select(names, chosen, action, label = t) {
  const options = names.map((name) => make("option", { value: name, textContent: label(name) }));
  const node = make("select", { onchange: () => action(node.value) }, ...options);
  node.value = chosen;
  return node;
}

export function number(value, action, { min = 0, max = 1e9, whole = false } = {}) {
  const node = make("input", { type: "number", value: String(value), min: String(min), max: String(max), step: whole ? "1" : "any" });
  node.onchange = () => {
    const typed = Number(node.value);
    if (node.value.trim() === "" || !Number.isFinite(typed)) node.value = String(value);
    else action(whole ? Math.round(typed) : typed);
  };
  return node;
}

export function slider(value, action, { min = 0, max = 1, step = 0.01 } = {}) {
  const node = make("input", { type: "range", min: String(min), max: String(max), step: String(step), value: String(value) });
  node.onchange = () => action(Number(node.value));
  return node;
}

export function check(key, value, action, label = t(key)) {
  const box = make("input", { type: "checkbox", checked: value });
  box.onchange = () => action(box.checked);
  return make("label", { className: "check" }, box, ` ${label}`);
}

/** Fill a node anew, with the focus where it was: on the control of the same place. */
export function refill(node, ...children) {
  const order = [...node.querySelectorAll("button, input, select, textarea")];
  const place = order.indexOf(document.activeElement);
  node.replaceChildren(...children);
  if (place >= 0) [...node.querySelectorAll("button, input, select, textarea")][place]?.focus();
}

// One step by hand: an example's forward pass, backward pass and update, one press at a time.

import { button, field, make, number, refill, select } from "./elements.js";
import { say } from "./server.js";
import { format, t, whole } from "./text.js";

const MOST = 8; // rows and columns that are written out

export class Walk {
  constructor(page, body) {
    [this.page, this.network, this.found, this.place] = [page, 0, null, 0];
    this.body = make("div");
    this.stage = make("div", { "aria-live": "polite" }); // stays, so that what comes into it is read out
    body.append(this.body, this.stage);
    new ResizeObserver(() => this.reach()).observe(this.stage);
  }

  /** What is wider than its place is scrolled by keyboard too. */
  reach() {
    for (const one of this.stage.querySelectorAll("figure")) one.tabIndex = one.scrollWidth > one.clientWidth ? 0 : -1;
  }

  async begin(example) {
    this.page.example = example;
    this.page.redraw();
    try {
      this.found = await say("walk", { network: this.network, example });
      this.place = 0;
      this.page.note("");
    } catch (error) {
      this.found = null;
      this.page.note(error.message, true);
    }
    this.build();
  }

  go(place) {
    this.place = Math.min(Math.max(place, 0), this.found.stages.length - 1);
    this.build();
  }

  build() {
    const n = this.page.world.data.train.length;
    const networks = this.page.world.networks.length;
    if (this.network >= networks) this.network = 0;
    const example = this.page.example ?? 0;
    const controls = make("div", { className: "fields" },
      field("walk_example", number(example, (value) => this.begin(Math.min(value, n - 1)), { max: n - 1, whole: true })),
      ...(networks > 1 ? [field("walk_network", select(["0", "1"], String(this.network), (value) => { this.network = Number(value); this.begin(example); }, (value) => "AB"[value]))] : []),
      button("walk_begin", () => this.begin(example)));
    this.stage.replaceChildren();
    if (!this.found) return refill(this.body, make("p", {}, t("walk_intro")), controls);
    const { stages, step } = this.found;
    const stage = stages[this.place];
    const path = make("ol", { className: "path" }, ...stages.map((one, k) => make("li", {},
      make("button", { type: "button", textContent: short(one), title: one.symbols, "aria-current": k === this.place ? "step" : "false", onclick: () => this.go(k) }))));
    this.stage.replaceChildren(...this.image(), describe(stage));
    this.reach();
    return refill(this.body, controls,
      make("p", { className: "faint" }, t("walk_at", { example: this.found.example, step: whole(step), y: this.target() })),
      make("div", { className: "row" },
        button("walk_back", () => this.go(this.place - 1), { disabled: this.place === 0 }),
        button("walk_next", () => this.go(this.place + 1), { disabled: this.place === stages.length - 1, className: "main" }),
        make("span", { className: "faint" }, `${this.place + 1} / ${stages.length}`)),
      path);
  }

  /** The example's picture, where it is one. */
  image() {
    const pixels = this.page.world.data.images[this.found.example];
    if (!pixels) return [];
    const side = Math.sqrt(pixels.length);
    const canvas = make("canvas", { width: side, height: side, className: "pixels", role: "img", "aria-label": t("walk_image", { y: this.target() }) });
    const context = canvas.getContext("2d");
    const most = Math.max(...pixels);
    pixels.forEach((value, k) => {
      context.fillStyle = `rgb(${Array(3).fill(Math.round(255 * (1 - value / most))).join(",")})`;
      context.fillRect(k % side, Math.floor(k / side), 1, 1);
    });
    return [canvas];
  }

  target() {
    const { train, classes } = this.page.world.data;
    const row = train[this.found.example];
    if (!row) return "";
    return classes.length ? classes[row[2]] : format(row[2]);
  }
}

/** What a stage is called on the path: its left side, with the number of its equation. */
function short({ number, symbols, key }) {
  const left = symbols.split(key === "walk_update" ? " ←" : " =")[0];
  return number ? `(${number}) ${left}` : key === "walk_update" ? `${left} ←` : left;
}

function describe(stage) {
  const parts = [make("h3", {}, stage.number ? t("equation_n", { n: stage.number }) : t(stage.key === "walk_update" ? "update" : "forward_pass")),
    make("p", {}, t(stage.key)), make("p", { className: "formula" }, stage.symbols),
    make("div", { className: "both" }, figure(t(stage.number ? "by_hand" : stage.key === "walk_update" ? "new_values" : "value"), stage.values),
      ...(stage.oracle === null ? [] : [figure("jax.grad", stage.oracle)]),
      ...(stage.change ? [figure(t("change"), stage.change)] : []))];
  if (stage.oracle !== null) parts.push(make("p", { className: "faint" }, t("difference", { n: format(difference(stage.values, stage.oracle)) })));
  return make("div", { className: "stage", role: "group" }, ...parts);
}

const flat = (values) => [values].flat(3);

function difference(mine, theirs) {
  const other = flat(theirs);
  return Math.max(...flat(mine).map((value, k) => Math.abs(value - other[k])));
}

function figure(title, values) {
  const rows = !Array.isArray(values) ? [[values]] : Array.isArray(values[0]) ? values : [values];
  const cut = (list) => (list.length > MOST ? [...list.slice(0, MOST), null] : list);
  const table = make("table", { className: "numbers" }, ...cut(rows).map((row) => make("tr", {}, ...(row ? cut(row) : [null]).map((value) => make("td", {}, value === null ? "…" : format(value))))));
  return make("figure", {}, make("figcaption", {}, title), table);
}

// One step by hand: an example's forward pass, backward pass and update, one press at a time.

import { button, field, make, number, refill, select } from "./elements.js";
import { say } from "./server.js";
import { format, t, whole } from "./text.js";

const MOST = 8; // rows and columns that are written out

export class Walk {
  constructor(page, body) {
    [this.page, this.network] = [page, 0];
    this.forget();
    this.body = make("div");
    this.stage = make("div", { "aria-live": "polite" }); // stays, so that what comes into it is read out
    body.append(this.body, this.stage);
    new ResizeObserver(() => this.letScroll()).observe(this.stage);
  }

  /** What is wider than its place is scrolled by keyboard too. */
  letScroll() {
    for (const one of this.stage.querySelectorAll("figure")) one.tabIndex = one.scrollWidth > one.clientWidth ? 0 : -1;
  }

  /** Go through one step with an example, from a place on. */
  async begin(example, place = 0) {
    this.page.example = example;
    this.page.redraw();
    await this.ask(async () => {
      this.found = null;
      this.take(await say("walk", { network: this.network, example }));
      this.place = Math.min(place, this.found.stages.length - 1);
    });
  }

  take(found) { [this.found, this.after, this.known] = [found, null, this.state()]; }

  /** What decides on a way's numbers: another state has others. */
  state() {
    const { settings, networks } = this.page.world;
    return JSON.stringify([settings, this.network, networks[this.network]?.step]);
  }

  forget() { [this.found, this.after, this.place] = [null, null, 0]; }

  /** When the network stands elsewhere than the way begins, begin it there. */
  follow() {
    if (this.found && !this.page.world.playing && this.known !== this.state()) this.begin(this.found.example, this.place);
  }

  async ask(action) {
    try {
      await action();
      this.page.note("");
    } catch (error) {
      this.page.note(error.message, true);
    }
    this.build();
  }

  /** All stages: those before the update, and once it is applied the forward pass after it. */
  get stages() {
    const again = (this.after?.stages ?? []).map((one, k) => ({ ...one, before: this.found.stages[k].values }));
    return [...this.found.stages, ...again.filter((one) => !["walk_x", "walk_update"].includes(one.key) && !one.number)];
  }

  /** Go to a stage: past the update it is applied, and before it taken back. */
  go(place) {
    const n = this.found.stages.length;
    if (place < 0 || (this.after && place >= this.stages.length)) return null;
    return this.ask(async () => {
      if (place >= n && !this.after) await this.apply(place);
      else if (place < n && this.after) await this.takeBack(place);
      this.place = place;
    });
  }

  async apply(place) {
    const { network, found } = this;
    const { walk, ...world } = await say("apply", { network, example: found.example, step: found.step });
    this.reach(place, walk, world);
  }

  async takeBack(place) { this.reach(place, null, await say("rewind", { to: this.found.step })); }

  /** Have the page show where an update led: a place that is still on this way. */
  reach(place, after, world) {
    this.page.world.networks = world.networks;
    [this.place, this.after, this.known] = [place, after, this.state()];
    this.page.adopt(world);
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
    const { stages } = this;
    const { step } = this.after && this.place >= this.found.stages.length ? this.after : this.found;
    const stage = stages[this.place];
    const last = this.place === stages.length - 1;
    const path = make("ol", { className: "path" }, ...stages.map((one, k) => make("li", {},
      make("button", { type: "button", textContent: short(one), title: one.symbols, "aria-current": k === this.place ? "step" : "false", onclick: () => this.go(k) }))));
    this.stage.replaceChildren(...this.image(), describe(stage));
    this.letScroll();
    return refill(this.body, controls,
      make("p", { className: "faint" }, t("walk_at", { example: this.found.example, step: whole(step), y: this.target() })),
      make("div", { className: "row" },
        button("walk_back", () => this.go(this.place - 1), { disabled: this.place === 0 }),
        button(last && !this.after ? "walk_apply" : "walk_next", () => this.go(this.place + 1), { disabled: last && this.after !== null, className: "main" }),
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
function short({ number, symbols, key, before }) {
  const left = symbols.split(key === "walk_update" ? " ←" : " =")[0];
  if (before !== undefined) return t("again", { name: left });
  return number ? `(${number}) ${left}` : key === "walk_update" ? `${left} ←` : left;
}

function heading({ number, key, before }) {
  if (number) return t("equation_n", { n: number });
  if (key === "walk_update") return t("update");
  return before === undefined ? t("forward_pass") : t("after_update", { name: t("forward_pass") });
}

function describe(stage) {
  const parts = [make("h3", {}, heading(stage)), make("p", {}, t(stage.key)), make("p", { className: "formula" }, stage.symbols),
    make("div", { className: "both" }, figure(t(stage.number ? "by_hand" : stage.key === "walk_update" ? "new_values" : "value"), stage.values),
      ...(stage.before === undefined ? [] : [figure(t("before_update"), stage.before)]),
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

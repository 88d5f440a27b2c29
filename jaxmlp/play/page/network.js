// One network: its units and edges, its prediction, its curves, and its controls.

import { faint, line, NEGATIVE, POSITIVE } from "./colours.js";
import { drawCurves, drawOutput, drawUnit } from "./drawing.js";
import { button, make, refill } from "./elements.js";
import { More } from "./more.js";
import { activationField, settingsFields } from "./settings.js";
import { format, t, whole } from "./text.js";

const MOST_INPUTS = 12; // that are drawn one by one
const svg = (tag) => document.createElementNS("http://www.w3.org/2000/svg", tag);

export class NetworkView {
  constructor(index, page) {
    [this.index, this.page, this.chosen, this.backward] = [index, page, null, false];
    this.title = make("h2", { id: `network_${index}` });
    this.lines = svg("svg");
    this.lines.setAttribute("aria-hidden", "true");
    this.columns = make("div", { className: "columns" });
    this.graph = make("div", { className: "graph" }, this.lines, this.columns);
    this.output = make("canvas", { className: "output", role: "img" });
    this.shown = make("h3", {});
    this.scores = make("table", { className: "scores" });
    this.curves = make("canvas", { className: "curves", role: "img" });
    this.unit = make("p", { className: "detail", role: "status" });
    this.fields = make("div", { className: "fields" });
    this.more = make("div", { className: "more" });
    this.extras = new More(page, index, this.more);
    this.root = make("section", { className: "network", "aria-labelledby": this.title.id },
      make("div", { className: "inside" }, this.title, (this.buttons = make("div", { className: "row" })), this.graph, this.unit),
      make("div", { className: "outside" }, this.shown, this.output, this.scores, this.curves),
      make("details", { className: "settings", open: true }, (this.summary = make("summary")), this.fields), this.more);
    this.sizes = new ResizeObserver(() => this.connect());
    this.sizes.observe(this.columns);
    this.output.onclick = (event) => page.point(this, event);
  }

  /** Of a network that is no longer there, nothing is drawn any more. */
  close() { this.sizes.disconnect(); }

  get about() { return this.page.world.networks[this.index]; }
  get settings() { return this.page.wanted.networks[this.index]; }

  /** Build everything that does not change from picture to picture. */
  build() {
    const { sizes, parameters } = this.about;
    const alone = this.page.world.networks.length === 1;
    this.title.textContent = alone ? t("network") : t("network_n", { n: "AB"[this.index] });
    this.summary.textContent = t("how_it_learns");
    const hidden = this.settings.layers;
    const most = this.page.world.choices.most;
    refill(this.buttons,
      button("−", () => this.change((own) => own.layers.pop()), { disabled: !hidden.length, "aria-label": t("layer_less") }),
      make("span", {}, t("n_hidden_layers", { n: hidden.length })),
      button("+", () => this.change((own) => own.layers.push([...(hidden.at(-1) ?? [4, "tanh"])])), { disabled: hidden.length >= most.layers, "aria-label": t("layer_more") }),
      button("backward_view", () => { this.backward = !this.backward; this.build(); }, { "aria-pressed": String(this.backward) }),
      make("span", { className: "faint" }, t("n_parameters", { n: whole(parameters) })));
    if (this.chosen && !(this.chosen[0] <= hidden.length && this.chosen[1] < sizes[this.chosen[0]])) this.chosen = null;
    this.units = [];
    this.signals = [];
    refill(this.columns, ...sizes.map((size, layer) => this.column(size, layer)));
    refill(this.fields, ...settingsFields(this.settings, this.page.world, (edit) => this.change(edit)));
    this.extras.build();
    this.connect();
    if (this.page.latest) this.draw(this.page.latest); // it may have come before the answer
  }

  change(edit) { this.page.change((settings) => edit(settings.networks[this.index])); }

  column(size, layer) {
    const last = this.about.sizes.length - 1;
    if (layer === 0 || layer === last) {
      const names = layer ? this.outputNames(size) : this.page.world.data.inputs;
      const few = size <= MOST_INPUTS ? names : [t("n_inputs", { n: size })];
      const chips = few.map((name) => make("span", { className: "chip" }, name));
      this.units[layer] = chips;
      return make("div", { className: "column" }, make("h3", {}, t(layer ? "output_layer" : "inputs")), ...chips, this.signal(layer));
    }
    const own = this.settings.layers[layer - 1];
    const units = Array.from({ length: size }, (_, unit) => this.unitButton(layer, unit));
    this.units[layer] = units;
    const most = this.page.world.choices.most.units;
    return make("div", { className: "column" }, make("h3", {}, t("layer_n", { n: layer })),
      make("div", { className: "row" },
        button("−", () => this.change((set) => { set.layers[layer - 1][0]--; }), { disabled: own?.[0] <= 1, "aria-label": t("unit_less", { n: layer }) }),
        make("span", {}, String(size)),
        button("+", () => this.change((set) => { set.layers[layer - 1][0]++; }), { disabled: own?.[0] >= most, "aria-label": t("unit_more", { n: layer }) })),
      activationField(own?.[1], this.page.world, (name) => this.change((set) => { set.layers[layer - 1][1] = name; }), layer),
      ...units, this.signal(layer));
  }

  outputNames(size) {
    const { classes, target } = this.page.world.data;
    return size > 1 ? classes : [target];
  }

  signal(layer) {
    const node = make("p", { className: "signal" });
    if (layer) this.signals[layer - 1] = node;
    return node;
  }

  unitButton(layer, unit) {
    const pressed = this.chosen?.[0] === layer && this.chosen[1] === unit;
    const node = make("button", { type: "button", className: "unit", "aria-pressed": String(pressed) }, make("canvas"), make("span", { className: "badge" }));
    node.onclick = () => {
      this.chosen = pressed ? null : [layer, unit];
      this.build();
    };
    return node;
  }

  /** Draw the edges from each unit to those above, where the elements stand. */
  connect() {
    const frame = this.columns.getBoundingClientRect();
    this.lines.setAttribute("viewBox", `0 0 ${this.columns.scrollWidth} ${frame.height}`);
    this.lines.style.width = `${this.columns.scrollWidth}px`;
    this.lines.style.height = `${frame.height}px`;
    this.edges = [];
    if (!this.units) return this.lines.replaceChildren();
    const places = this.units.map((nodes) => nodes.map((node) => {
      const box = node.getBoundingClientRect();
      return [box.left - frame.left, box.right - frame.left, box.top + box.height / 2 - frame.top];
    }));
    const drawn = document.createDocumentFragment();
    const { sizes } = this.about;
    for (let layer = 1; layer < sizes.length; layer++) {
      const whole = places[layer - 1].length === sizes[layer - 1] && places[layer].length === sizes[layer];
      this.edges[layer - 1] = [];
      if (!whole) continue;
      for (const [, x1, y1] of places[layer - 1]) {
        for (const [x2, , y2] of places[layer]) {
          const edge = svg("path");
          const bend = (x2 - x1) / 2;
          edge.setAttribute("d", `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`);
          this.edges[layer - 1].push(edge);
          drawn.append(edge);
        }
      }
    }
    this.lines.replaceChildren(drawn);
    if (this.picture) this.drawEdges(this.picture);
  }

  /** Show a picture. */
  draw(picture) {
    const { sizes } = this.about;
    const head = picture.networks[this.index];
    const arrays = (name) => picture.arrays[`${name}${this.index}`];
    const n = sizes.slice(1).reduce((sum, size, layer) => sum + size * (sizes[layer] + 1), 0);
    if (!head || arrays("params").values.length !== n) return; // of another shape, before a change
    this.picture = picture;
    this.drawEdges(picture);
    this.drawUnits(arrays("units"), arrays("flat").values);
    const data = this.page.world.data;
    const { surface, name } = this.surface(arrays("surface"), arrays("units"), sizes);
    this.shown.textContent = name;
    drawOutput(this.output, this.chosen ? { ...data, task: "unit", classes: data.classes } : data, surface, this.page.example);
    this.output.setAttribute("aria-label", t("output_label", { name, x: data.axes[0], y: data.axes[1] }));
    this.drawScores(head.scores, data.task);
    drawCurves(this.curves, picture.arrays.curve, this.index);
    this.curves.setAttribute("aria-label", t("curves_label"));
    head.signal.forEach((value, layer) => { if (this.signals[layer]) this.signals[layer].textContent = `‖∂J/∂W‖ ${format(value)}`; });
  }

  surface(whole, units, sizes) {
    if (!this.chosen) return { surface: whole, name: t("prediction") };
    const [layer, unit] = this.chosen;
    const place = sizes.slice(1, layer).reduce((a, b) => a + b, 0) + unit;
    const size = units.shape[1] * units.shape[2];
    const values = Float32Array.from(units.values.subarray(place * size, (place + 1) * size), (v) => v / 127);
    return { surface: { shape: units.shape.slice(1), values }, name: t("unit_of_layer", { layer, unit: unit + 1 }) };
  }

  drawEdges(picture) {
    const { sizes } = this.about;
    const values = picture.arrays[`${this.backward ? "gradients" : "params"}${this.index}`].values;
    const [plus, minus] = [line(POSITIVE), line(NEGATIVE)];
    let start = 0;
    for (let layer = 1; layer < sizes.length; layer++) {
      const size = sizes[layer - 1] * sizes[layer];
      const own = values.subarray(start, start + size);
      const most = Math.max(1e-12, this.backward ? 0 : 1, ...own.map(Math.abs));
      this.edges[layer - 1].forEach((edge, k) => {
        const share = Math.abs(own[k]) / most;
        edge.setAttribute("stroke", own[k] < 0 ? minus : plus);
        edge.setAttribute("stroke-width", (0.4 + 5 * share).toFixed(2));
        edge.setAttribute("stroke-opacity", (0.25 + 0.75 * share).toFixed(2));
        edge.setAttribute("stroke-dasharray", own[k] < 0 ? "6 3" : "none");
      });
      start += size + sizes[layer];
    }
    this.lines.style.color = faint();
    this.describeUnit(picture);
  }

  drawUnits(units, flat) {
    const size = units.shape[1] * units.shape[2];
    let place = 0;
    for (let layer = 1; layer < this.about.sizes.length - 1; layer++) {
      const saturates = this.about.saturates[layer - 1];
      this.units[layer].forEach((node, unit) => {
        drawUnit(node.firstChild, units.values.subarray(place * size, (place + 1) * size), units.shape.slice(1));
        const mark = saturates ? flat[place] > 0.9 && "saturated" : flat[place] > 0.9999 && "dead";
        node.lastChild.textContent = mark ? t(`${mark}_mark`) : "";
        node.className = `unit ${mark || ""}`;
        node.setAttribute("aria-label", `${t("unit_of_layer", { layer, unit: unit + 1 })}${mark ? `, ${t(mark)}` : ""}`);
        node.title = mark ? t(mark) : "";
        place++;
      });
    }
  }

  /** Say a chosen unit's weights in words. */
  describeUnit(picture) {
    if (!this.chosen) {
      this.unit.textContent = t(this.backward ? "edges_are_gradients" : "edges_are_weights");
      return;
    }
    const [layer, unit] = this.chosen;
    const { sizes } = this.about;
    const values = picture.arrays[`${this.backward ? "gradients" : "params"}${this.index}`].values;
    const start = sizes.slice(1, layer).reduce((sum, size, k) => sum + size * (sizes[k] + 1), 0);
    const below = Array.from({ length: Math.min(sizes[layer - 1], MOST_INPUTS) }, (_, k) => format(values[start + k * sizes[layer] + unit]));
    const bias = format(values[start + sizes[layer - 1] * sizes[layer] + unit]);
    const more = sizes[layer - 1] > MOST_INPUTS ? ", …" : "";
    const words = t(this.backward ? "unit_gradients" : "unit_weights", { layer, unit: unit + 1, weights: below.join(", ") + more, bias });
    if (!picture.playing || this.unit.textContent === "") this.unit.textContent = words;
  }

  drawScores([trainLoss, trainScore, testLoss, testScore], task) {
    const second = task === "regression" ? "rmse" : "accuracy";
    const written = (value) => (task === "regression" || value === null ? format(value) : `${format(100 * value)} %`);
    const cell = (words) => make("td", {}, words);
    const head = (words, scope) => make("th", { scope, textContent: words });
    this.scores.replaceChildren(
      make("tr", {}, make("td"), head(t("loss"), "col"), head(t(second), "col")),
      make("tr", { className: "train" }, head(t("train_part"), "row"), cell(format(trainLoss)), cell(written(trainScore))),
      make("tr", { className: "test" }, head(t("test_part"), "row"), cell(format(testLoss)), cell(written(testScore))));
  }
}

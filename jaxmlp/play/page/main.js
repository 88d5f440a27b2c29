// The page: what it knows, what it wants, and the pictures that come.

import { onScheme } from "./colours.js";
import { make, refill } from "./elements.js";
import { decodeSettings, encodeSettings } from "./link.js";
import { NetworkView } from "./network.js";
import { nextPicture, say } from "./server.js";
import { dataFields } from "./settings.js";
import { addPoint, buildOwnData, takeDrops } from "./table.js";
import { chooseLanguage, currentLanguage, format, loadText, t, translate, whole } from "./text.js";
import { Walk } from "./walk.js";

const find = (id) => document.getElementById(id);
const RATES = [1, 5, 25, 100, 2000, 0]; // steps a second; 0 is as many as there can be
const copy = (value) => JSON.parse(JSON.stringify(value));

class Page {
  constructor() {
    [this.views, this.example, this.sending, this.version, this.rate, this.dragging] = [[], null, false, 0, 100, false];
    this.walk = new Walk(this, find("walk_body"));
  }

  async begin() {
    await loadText();
    const linked = decodeSettings(location.hash.slice(1)); // before it is written anew
    this.adopt(await say("hello"));
    if (linked) await this.change((settings) => Object.assign(settings, linked));
    takeDrops(this);
    find("compare").onclick = () => this.change((settings) => {
      if (settings.networks.length > 1) settings.networks.pop();
      else settings.networks.push(copy(settings.networks[0]));
    });
    find("link").onclick = () => this.copyLink();
    find("rewind").oninput = () => { this.dragging = true; find("rewind_to").value = find("rewind").value; };
    for (const id of ["rewind", "rewind_to"]) find(id).onchange = () => this.rewind(Number(find(id).value));
    find("play").onclick = () => this.tell("play", { on: !this.world.playing, rate: this.rate });
    find("step").onclick = () => this.tell("step", { n: 1 });
    find("restart").onclick = () => this.tell("restart");
    find("rate").onchange = () => {
      this.rate = Number(find("rate").value);
      if (this.world.playing) this.tell("play", { on: true, rate: this.rate });
    };
    find("language").onchange = () => { chooseLanguage(find("language").value); this.build(); if (this.latest) this.show(this.latest); };
    onScheme(() => this.build());
    this.watch();
  }

  /** Take what the engine answers as what there is. */
  adopt(world) {
    const same = (part) => JSON.stringify(this.world?.[part]) === JSON.stringify(world[part]);
    if (this.world && world.data && !same("data")) { this.walk.forget(); this.example = null; }
    this.world = { ...this.world, ...world };
    if (!this.sending) this.wanted = copy(this.world.settings); // else there are changes that it lacks
    while (this.views.length < this.world.networks.length) this.views.push(new NetworkView(this.views.length, this));
    for (const gone of this.views.splice(this.world.networks.length)) gone.close();
    find("networks").replaceChildren(...this.views.map((view) => view.root));
    history.replaceState(null, "", `#${encodeSettings(this.world.settings)}`);
    this.build();
  }

  build() {
    translate();
    find("language").value = currentLanguage();
    refill(find("rate"), ...RATES.map((rate) => make("option", { value: rate, selected: rate === this.rate, textContent: rate ? t("steps_a_second", { n: whole(rate) }) : t("full_speed") })));
    refill(find("data_fields"), ...dataFields(this.wanted.data, this.world, (edit) => this.change(edit)));
    buildOwnData(this, find("data_more"));
    this.views.forEach((view) => view.build());
    this.walk.build();
    this.walk.follow();
    find("compare").setAttribute("aria-pressed", String(this.wanted.networks.length > 1));
    this.showRun();
  }

  redraw() { this.views.forEach((view) => view.picture && view.draw(view.picture)); }

  async copyLink() {
    try {
      await navigator.clipboard.writeText(location.href);
      this.note(t("link_copied"));
    } catch {
      this.note(t("link_is_the_address"));
    }
  }

  /** Go back to a step; far back, the engine runs for a while from where it knows the way. */
  async rewind(step) {
    this.dragging = false;
    await this.tell("rewind", { to: Math.max(0, Math.round(step)) }, t("working"));
    this.showStep(this.world.networks[0].step);
  }

  showStep(step) {
    for (const id of ["rewind", "rewind_to"]) {
      if (this.dragging || (id === "rewind_to" && document.activeElement === find(id) && this.world.playing)) continue;
      find(id).max = String(step);
      find(id).value = String(step);
    }
  }

  showRun() {
    find("play").textContent = t(this.world.playing ? "pause" : "play");
  }

  /** Change the settings; what is changed while an answer is on its way goes after it. */
  async change(edit) {
    edit(this.wanted);
    if (this.sending) { this.again = true; return; }
    this.sending = true;
    try {
      do {
        this.again = false;
        this.note("");
        const world = await say("set", { settings: this.wanted });
        if (this.again) continue;
        this.sending = false;
        this.adopt(world);
      } while (this.again);
    } catch (error) {
      [this.wanted, this.again] = [copy(this.world.settings), false];
      this.build();
      this.note(error.message, true);
    } finally {
      this.sending = false;
    }
  }

  async tell(kind, fields, meanwhile = "") {
    try {
      this.note(meanwhile);
      this.adopt(await say(kind, fields));
      if (meanwhile) this.note("");
    } catch (error) {
      this.note(error.message, true);
    }
  }

  note(words, bad = false) {
    find("said").textContent = words;
    find("said").classList.toggle("bad", bad);
  }

  /** Show picture after picture, each as soon as the one before is drawn. */
  async watch() {
    let coming = nextPicture(this.version);
    for (;;) {
      try {
        const picture = await coming;
        coming = nextPicture(picture?.version ?? this.version); // is made while this one is drawn
        coming.catch(() => {});
        if (picture) this.show(picture);
        await new Promise((next) => (document.hidden ? setTimeout(next, 500) : requestAnimationFrame(next)));
      } catch (error) {
        this.note(t("no_answer", { error: error.message }), true);
        await new Promise((next) => setTimeout(next, 1000));
        coming = nextPicture(this.version);
      }
    }
  }

  show(picture) {
    this.version = picture.version;
    if (picture.status !== "ready") {
      const failed = picture.status.startsWith("failed");
      this.note(failed ? picture.status : t(picture.status), failed);
      return;
    }
    if (find("said").textContent === t("compiling")) this.note("");
    if (this.world.playing !== picture.playing) {
      this.world.playing = picture.playing;
      this.showRun();
    }
    const [{ step, epoch, diverged }] = picture.networks;
    const speed = picture.playing ? t("speed_now", { n: whole(picture.speed) }) : "";
    find("count").textContent = `${t("step_and_epoch", { step: whole(step), epoch: whole(epoch) })} ${speed}`;
    if (picture.networks.some((one) => one.diverged)) this.note(t("diverged", { step: whole(step) }), true);
    this.latest = picture;
    this.showStep(step);
    this.views.forEach((view) => view.draw(picture));
  }

  /** The plane was pointed at: draw a point there, or choose the nearest example. */
  point(view, event) {
    const box = view.output.getBoundingClientRect();
    const [left, right, bottom, top] = this.world.data.extent;
    const x = left + ((event.clientX - box.left) / box.width) * (right - left);
    const y = top - ((event.clientY - box.top) / box.height) * (top - bottom);
    if (this.wanted.data.name === "drawn" && !event.altKey) return addPoint(this, [x, y]);
    const away = this.world.data.train.map((row) => ((row[0] - x) / (right - left)) ** 2 + ((row[1] - y) / (top - bottom)) ** 2);
    this.walk.network = view.index;
    return this.walk.begin(away.indexOf(Math.min(...away)));
  }
}

new Page().begin().catch((error) => {
  find("said").textContent = error.message;
  find("said").classList.add("bad");
});

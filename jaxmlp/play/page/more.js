// The doctor, the Python for what is shown, and the folder of a run.

import { button, make, refill } from "./elements.js";
import { say } from "./server.js";
import { currentLanguage, t } from "./text.js";

export class More {
  constructor(page, index, body) {
    [this.page, this.index, this.body, this.shown] = [page, index, body, null];
  }

  build() {
    const ask = (kind, show) => async () => {
      try {
        this.page.note(t("working"));
        const answer = await say(kind, { network: this.index });
        this.page.note("");
        this.shown = () => show(answer);
      } catch (error) {
        this.shown = null;
        this.page.note(error.message, true);
      }
      this.build();
    };
    refill(this.body, make("div", { className: "row" },
      button("ask_doctor", ask("diagnose", (answer) => this.findings(answer.findings))),
      button("show_python", ask("script", (answer) => this.python(answer.script))),
      button("save_run", ask("save", (answer) => [make("p", {}, t("saved", { folder: answer.folder })), make("pre", { tabIndex: 0 }, answer.command)]))),
    make("div", { role: "status", className: "answer" }, ...(this.shown ? this.shown() : [])));
  }

  python(script) {
    return [button("copy", () => navigator.clipboard.writeText(script).then(() => this.page.note(t("copied")))), make("pre", { tabIndex: 0, className: "script" }, script)];
  }

  findings(found) {
    if (!found.length) return [make("p", {}, t("healthy"))];
    return [make("ul", { className: "findings" }, ...found.map((one) => make("li", { className: one.severity },
      make("strong", {}, `${t(`severity_${one.severity}`)}: ${t(`finding_${one.kind}`)}`),
      make("p", {}, one.evidence[currentLanguage()]), make("p", {}, one.remedy[currentLanguage()]),
      ...(one.cure ? [button(one.cure.key, () => this.heal(one.cure), { className: "cure" })] : []))))];
  }

  heal({ network, data }) {
    this.shown = null;
    this.page.change((settings) => {
      Object.assign(settings.networks[this.index], network);
      Object.assign(settings.data, data);
    });
  }
}

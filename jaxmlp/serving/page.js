import { askFiles } from "./media.js";

const at = (id) => document.getElementById(id);
const MOST = 200; // rows that are shown
let schema = { input: "rows", columns: null, features: 0, classes: null };

function say(text, bad) {
  at("said").textContent = text;
  at("said").className = bad ? "bad" : "";
}

function cell(text, name, head) {
  const found = document.createElement(head ? "th" : "td");
  found.textContent = text;
  if (head) found.scope = "col";
  if (name) found.className = name;
  return found;
}

function line(cells) {
  const row = document.createElement("tr");
  row.append(...cells);
  return row;
}

function shown(number) {
  if (Array.isArray(number)) return number.map(shown).join(", ");
  return Number(number).toPrecision(6).replace(/\.?0+$/, "");
}

function show(answer) {
  const rows = answer.predictions;
  const classes = rows[0].probabilities ? Object.keys(rows[0].probabilities).slice(0, 12) : [];
  const said = classes.length ? "label" : "value";
  at("answers").tHead.replaceChildren(
    line([cell("row", "", true), cell(said, "", true), ...classes.map((c) => cell(c, "", true))]));
  at("answers").tBodies[0].replaceChildren(...rows.slice(0, MOST).map((row, k) => line([
    cell(k, ""),
    cell(classes.length ? row.label ?? "" : shown(row.value), "label"),
    ...classes.map((c) => cell((100 * row.probabilities[c]).toFixed(1) + "%", "")),
  ])));
  at("answers").hidden = false;
  at("notes").replaceChildren(...answer.notes.map((note) => {
    const item = document.createElement("li");
    item.textContent = note;
    return item;
  }));
  const rest = rows.length > MOST ? `, the first ${MOST} are shown` : "";
  say(`${rows.length} row${rows.length > 1 ? "s" : ""}${rest}`, false);
}

async function request(options) {
  try {
    const response = await fetch("predict", { method: "POST", ...options });
    return await response.json();
  } catch (error) {
    return { error: "the service does not answer: " + error.message };
  }
}

async function ask(options) {
  say("asking …", false);
  const answer = await request(options);
  if (answer.error) {
    at("answers").hidden = true;
    at("notes").replaceChildren();
    say(answer.error, true);
  } else show(answer);
}

function take(files) {
  if (!files.length) return;
  if (schema.input !== "rows") {
    askFiles([...files], schema.input, request, say);
    return;
  }
  const form = new FormData();
  form.append("file", files[0]);
  ask({ body: form });
}

at("file").addEventListener("change", (event) => {
  take([...event.target.files]);
  event.target.value = "";
});
at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  ask({ body: at("rows").value, headers: { "Content-Type": "application/json" } });
});
for (const name of ["dragover", "dragleave", "drop"]) {
  at("drop").addEventListener(name, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", name === "dragover");
    if (name === "drop") take(event.dataTransfer.files);
  });
}

function few(names) {
  return names.slice(0, 12).join(", ") + (names.length > 12 ? ", …" : "");
}

function beginRows() {
  const names = schema.columns;
  at("takes").textContent = (names ? `It takes the columns ${few(names)}` : `It takes ${schema.features} numbers a row`)
    + (schema.classes ? ` and tells ${few(schema.classes)} apart.` : " and predicts a number.");
  const row = names && names.length <= 30
    ? Object.fromEntries(names.map((name) => [name, null])) : Array(schema.features).fill(0);
  at("rows").value = JSON.stringify({ rows: [row] });
}

function beginMedia() {
  at("typed").hidden = true;
  at("file").multiple = true;
  at("file").accept = schema.input === "image" ? "image/*" : "audio/*";
  const strong = document.createElement("strong");
  strong.textContent = `Drop ${schema.input}s here`;
  at("what").replaceChildren(strong, ", or choose some");
  at("takes").textContent = `It takes ${schema.input}s`
    + (schema.classes ? ` and tells ${few(schema.classes)} apart.` : " and predicts a number.");
}

async function begin() {
  schema = await (await fetch("schema")).json();
  at("name").textContent = (await (await fetch("health")).json()).model;
  (schema.input === "rows" ? beginRows : beginMedia)();
}
begin();

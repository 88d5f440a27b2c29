// The page's words, in two languages.

const catalogues = {};
const NUMBERS = "en"; // in both languages as the course, the findings and Python write them
let language = "en";

/** Load both catalogues, and begin with the language that was chosen or that the browser prefers. */
export async function loadText() {
  for (const name of ["en", "vi"]) catalogues[name] = await (await fetch(`page/${name}.json`)).json();
  const chosen = remembered() ?? navigator.language.slice(0, 2);
  language = chosen in catalogues ? chosen : "en";
}

function remembered() {
  try { return localStorage.getItem("language"); } catch { return null; }
}

export const currentLanguage = () => language;

export function chooseLanguage(name) {
  language = name;
  try { localStorage.setItem("language", name); } catch { /* a browser that keeps nothing */ }
}

/** The words of a key, with {names} filled in; without any, the key itself, such as a rule's name. */
export function t(key, values = {}) {
  const words = catalogues[language][key] ?? key;
  return words.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** Put the words into everything that names its key. */
export function translate(root = document) {
  document.documentElement.lang = language;
  for (const node of root.querySelectorAll("[data-text]")) node.textContent = t(node.dataset.text);
  for (const node of root.querySelectorAll("[data-label]")) node.setAttribute("aria-label", t(node.dataset.label));
}

/** Write a number with three digits. */
export function format(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(1).replace("e+", "e");
  return new Intl.NumberFormat(NUMBERS, { maximumSignificantDigits: 3 }).format(value);
}

/** Write a whole number. */
export const whole = (value) => new Intl.NumberFormat(NUMBERS).format(value);

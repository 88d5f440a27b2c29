// Images and sounds: a card each, with a preview and the likeliest labels.
const MOST = 50; // cards that are kept

function element(name, className, text) {
  const found = document.createElement(name);
  if (className) found.className = className;
  if (text !== undefined) found.textContent = text;
  return found;
}

function preview(file, input) {
  const found = document.createElement(input === "image" ? "img" : "audio");
  found.src = URL.createObjectURL(file);
  if (input === "image") {
    found.alt = "";
    found.addEventListener("error", () => found.replaceWith(element("p", "blank", "no preview")));
  } else {
    found.controls = true;
    found.setAttribute("aria-label", file.name);
  }
  return found;
}

function bar({ label, probability }) {
  const percent = (100 * probability).toFixed(1) + "%";
  const row = element("li");
  const track = element("span", "track");
  const fill = element("span", "fill");
  fill.style.width = percent;
  track.append(fill);
  row.append(element("span", "of", label), track, element("span", "share", percent));
  return row;
}

function answered(said) {
  if (said.error) return element("p", "bad", said.error);
  if (!said.top) return element("p", "", [said.value].flat().map((v) => Number(v).toPrecision(6)).join(", "));
  const bars = element("ol", "bars");
  bars.append(...said.top.map(bar));
  return bars;
}

/** Ask about files one after another, so that each answer is seen when it comes. */
export async function askFiles(files, input, request, say) {
  const cards = document.getElementById("cards");
  const asked = files.map((file) => {
    const card = element("li", "card");
    const words = element("div", "words");
    words.append(element("h2", "", file.name), element("p", "faint", "waiting …"));
    card.append(preview(file, input), words);
    return { file, card, words };
  });
  cards.prepend(...asked.map(({ card }) => card));
  while (cards.children.length > Math.max(MOST, files.length)) {
    URL.revokeObjectURL(cards.lastElementChild.querySelector("[src]")?.src ?? "");
    cards.lastElementChild.remove();
  }
  for (const [k, { file, words }] of asked.entries()) {
    say(`${input} ${k + 1} of ${files.length}: asking …`, false);
    const form = new FormData();
    form.append("file", file);
    const answer = await request({ body: form });
    words.lastElementChild.replaceWith(answered(answer.predictions?.[0] ?? answer));
  }
  const likeliest = asked[0].words.querySelector(".of")?.textContent;
  say(files.length > 1 || !likeliest ? `${files.length} ${input}${files.length > 1 ? "s" : ""} asked` : `${files[0].name}: ${likeliest}`, false);
}

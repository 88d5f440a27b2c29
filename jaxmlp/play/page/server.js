// What is said to the engine, and what it shows. Nothing else is ever asked.

import { currentLanguage } from "./text.js";

const token = new URLSearchParams(location.search).get("token") ?? "";
const headers = () => ({ "X-Play-Token": token, "Accept-Language": currentLanguage() });

/** Say something; returns the answer, or throws an Error with the sentence of a refusal. */
export async function say(kind, fields = {}) {
  const body = JSON.stringify({ kind, ...fields });
  return read(await fetch("message", { method: "POST", headers: headers(), body }));
}

/** Send a table's file. */
export async function sendTable(name, content) {
  const answer = await fetch(`table?name=${encodeURIComponent(name)}`, { method: "POST", headers: headers(), body: content });
  return read(answer);
}

async function read(answer) {
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error);
  return content;
}

/** Wait for a picture newer than a version; null where there is none for a while. */
export async function nextPicture(after) {
  const answer = await fetch(`picture?after=${after}`, { headers: headers() });
  if (answer.status === 204) return null;
  if (!answer.ok) throw new Error((await answer.json()).error);
  return unpack(await answer.arrayBuffer());
}

const kinds = { float32: Float32Array, int8: Int8Array, uint8: Uint8Array };

/** Read a picture: the length of its head, the head, the arrays that the head lists. */
function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const arrays = {};
  for (const [name, [kind, shape, offset]] of Object.entries(head.arrays)) {
    const size = shape.reduce((a, b) => a * b, 1);
    arrays[name] = { shape, values: new kinds[kind](buffer, 4 + length + offset, size) };
  }
  return { ...head, arrays };
}

// Positions in texts. Labels count code points, JavaScript counts UTF-16 units; a cut never parts what is read as one character.

// What would hide or reorder text is drawn as one visible sign of the same length, so that positions stay.
const HIDDEN =
  /\r(?=\n)|[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

export function visible(text) {
  return text.replace(HIDDEN, (found, at) => {
    if (found === "\r" && text[at + 1] === "\n") return "\u200b";
    const code = found.codePointAt(0);
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    return (code === 0x7f ? "\u2421" : "\u2426").repeat(found.length);
  });
}

export const toPoint = (text, unit) => [...text.slice(0, unit)].length;
export const toUnit = (text, point) => [...text].slice(0, point).join("").length;

const STICKS = /^(\p{M}|\u200d|[\u{1f3fb}-\u{1f3ff}])/u;

function boundaries(text, granularity) {
  const found = [];
  for (const part of new Intl.Segmenter("en", { granularity }).segment(text)) found.push(part.index);
  return [...found, text.length];
}

// Where a text may be cut (UTF-16 units, both ends included): between characters as people read them, by the rule of the server.
export function cuts(text) {
  return boundaries(text, "grapheme").filter(
    (at) => at === 0 || at === text.length || !(STICKS.test(text.slice(at, at + 2)) || text[at - 1] === "\u200d"),
  );
}

export function stops(text, granularity) {
  const allowed = new Set(cuts(text));
  return boundaries(text, granularity).filter((at) => allowed.has(at));
}

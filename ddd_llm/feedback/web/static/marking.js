// A text in which parts can be selected by mouse or keyboard and are drawn as marked. It keeps its own caret and selection, because
// a browser gives text that cannot be edited none that the keyboard moves.
import { cuts, stops, visible } from "./text.js";

const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 };

export class MarkedText {
  // changed(): called when the selection changes. marks: [{start, end, layer}] in UTF-16 units.
  constructor(element, text, changed) {
    this.element = element;
    this.text = text;
    this.changed = changed;
    this.marks = [];
    this.caret = this.anchor = 0;
    this.stops = { character: cuts(text), word: stops(text, "word"), sentence: stops(text, "sentence") };
    element.tabIndex = 0;
    element.setAttribute("role", "textbox");
    element.setAttribute("aria-multiline", "true");
    element.setAttribute("aria-readonly", "true");
    element.addEventListener("keydown", (event) => this.#key(event));
    element.addEventListener("mousedown", () =>
      document.addEventListener("mouseup", () => this.#takeFromMouse(), { once: true }),
    );
    this.draw();
  }

  get start() { return Math.min(this.caret, this.anchor); }
  get end() { return Math.max(this.caret, this.anchor); }

  // The selection without white space around it, as [start, end]; null where nothing is left.
  get selected() {
    const chosen = this.text.slice(this.start, this.end);
    if (!chosen.trim()) return null;
    return this.#snap(this.start + chosen.length - chosen.trimStart().length, this.start + chosen.trimEnd().length);
  }

  select(anchor, caret) {
    [this.anchor, this.caret] = [anchor, caret];
    this.draw();
    this.element.querySelector(".caret").scrollIntoView({ block: "nearest" });
    this.changed();
  }

  #key(event) {
    const move = this.#target(event);
    if (move === null || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "a") this.select(0, this.text.length);
    else this.select(event.shiftKey ? this.anchor : move, move);
  }

  #target(event) {
    const control = event.ctrlKey || event.metaKey;
    if (event.key === "a") return control ? this.text.length : null;
    if (event.key === "Home") return 0;
    if (event.key === "End") return this.text.length;
    if (event.key === "Escape") return this.caret;
    const step = STEPS[event.key];
    if (!step) return null;
    const sideways = event.key === "ArrowLeft" || event.key === "ArrowRight";
    if (sideways && !event.shiftKey && !control && this.start < this.end) return step < 0 ? this.start : this.end;
    const stops = this.stops[sideways ? (control ? "word" : "character") : "sentence"];
    // Words are left at their outer side: no stop on both sides of a space.
    const stopsHere = (at) => !(sideways && control) || /\S/.test(this.text[step < 0 ? at : at - 1] ?? "");
    const end = step < 0 ? 0 : this.text.length;
    const beyond = (at) => (step < 0 ? at < this.caret : at > this.caret) && stopsHere(at);
    return (step < 0 ? stops.findLast(beyond) : stops.find(beyond)) ?? end;
  }

  #takeFromMouse() {
    const selection = getSelection();
    if (!selection.rangeCount || !this.element.contains(selection.anchorNode)) return;
    const range = selection.getRangeAt(0);
    const from = this.#offset(range.startContainer, range.startOffset) ?? 0;
    const to = this.#offset(range.endContainer, range.endOffset) ?? this.text.length;
    selection.removeAllRanges();
    const [start, end] = this.#snap(from, to);
    this.select(start, from === to ? start : end);
  }

  // Where a place of the document lies in the text; null outside it.
  #offset(node, offset) {
    if (!this.element.contains(node)) return null;
    const before = document.createRange();
    before.selectNodeContents(this.element);
    before.setEnd(node, offset);
    return before.toString().length;
  }

  // Widened to whole characters.
  #snap(start, end) {
    const allowed = this.stops.character;
    return [allowed.findLast((at) => at <= start), allowed.find((at) => at >= end)];
  }

  draw() {
    const shown = visible(this.text);
    const edges = new Set([0, this.text.length, this.start, this.end, ...this.marks.flatMap((m) => [m.start, m.end])]);
    const sorted = [...edges].sort((one, two) => one - two);
    const parts = [];
    const caret = () => parts.push(Object.assign(document.createElement("span"), { className: "caret" }));
    sorted.forEach((from, index) => {
      if (from === this.caret) caret();
      const to = sorted[index + 1];
      if (to === undefined) return;
      let node = document.createTextNode(shown.slice(from, to));
      const around = this.marks.filter((m) => m.start <= from && to <= m.end).map((m) => m.layer);
      if (this.start <= from && to <= this.end) around.push("selection");
      for (const layer of around) {
        const mark = Object.assign(document.createElement("mark"), { className: layer });
        mark.append(node);
        node = mark;
      }
      parts.push(node);
    });
    this.element.replaceChildren(...parts);
  }
}

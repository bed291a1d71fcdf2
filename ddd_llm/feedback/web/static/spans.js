// Errors marked where they stand, what is missing, and the corrected answer.
import { MarkedText } from "./marking.js";
import { toPoint, toUnit, visible } from "./text.js";

const $ = (id) => document.getElementById(id);
const words = (name) => name.replace(/[-_]/g, " ");
const excerpt = (text) => visible(text.length > 60 ? `${text.slice(0, 29)} … ${text.slice(-29)}` : text);
const copyOf = (template) => $(template).content.firstElementChild.cloneNode(true);

export function setup({ answer, schema, item }, say) {
  const text = item.responses[0];
  const response = new MarkedText(document.querySelector("[data-response='0']"), text, showSelected);
  response.element.setAttribute("aria-labelledby", "h-response");
  const passage = item.passage === null ? null : new MarkedText($("passage"), item.passage, showSelected);
  passage?.element.setAttribute("aria-labelledby", "h-passage");
  const layer = (type) => `type-${schema.error_types.indexOf(type) % 9}`;
  const units = (of, pair) => pair.map((point) => toUnit(of, point));
  const points = (of, pair) => pair.map((unit) => toPoint(of, unit));
  const corrected = $("corrected");
  let untouched = "";
  let spans = [];
  let missing = [];
  let sure = false;

  function showSelected() {
    const [where, from, chosen] = response.selected
      ? ["answer", text, response.selected]
      : ["passage", item.passage, passage?.selected];
    $("selected").textContent = chosen ? `Selected in the ${where}: ${excerpt(from.slice(...chosen))}` : "";
  }

  function mark(type) {
    if (!response.selected) return say("Select the words in the answer first: E, then Shift and the arrows.");
    const [start, end] = response.selected;
    if (spans.some((span) => span.type === type && span.start < end && start < span.end))
      return say(`This overlaps a part that is marked as ${words(type)} already.`);
    say("");
    addSpan({ start, end, type, note: "" });
    response.select(end, end);
  }

  function addSpan(span) {
    span.row = copyOf("span-row");
    span.row.querySelector(".kind").textContent = words(span.type);
    span.row.querySelector(".kind").classList.add(layer(span.type));
    span.row.querySelector("q").textContent = excerpt(text.slice(span.start, span.end));
    span.row.querySelector(".note").value = span.note;
    span.row.querySelector(".remove").addEventListener("click", () => {
      spans = spans.filter((other) => other !== span);
      drawSpans();
      response.element.focus();
    });
    spans = [...spans, span].sort((one, two) => one.start - two.start || one.end - two.end);
    drawSpans();
  }

  function drawSpans() {
    $("spans").replaceChildren(...spans.map((span) => span.row));
    response.marks = spans.map((span) => ({ ...span, layer: layer(span.type) }));
    response.draw();
  }

  function addMissing(entry) {
    entry.row = copyOf("missing-row");
    const quote = entry.row.querySelector("q");
    if (entry.where) quote.textContent = excerpt(item.passage.slice(...entry.where));
    quote.hidden = !entry.where;
    entry.row.querySelector(".type").value = entry.type;
    entry.row.querySelector(".note").value = entry.text;
    entry.row.querySelector(".remove").addEventListener("click", () => {
      missing = missing.filter((other) => other !== entry);
      drawMissing();
      $("add-missing").focus();
    });
    missing.push(entry);
    drawMissing();
  }

  function drawMissing() {
    $("missing").replaceChildren(...missing.map((entry) => entry.row));
    if (!passage) return;
    passage.marks = missing.filter((entry) => entry.where).map(({ where: [start, end] }) => ({ start, end, layer: "cited" }));
    passage.draw();
  }

  function newMissing() {
    const cited = passage?.selected ?? null;
    addMissing({ type: schema.missing_types[0], text: "", where: cited });
    if (cited) passage.select(passage.end, passage.end);
    missing.at(-1).row.querySelector(".type").focus();
  }

  function correct(value) {
    corrected.hidden = false;
    $("correct").hidden = true;
    corrected.value = text;
    untouched = corrected.value; // a text box has its own line breaks
    if (value !== null) corrected.value = value;
  }

  function read() {
    const written = !corrected.hidden && corrected.value !== untouched && corrected.value.trim() ? corrected.value : null;
    return {
      spans: spans.map(({ start, end, type, row }) => {
        const [first, last] = points(text, [start, end]);
        return { start: first, end: last, type, note: row.querySelector(".note").value };
      }),
      missing: missing.map(({ where, row }) => ({
        type: row.querySelector(".type").value,
        text: row.querySelector(".note").value,
        where: where && points(item.passage, where),
      })),
      corrected: written,
    };
  }

  for (const span of answer?.value.spans ?? []) {
    const [start, end] = units(text, [span.start, span.end]);
    addSpan({ ...span, start, end });
  }
  for (const entry of answer?.value.missing ?? [])
    addMissing({ ...entry, where: entry.where && units(item.passage, entry.where) });
  if (answer?.value.corrected != null) correct(answer.value.corrected);
  for (const button of document.querySelectorAll("[data-type]")) {
    button.addEventListener("mousedown", (event) => event.preventDefault()); // the text keeps the focus
    button.addEventListener("click", () => mark(button.dataset.type));
  }
  $("add-missing")?.addEventListener("click", newMissing);
  $("correct").addEventListener("click", () => { correct(null); corrected.focus(); });

  return {
    read,
    problem(value) {
      if (sure || answer || value.spans.length || value.missing.length || value.corrected !== null) return null;
      sure = true;
      return "Nothing is marked. If there is no error, press Enter again.";
    },
    key(event) {
      const key = event.key.toLowerCase();
      const type = /^[1-9]$/.test(key) ? schema.error_types[Number(key) - 1] : undefined;
      if (type) mark(type);
      else if (key === "e") response.element.focus();
      else if (key === "p" && passage) passage.element.focus();
      else if (key === "m" && $("add-missing")) newMissing();
      else if (key === "c") { if (corrected.hidden) correct(null); corrected.focus(); }
      else return false;
      return true;
    },
  };
}

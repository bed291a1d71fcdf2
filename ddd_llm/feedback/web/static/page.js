// One item's page: its texts, the keys, the time it was seen, and saving before going on. The kinds of answers have their own files.
import { visible } from "./text.js";

const $ = (id) => document.getElementById(id);
const content = JSON.parse($("content").textContent);
const say = (text) => { $("message").textContent = text; };

// Time counts while the page can be seen.
let seen = 0;
let since = document.hidden ? null : performance.now();
document.addEventListener("visibilitychange", () => {
  if (since !== null) seen += performance.now() - since;
  since = document.hidden ? null : performance.now();
});
const seconds = () => (seen + (since === null ? 0 : performance.now() - since)) / 1000;

$("prompt").textContent = visible(content.item.prompt);
if (content.item.passage !== null) $("passage").textContent = visible(content.item.passage);
for (const element of document.querySelectorAll("[data-response]"))
  element.textContent = visible(content.item.responses[element.dataset.response]);

const { setup } = await import(`./${content.schema.kind}.js`);
const form = setup(content, say);
const ticks = [...document.querySelectorAll("input[name=section]")];
for (const tick of ticks) tick.checked = content.answer?.sections.includes(tick.value) ?? false;
$("rationale").value = content.answer?.rationale ?? "";
$("why").open = Boolean($("rationale").value);

const read = () => ({
  value: form.read(),
  sections: ticks.filter((tick) => tick.checked).map((tick) => tick.value),
  rationale: $("rationale").value.trim() ? $("rationale").value : null,
});
let kept = JSON.stringify(read());
const unsaved = () => JSON.stringify(read()) !== kept;
addEventListener("beforeunload", (event) => { if (unsaved()) event.preventDefault(); });

let saving = false;
async function save() {
  const answer = read();
  const problem = form.problem(answer.value);
  if (problem || saving) return say(problem ?? "");
  saving = true;
  say("");
  try {
    const response = await fetch(location.pathname, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": document.querySelector("[name=csrf-token]").content },
      body: JSON.stringify({ annotator: content.annotator, ...answer, seconds: seconds() }),
      signal: AbortSignal.timeout(20_000),
    });
    const said = await response.json();
    if (!response.ok) return say(`Not saved: ${said.message}.`);
    kept = JSON.stringify(read());
    location.assign(said.next);
  } catch {
    say("Not saved: the server does not answer. What you wrote is still here: start the server again and press Enter.");
  } finally {
    saving = false;
  }
}

function go(address) {
  if (!address) return;
  if (unsaved()) say("This is not saved: Enter saves it, Escape drops it.");
  else location.assign(address);
}

function drop() {
  if (!unsaved() || !confirm("Drop what is not saved?")) return say("");
  kept = JSON.stringify(read());
  location.reload();
}

// A closed dialog gives the focus back only to what had it; without that its hidden button would take the next Enter.
function help() {
  if (document.activeElement === document.body) $("main").focus();
  $("keys").showModal();
}

const KEYS = {
  "?": help,
  ArrowLeft: () => go(content.previous),
  ArrowRight: () => go(content.next),
  Escape: drop,
  w: () => { $("why").open = true; $("rationale").focus(); },
  g: () => ticks[0]?.focus(),
  o: () => go("/overview"),
};

document.addEventListener("keydown", (event) => {
  if (event.isComposing || $("keys").open) return;
  const at = event.target;
  const control = event.ctrlKey || event.metaKey;
  if (event.key === "Enter") {
    if (at.closest("button, a, summary, select") || (at.closest("textarea") && !control)) return;
    event.preventDefault();
    if (!event.repeat) save();
    return;
  }
  if (control || event.altKey) return;
  if (at.closest("textarea, select, input:not([type=radio], [type=checkbox])")) {
    if (event.key === "Escape") $("main").focus();
    return;
  }
  const known = KEYS[event.key] ?? KEYS[event.key.toLowerCase()];
  if (event.key.length === 1) say("");
  if (!form.key(event)) {
    if (!known) return;
    known();
  }
  event.preventDefault();
});
$("form").addEventListener("submit", (event) => event.preventDefault());
$("save").addEventListener("click", save);
$("help").addEventListener("click", help);
for (const link of document.querySelectorAll("#previous, #next"))
  link.addEventListener("click", (event) => { event.preventDefault(); go(link.getAttribute("href")); });
document.body.dataset.ready = "";

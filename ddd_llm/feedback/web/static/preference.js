// Which of two answers is better, and the scores of both.
const LETTERS = { a: "a", b: "b", t: "tie" };

export function setup({ answer, schema }) {
  const options = [...document.querySelectorAll("input[name=preferred]")];
  const cells = [...document.querySelectorAll("fieldset.scores")];
  const checked = (cell) => cell.querySelector("input:checked");
  for (const option of options) option.checked = option.value === answer?.value.preferred;
  for (const cell of cells) {
    const score = answer?.value.rubrics[cell.dataset.rubric]?.[cell.dataset.side];
    if (score) cell.querySelector(`input[value="${score}"]`).checked = true;
  }

  function read() {
    const rubrics = Object.fromEntries(schema.rubrics.map((name) => [name, [null, null]]));
    for (const cell of cells) rubrics[cell.dataset.rubric][cell.dataset.side] = Number(checked(cell)?.value) || null;
    return { preferred: options.find((option) => option.checked)?.value ?? null, rubrics };
  }

  function score(digit) {
    const at = document.activeElement.closest("fieldset.scores") ?? cells.find((cell) => !checked(cell)) ?? cells[0];
    if (!at) return false;
    const input = at.querySelector(`input[value="${digit}"]`);
    input.checked = true;
    const after = cells[cells.indexOf(at) + 1];
    (after ? (checked(after) ?? after.querySelector("input")) : input).focus();
    return true;
  }

  return {
    read,
    problem(value) {
      if (value.preferred === null) return "Say which is better first: press A, B or T.";
      const open = cells.find((cell) => !checked(cell));
      open?.querySelector("input").focus();
      return open ? "Score both answers on every line: press 1 to 5." : null;
    },
    key(event) {
      const letter = LETTERS[event.key.toLowerCase()];
      if (letter) options.find((option) => option.value === letter).checked = true;
      return Boolean(letter) || (/^[1-5]$/.test(event.key) && score(event.key));
    },
  };
}

// One of several classes.
export function setup({ answer }) {
  const options = [...document.querySelectorAll("input[name=choice]")];
  for (const option of options) option.checked = option.value === answer?.value.choice;

  return {
    read: () => ({ choice: options.find((option) => option.checked)?.value ?? null }),
    problem: (value) => (value.choice === null ? "Choose one first: press its number." : null),
    key(event) {
      const option = /^[1-9]$/.test(event.key) ? options[Number(event.key) - 1] : undefined;
      if (option) option.checked = true;
      return Boolean(option);
    },
  };
}

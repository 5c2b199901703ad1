// What can be chosen of a person: a style, the head, whose lips. Hidden where there is nothing to choose.

import { words } from "./words.js";

export class Picker {
  #box;
  #selects;
  #note;

  /** `box` holds a labelled <select> with the id of each control, and a note. */
  constructor(box) {
    this.#box = box;
    this.#selects = ["style", "head", "performance"].map((id) => box.querySelector(`#${id}`));
    this.#note = box.querySelector("#controls-note");
  }

  /** Calls `change({style | head | performance: value})`. */
  onChange(change) {
    for (const select of this.#selects) {
      select.addEventListener("change", () => change({ [select.id]: select.value || null }));
    }
  }

  /** Offers `controls`, as /persons has them; null for a person without any. */
  offer(controls) {
    const lists = controls === null ? [[], [], []] : options(controls);
    this.#note.textContent = "";
    this.#box.hidden = lists.every((list) => list.length < 2);
    this.#selects.forEach((select, index) => {
      select.parentElement.hidden = lists[index].length < 2;
      select.replaceChildren(...lists[index].map(([value, text]) => new Option(text, value)));
      if (select.id === "style" && controls?.style) select.value = controls.style;
      select.dataset.chosen = select.value;
    });
  }

  /** What was asked for is shown. */
  accepted(changes) {
    this.#note.textContent = "";
    for (const select of this.#of(changes)) select.dataset.chosen = select.value;
  }

  /** The server said no, in a sentence: what is shown is what was chosen before. */
  refused(changes, sentence) {
    this.#note.textContent = words.controls.refused(sentence);
    for (const select of this.#of(changes)) select.value = select.dataset.chosen;
  }

  #of(changes) {
    return this.#selects.filter((select) => select.id in changes);
  }
}

/** For each select its options, [value, text]. */
function options({ styles, heads, performances }) {
  const same = (name) => [name, name];
  return [
    styles.map(same),
    heads.map((name) => [name, words.controls.heads[name] ?? name]),
    performances.length ? [["", words.controls.voice], ...performances.map(same)] : [],
  ];
}

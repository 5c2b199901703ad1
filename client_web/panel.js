// The small panel of numbers. It shows what stats.js `summarise` returns.

import { words } from "./words.js";

const text = words.panel;
const number = (value, digits = 0) => (Number.isFinite(value) ? value.toFixed(digits) : text.unknown);
const milliseconds = (value) => (Number.isFinite(value) ? text.ms(value) : text.unknown);

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** [label, value] of every line, for one reading. */
export function lines(stats) {
  const { server } = stats;
  return [
    [text.fps, number(stats.fps, 1)],
    [text.roundTrip, milliseconds(stats.roundTripMs)],
    [text.dropped, number(stats.framesDropped)],
    [text.skipped, number(server?.frames_skipped)],
    [text.lost, number(stats.packetsLost + (server?.packets_lost ?? 0))],
    [text.path, text.paths[server?.path] ?? text.unknown],
    [text.picture, stats.width ? `${stats.width} × ${stats.height}${stats.codec ? `, ${stats.codec}` : ""}` : text.unknown],
  ];
}

export class Panel {
  #root;
  #values = new Map();
  #delay;
  #bar;
  #legend;
  #empty;
  #body;

  constructor(root) {
    this.#root = root;
    root.setAttribute("aria-labelledby", "panel-title");
    this.#empty = element("p", { className: "note", textContent: text.empty });
    this.#delay = element("span", { textContent: text.unknown });
    this.#bar = element("div", { className: "bar", ariaHidden: "true" });
    this.#legend = element("dl", { className: "legend" });
    const list = element("dl", { className: "lines" });
    for (const [label] of lines({})) {
      const value = element("dd", { textContent: text.unknown });
      this.#values.set(label, value);
      list.append(element("div", {}, element("dt", { textContent: label }), value));
    }
    this.#body = element(
      "div",
      { hidden: true },
      element("p", { className: "delay" }, element("span", { textContent: text.delay }), this.#delay),
      this.#bar,
      this.#legend,
      list,
      element("p", { className: "note", textContent: text.note }),
    );
    root.append(element("h3", { id: "panel-title", textContent: text.title }), this.#empty, this.#body);
  }

  get open() {
    return !this.#root.hidden;
  }

  set open(open) {
    this.#root.hidden = !open;
  }

  show(stats) {
    this.#empty.hidden = true;
    this.#body.hidden = false;
    for (const [label, value] of lines(stats)) this.#values.get(label).textContent = value;
    this.#delay.textContent = milliseconds(stats.delayMs);
    this.#bar.replaceChildren();
    this.#legend.replaceChildren();
    for (const { name, ms } of stats.parts) {
      const share = element("span", { className: name });
      share.style.flexGrow = String(Math.max(0, ms));
      this.#bar.append(share);
      this.#legend.append(
        element(
          "div",
          { className: name },
          element("dt", { textContent: text.parts[name] }),
          element("dd", { textContent: text.ms(ms) }),
        ),
      );
    }
  }
}

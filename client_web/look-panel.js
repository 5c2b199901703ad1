// What stands behind the person and how near they are, as a row of tiles. Only what there is to choose.

import { isPicture } from "./look.js";
import { words } from "./words.js";

const text = words.look;
const COLOURS = ["#ece7de", "#27343f", "#00b140"]; // paper, slate, and the green that is keyed out

/** A choice as one word, to tell two apart. */
const keyOf = (background) =>
  typeof background === "string" ? background : isPicture(background) ? "own" : `picture:${background.picture}`;

export class LookPanel {
  #root;
  #backgrounds;
  #framings;
  #note;
  #colour;
  #file;
  #change = () => {};
  #chosen = { background: "filmed", framing: "filmed" };
  #own = null; // address of the picture that was taken last
  #face = null; // address of the person's picture
  #address = async () => null; // of one of the server's pictures, by name

  /** `root` holds two groups, a note, and the browser's own choosers of a colour and a file. */
  constructor(root) {
    this.#root = root;
    this.#backgrounds = root.querySelector("#backgrounds");
    this.#framings = root.querySelector("#framings");
    this.#note = root.querySelector("#look-note");
    this.#colour = root.querySelector("#look-colour");
    this.#file = root.querySelector("#look-file");
    for (const input of [this.#colour, this.#file]) input.setAttribute("aria-label", text[input.dataset.name]);
    this.#colour.addEventListener("change", () => this.#ask({ background: this.#colour.value }));
    this.#file.addEventListener("change", () => {
      const [file] = this.#file.files;
      this.#file.value = ""; // the same one may be taken again
      if (file) this.#ask({ background: file });
    });
  }

  /** Calls `change({background | framing})`. */
  onChange(change) {
    this.#change = change;
  }

  get open() {
    return !this.#root.hidden;
  }

  set open(open) {
    this.#root.hidden = !open;
    if (open) this.#showPictures();
  }

  /** Whether a person has anything to choose; `controls` as /persons has them. */
  static has(controls) {
    return (controls?.backgrounds?.length ?? 0) > 1 || (controls?.framings?.length ?? 0) > 1;
  }

  /**
   * Offers what a person has; `pictures`: names of the server's; `chosen`: {background, framing};
   * `address(name)` resolves with where one of them is, or null. Nobody asks before the panel is open.
   */
  offer(controls, pictures, chosen, address) {
    this.#address = address;
    const backgrounds = controls?.backgrounds ?? [];
    const framings = controls?.framings ?? [];
    this.#chosen = { background: "filmed", framing: "filmed", ...chosen };
    this.#note.textContent = "";
    this.#backgrounds.parentElement.hidden = backgrounds.length < 2;
    this.#framings.parentElement.hidden = framings.length < 2;
    const tiles = [];
    if (backgrounds.includes("filmed")) tiles.push(this.#tile("filmed", "filmed", text.filmed));
    if (backgrounds.includes("blurred")) tiles.push(this.#tile("blurred", "blurred", text.blurred));
    if (backgrounds.includes("color")) {
      for (const colour of COLOURS) tiles.push(this.#tile("colour", colour, text.colours[colour]));
      tiles.push(this.#opener("mixed", this.#colour, text.colour));
    }
    if (backgrounds.includes("picture")) {
      for (const name of pictures) tiles.push(this.#tile("picture", { picture: name }, name));
      tiles.push(this.#opener("own", this.#file, text.own));
    }
    this.#backgrounds.replaceChildren(...tiles);
    this.#framings.replaceChildren(...framings.map((name) => this.#word(name)));
    this.#mark();
    if (this.open) this.#showPictures();
  }

  #showPictures() {
    for (const tile of this.#backgrounds.querySelectorAll("[data-kind=picture]:not([data-asked])")) {
      tile.dataset.asked = "";
      void this.#address(tile.title).then(
        (address) => {
          if (!address) return;
          const image = Object.assign(document.createElement("img"), { alt: "", loading: "lazy", src: address });
          image.addEventListener("load", () => (tile.dataset.seen = ""));
          tile.firstElementChild.append(image);
        },
        () => {}, // its name is there
      );
    }
  }

  /** The person's picture, shown on the tiles that are made of it. */
  picture(address) {
    this.#face = address;
    for (const image of this.#backgrounds.querySelectorAll("img[data-face]")) {
      image.hidden = !address;
      if (address) image.src = address;
    }
  }

  /** What was asked for is shown. */
  accepted(changes) {
    this.#note.textContent = "";
    Object.assign(this.#chosen, changes);
    if (isPicture(changes.background)) {
      if (this.#own) URL.revokeObjectURL(this.#own);
      this.#own = URL.createObjectURL(changes.background);
    }
    this.#mark();
  }

  /** The server said no, in a sentence. */
  refused(sentence) {
    this.#note.textContent = text.refused(sentence);
    this.#mark();
  }

  #ask(changes) {
    this.#note.textContent = "";
    this.#change(changes);
  }

  #tile(kind, background, label) {
    const button = this.#button(kind, label);
    button.dataset.key = keyOf(background);
    if (kind === "picture") button.title = label; // may be longer than its tile
    if (kind === "colour") button.firstElementChild.style.background = background;
    button.addEventListener("click", () => this.#ask({ background }));
    return button;
  }

  /** A tile that opens one of the browser's own choosers. */
  #opener(kind, input, label) {
    const button = this.#button(kind, label);
    button.addEventListener("click", () => input.click());
    return button;
  }

  #button(kind, label) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "tile" });
    button.dataset.kind = kind;
    const face = document.createElement("span");
    if (["filmed", "blurred"].includes(kind)) {
      const image = Object.assign(document.createElement("img"), { alt: "", hidden: !this.#face });
      image.dataset.face = "";
      if (this.#face) image.src = this.#face;
      face.append(image);
    }
    button.append(face, Object.assign(document.createElement("small"), { textContent: label }));
    return button;
  }

  #word(framing) {
    const label = text.framings[framing] ?? framing;
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: label });
    button.dataset.key = framing;
    button.addEventListener("click", () => this.#ask({ framing }));
    return button;
  }

  #mark() {
    const { background, framing } = this.#chosen;
    const key = keyOf(background);
    const listed = [...this.#backgrounds.children].some((tile) => tile.dataset.key === key);
    const mixed = typeof background === "string" && background.startsWith("#") && !listed;
    for (const tile of this.#backgrounds.children) {
      const { kind } = tile.dataset;
      const on = kind === "mixed" ? mixed : kind === "own" ? key === "own" : tile.dataset.key === key;
      tile.setAttribute("aria-pressed", String(on));
      const face = tile.firstElementChild;
      if (kind === "mixed") face.style.background = mixed ? background : "";
      if (kind === "own") face.style.backgroundImage = this.#own ? `url("${this.#own}")` : "";
    }
    if (mixed) this.#colour.value = background;
    for (const button of this.#framings.children) {
      button.setAttribute("aria-pressed", String(button.dataset.key === framing));
    }
  }
}

// Puts a state on the page. It knows every element and decides nothing.

import { LookPanel } from "./look-panel.js";
import { Picker } from "./picker.js";
import { OPEN } from "./state.js";
import { words } from "./words.js";

const BARS = 48;

// For each state: what the two buttons do, which picture is on top, what moves along its lower edge.
const FACES = {
  loading: { layer: "poster" },
  starting: { layer: "poster" },
  token: { layer: "poster" },
  ready: { primary: "say", secondary: "talk", layer: "preview" },
  asking: { primary: "wait", secondary: "cancel", layer: "preview" },
  connecting: { primary: "wait", secondary: "cancel", layer: "preview" },
  listening: { primary: "cancel", layer: "avatar" },
  recording: { primary: "stop", layer: "avatar" },
  finishing: { primary: "wait", layer: "avatar" },
  replay: { primary: "again", secondary: "talk", layer: "clip" },
  live: { primary: "end", layer: "avatar" },
  resuming: { primary: "end", layer: "avatar" },
  reconnecting: { primary: "end", layer: "poster" },
  full: { primary: "retryNow", secondary: "back", layer: "poster" },
  problem: { primary: "retry", secondary: "back", layer: "poster" },
};

/** Seconds as m:ss. */
export const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;

const $ = (id) => document.getElementById(id);
const lookUp = (key) => key.split(".").reduce((value, part) => value[part], words);

export class View {
  avatar = $("avatar");
  clip = $("clip");
  stage = $("stage");
  picker = new Picker($("controls"));
  look = new LookPanel($("look"));
  #bars = [];
  #levels = new Array(BARS).fill(0);
  #still = matchMedia("(prefers-reduced-motion: reduce)");
  #faces = null;
  #said = "";

  constructor() {
    for (const element of document.querySelectorAll("[data-words]")) {
      element.textContent = lookUp(element.dataset.words);
    }
    this.#name($("numbers"), words.page.numbers);
    this.#name($("fullscreen"), words.page.fullScreen);
    this.#name($("once-more"), words.page.replay);
    this.#name($("look-open"), words.page.look);
    this.#name($("recorded-close"), words.recorded.close);
    for (let index = 0; index < BARS; index += 1) this.#bars.push(document.createElement("i"));
    $("line").append(...this.#bars);
    for (const id of ["poster", "glow"]) $(id).addEventListener("error", () => ($(id).hidden = true));
    $("preview").addEventListener("playing", () => $("preview").classList.add("there"));
  }

  /** Calls `act(name)` for a button's action. */
  onAction(act) {
    for (const id of ["primary", "secondary"]) {
      $(id).addEventListener("click", () => act($(id).dataset.action));
    }
    const others = ["mute", "hear", "record", "recorded-save", "recorded-close", "look-open", "numbers", "fullscreen"];
    for (const id of [...others, "once-more", "headphones-on", "headphones-no"]) {
      $(id).addEventListener("click", () => act(id));
    }
    $("token-form").addEventListener("submit", (event) => {
      event.preventDefault();
      act("token", $("token").value.trim());
    });
    $("device").addEventListener("change", () => act("device", $("device").value));
    $("person-list").addEventListener("change", ({ target }) => act("person", target.value));
    this.picker.onChange((changes) => act("control", changes));
    this.look.onChange((changes) => act("look", changes));
  }

  /** Shows `state` with what is known (`facts`, see page.js). Cheap enough for a countdown. */
  show(state, facts) {
    const face = FACES[state];
    const muted = state === "live" && facts.muted;
    const [title, hint] =
      state === "problem"
        ? words.problems[facts.problem.kind](facts.problem)
        : words.states[muted ? "muted" : state](facts);
    document.body.dataset.state = state;
    $("title").textContent = title;
    const slow = facts.pace !== null && OPEN.has(state) ? ` ${words.slow(facts.pace)}` : "";
    $("hint").textContent = state === "token" && facts.tokenWrong ? words.token.wrong : hint + slow;
    this.#say(state, muted, facts, `${title}. ${$("hint").textContent}`);
    this.#buttons(state, face, facts);
    const kept = state === "live" && (facts.recorded !== null || facts.recordsAll);
    this.#badge(kept ? "recorded" : muted ? "muted" : state, facts);
    $("look-open").hidden = !facts.looks;
    $("foot").textContent = facts.recordsAll ? words.page.footRecorded : words.page.foot;
    this.stage.dataset.layer = face.layer;
    this.stage.setAttribute("aria-busy", String(face.primary === "wait"));
    const tokenForm = $("token-form");
    if (tokenForm.hidden === (state === "token")) {
      tokenForm.hidden = state !== "token";
      if (state === "token") $("token").focus();
    }
    $("line").classList.toggle("on", OPEN.has(state) && !muted);
    $("once-more").hidden = !(state === "replay" && facts.clipDone);
    $("headphones").hidden = !(state === "live" && facts.askingHeadphones);
    $("progress").hidden = !["recording", "replay"].includes(state) || (state === "replay" && facts.clipDone);
    this.#preview(face.layer === "preview");
  }

  /** Level of the microphone in dB below full scale. */
  level(decibels) {
    const height = Math.min(1, Math.max(0, (decibels + 60) / 48));
    if (this.#still.matches) {
      // No scrolling: the line fills from the middle, as far as it is loud.
      this.#bars.forEach((bar, index) => {
        const away = Math.abs(index - (BARS - 1) / 2) / (BARS / 2);
        bar.style.setProperty("--h", away < height ? "0.5" : "0");
      });
      return;
    }
    this.#levels.push(height);
    this.#levels.shift();
    this.#bars.forEach((bar, index) => bar.style.setProperty("--h", this.#levels[index].toFixed(3)));
  }

  quiet() {
    this.#levels.fill(0);
    for (const bar of this.#bars) bar.style.setProperty("--h", "0");
  }

  /** How much of a take or of its playback is over, 0 to 1. */
  progress(share) {
    $("progress").firstElementChild.style.transform = `scaleX(${Math.min(1, share).toFixed(4)})`;
  }

  async person({ display_name: name, width, height }, poster, preview) {
    this.stage.setAttribute("aria-label", `${words.page.stage}: ${name}`);
    this.stage.style.aspectRatio = `${width} / ${height}`;
    document.documentElement.style.setProperty("--shape", String(width / height));
    for (const id of ["poster", "glow"]) {
      $(id).hidden = !poster;
      if (poster) $(id).src = poster;
    }
    this.look.picture(poster);
    $("poster").alt = name;
    const clip = $("preview");
    clip.classList.remove("there");
    clip.hidden = !preview;
    if (preview) clip.src = preview;
    else clip.removeAttribute("src");
    this.#preview(this.stage.dataset.layer === "preview");
  }

  /** `pictureOf(person)` promises the address of a picture; it is asked for who comes into view. */
  persons(list, chosen, pictureOf) {
    this.#faces?.disconnect();
    const people = new Map();
    this.#faces = new IntersectionObserver(
      (seen, observer) => {
        for (const { isIntersecting, target } of seen) {
          if (!isIntersecting) continue;
          observer.unobserve(target);
          pictureOf(people.get(target)).then((picture) => picture && (target.src = picture), () => {});
        }
      },
      { rootMargin: "200px" },
    );
    $("persons").hidden = list.length < 2;
    $("person-list").replaceChildren(
      ...list.map((person) => {
        const { name, display_name: shown } = person;
        const input = Object.assign(document.createElement("input"), {
          type: "radio",
          name: "person",
          value: name,
          checked: name === chosen,
        });
        const label = document.createElement("label");
        const image = document.createElement("img");
        image.alt = "";
        people.set(image, person);
        this.#faces.observe(image);
        label.append(input, image, Object.assign(document.createElement("span"), { textContent: shown }));
        return label;
      }),
    );
  }

  devices(list, chosen) {
    $("microphone").hidden = list.length === 0;
    $("device").replaceChildren(
      ...list.map(({ deviceId, label }) => new Option(label || words.page.anyMicrophone, deviceId)),
    );
    if (chosen && list.some(({ deviceId }) => deviceId === chosen)) $("device").value = chosen;
  }

  /** Says what became of a recording; `saves`: there is a file to save. null takes it away. */
  recorded(sentence, { saves = false } = {}) {
    $("recorded").hidden = sentence === null;
    $("recorded-text").textContent = sentence ?? "";
    $("recorded-save").hidden = !saves;
  }

  saving(url, name) {
    $("save").href = url;
    $("save").download = name;
  }

  #name(element, text) {
    element.setAttribute("aria-label", text);
    element.title = text;
  }

  /** A screen reader hears each state once, not every second of a countdown. */
  #say(state, muted, facts, text) {
    const key = `${state}/${muted}/${facts.problem?.kind}/${facts.tokenWrong}/${facts.hearing}`;
    if (key === this.#said) return;
    this.#said = key;
    const alarm = ["problem", "full", "reconnecting"].includes(state);
    $("alarm").textContent = alarm ? text : "";
    $("spoken").textContent = alarm ? "" : (words.spoken[state]?.(facts) ?? text);
  }

  #buttons(state, face, facts) {
    const primary = $("primary");
    const takes = facts.canRecord;
    // Where the browser cannot record, talking live is the first thing to do.
    let first = !takes && ["say", "again"].includes(face.primary) ? "talk" : face.primary;
    let second = first === face.secondary ? null : face.secondary;
    if (state === "problem" && facts.problem.kind === "person") [first, second] = ["goOn", null];
    primary.hidden = !first;
    if (first) {
      primary.dataset.action = first;
      const label = words.actions[first];
      primary.querySelector(".label").textContent = typeof label === "string" ? label : label(facts);
      // aria-disabled instead of disabled: the focus stays where it is.
      primary.setAttribute("aria-disabled", String(first === "wait"));
    }
    const secondary = $("secondary");
    if (second === "back" && !facts.there) second = null;
    secondary.hidden = !second;
    if (second) {
      secondary.dataset.action = second;
      secondary.textContent = words.actions[second];
    }
    const live = state === "live";
    $("record").hidden = !(live && facts.canKeep && !facts.recordsAll);
    $("record").setAttribute("aria-pressed", String(facts.recorded !== null));
    for (const [id, on, name] of [
      ["mute", facts.muted, facts.muted ? "unmute" : "mute"],
      ["hear", facts.hearing, facts.hearing ? "unhear" : "hear"],
    ]) {
      $(id).hidden = !live;
      $(id).textContent = words.actions[name];
      $(id).setAttribute("aria-pressed", String(on));
    }
    $("save").hidden = state !== "replay";
  }

  #badge(state, { left, clipDone, recorded }) {
    const text = state === "replay" && clipDone ? undefined : words.badges[state];
    $("badge").hidden = !text;
    $("badge").dataset.kind = state;
    $("badge-text").textContent = text ?? "";
    const time = state === "recording" ? left : recorded;
    $("badge-time").textContent = time === null ? "" : clock(time);
  }

  #preview(wanted) {
    const clip = $("preview");
    if (wanted && !clip.hidden && !this.#still.matches) clip.play().catch(() => {});
    else clip.pause();
  }
}

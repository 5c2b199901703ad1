// The states of the page, and which may follow which. Pure.
//
// A take ("Say something") runs asking, connecting, listening, recording, finishing, replay.
// "Talk live" runs asking, connecting, live.

const FROM = {
  loading: ["starting", "token", "ready", "problem"],
  starting: ["loading", "problem"],
  token: ["loading"],
  ready: ["asking", "loading", "problem"],
  asking: ["connecting", "ready", "problem"],
  connecting: ["listening", "live", "ready", "full", "starting", "token", "problem"],
  listening: ["recording", "resuming", "reconnecting", "ready", "problem"],
  recording: ["finishing", "resuming", "reconnecting", "problem"],
  finishing: ["replay", "ready", "problem"],
  replay: ["asking", "ready", "loading", "problem"],
  live: ["resuming", "reconnecting", "connecting", "ready", "problem"],
  resuming: ["listening", "live", "reconnecting", "ready", "starting", "token", "problem"],
  reconnecting: ["listening", "live", "ready", "starting", "token", "problem"],
  full: ["asking", "ready"],
  problem: ["asking", "loading", "ready"],
};

export const STATES = Object.keys(FROM);

/** States in which the microphone is open and its level worth showing. */
export const OPEN = new Set(["connecting", "listening", "recording", "finishing", "live", "resuming", "reconnecting"]);

export class State {
  #name = "loading";
  #changed;

  /** `changed(name, before)` is called after every step. */
  constructor(changed) {
    this.#changed = changed;
  }

  get name() {
    return this.#name;
  }

  is(...names) {
    return names.includes(this.#name);
  }

  go(name) {
    if (!FROM[this.#name].includes(name)) throw new Error(`${this.#name} cannot become ${name}`);
    const before = this.#name;
    this.#name = name;
    this.#changed(name, before);
  }
}

// When speech begins and when it has ended, from the microphone's level alone. Pure: times come in.

const LOUDEST_FLOOR = -45; // dB; above this is speech, whatever the room is like
const QUIETEST = -62; // dB; below this is silence, whatever the room is like
const MARGIN = 12; // dB above the room's own noise
const FLOOR_RISE = 3; // dB per second that the idea of the room's noise may rise
const BEGIN = 120; // ms of sound before it counts as speech

/**
 * Feed `hear(level in dB, time in ms)`; it answers "waiting", "speaking", "pausing" or "ended".
 * "ended" comes after `silence` ms without sound once there was speech.
 */
export class SpeechEnd {
  #silence;
  #floor = null;
  #last = null;
  #loudSince = null;
  #heard = null;

  /** Time at which speech began, or null. */
  began = null;

  constructor({ silence = 1200 } = {}) {
    this.#silence = silence;
  }

  hear(level, time) {
    const seconds = this.#last === null ? 0 : (time - this.#last) / 1000;
    this.#last = time;
    this.#floor = this.#floor === null ? level : Math.min(level, this.#floor + FLOOR_RISE * seconds);
    const threshold = Math.max(QUIETEST, Math.min(LOUDEST_FLOOR, this.#floor + MARGIN));
    if (level > threshold) {
      this.#loudSince ??= time;
      this.#heard = time;
      if (time - this.#loudSince >= BEGIN) this.began ??= this.#loudSince;
    } else this.#loudSince = null;
    if (this.began === null) return "waiting";
    const quiet = time - this.#heard;
    if (quiet >= this.#silence) return "ended";
    return quiet > 200 ? "pausing" : "speaking";
  }
}

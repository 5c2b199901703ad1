// One take: listens to the microphone's level, records what comes back, plays it. No page.

import { Recorder } from "./recorder.js";
import { SpeechEnd } from "./speech.js";

export const LONGEST = 8; // s that one take may last
const USUAL_DELAY = 500; // ms from microphone to picture while nothing is measured yet
const LEAD = 500; // ms that a clip shows before the first word
const SMALLEST = 1000; // bytes of a clip with anything in it
const DEAF = 1000; // ms after which a take goes on without knowing the microphone's level

export class Take {
  #clip;
  #recorder = null;
  #speech = null;
  #began = 0; // of listening, performance.now()
  #onset = 0; // ms from there to the first word; 0 where nobody could tell
  #start = 0; // s into the clip from which it is played
  #length = 0; // s
  #url = null;

  /** `clip` is the <video> to play in. */
  constructor(clip) {
    this.#clip = clip;
  }

  /** Begins to record `stream`, what arrives from the server; resolves when it does. */
  async listen(stream) {
    this.discard();
    const recorder = new Recorder(stream);
    this.#recorder = recorder;
    await recorder.start();
    this.#began = performance.now();
    this.#speech = new SpeechEnd();
    this.#onset = 0;
  }

  /**
   * Takes a level of the microphone in dB (null: unknown) and answers "waiting", "speaking",
   * "pausing" or "ended". Where the level is unknown, only time or a button ends the take.
   */
  hear(level) {
    const now = performance.now();
    if (level === null) return now - this.#began > DEAF ? "speaking" : "waiting";
    const verdict = this.#speech.hear(level, now);
    if (this.#speech.began !== null) this.#onset = this.#speech.began - this.#began;
    return verdict;
  }

  /**
   * Ends the recording: {url, extension}, or null where it was discarded meanwhile. The url is null
   * where nothing came to be recorded.
   * `delay`: ms from microphone to picture, or null. `quiet`: speech ended by itself, so the last
   * word has come back during the silence after it.
   */
  async finish({ delay, quiet }) {
    const recorder = this.#recorder;
    const late = delay ?? USUAL_DELAY;
    if (!quiet) await new Promise((resolve) => setTimeout(resolve, Math.min(1500, late + 300)));
    if (recorder !== this.#recorder) return null;
    const { blob, duration, extension } = await recorder.stop();
    if (recorder !== this.#recorder) return null;
    this.#recorder = null;
    if (blob.size < SMALLEST) return { url: null, extension };
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.#url = URL.createObjectURL(blob);
    this.#length = duration / 1000;
    this.#start = this.#onset > 0 ? Math.max(0, this.#onset + late - LEAD) / 1000 : 0;
    this.#clip.src = this.#url;
    return { url: this.#url, extension };
  }

  discard() {
    this.#recorder?.discard();
    this.#recorder = null;
  }

  /** Plays the clip from the first word. Throws where the browser wants a gesture first. */
  async play() {
    this.#clip.currentTime = this.#start;
    await this.#clip.play();
  }

  /** How much of the clip has been played, 0 to 1. */
  get played() {
    return (this.#clip.currentTime - this.#start) / (this.#length - this.#start);
  }
}

// Runs in the browser's audio thread: microphone out in pieces of 10 ms, voice in through the ring.
//
// In, from the page:  {pts, samples, generation} a packet of voice; {least} samples of margin.
// Out, to the page:   {heard: Float32Array} 10 ms of the microphone; {position, ...} the clock.

import { Ring } from "./ring.js";

const PIECE = 480;
const CLOCK_EVERY = 4; // quanta of 128 samples, 10.7 ms

class SoundWorklet extends AudioWorkletProcessor {
  #ring = new Ring();
  #piece = new Float32Array(PIECE);
  #filled = 0;
  #quanta = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => {
      if (data.samples) this.#ring.push(data.pts, data.samples, data.generation);
      else this.#ring.least = data.least;
    };
  }

  process([[microphone]], [[voice]]) {
    if (voice) this.#ring.pull(voice);
    this.#hear(microphone, voice?.length ?? 128);
    this.#quanta += 1;
    if (this.#quanta % CLOCK_EVERY === 0) {
      const { position, depth, margin, underruns, skipped, missing, played } = this.#ring;
      this.port.postMessage({ position, depth, margin, underruns, skipped, missing, played });
    }
    return true;
  }

  /** `samples` is undefined while no microphone is connected: then it is silent. */
  #hear(samples, count) {
    for (let i = 0; i < count; i += 1) {
      this.#piece[this.#filled] = samples ? samples[i] : 0;
      this.#filled += 1;
      if (this.#filled < PIECE) continue;
      this.port.postMessage({ heard: this.#piece }, [this.#piece.buffer]);
      this.#piece = new Float32Array(PIECE);
      this.#filled = 0;
    }
  }
}

registerProcessor("visavis-sound", SoundWorklet);

// What a session hears: a microphone, and what a script lets the person say. No DOM.

import { VoiceSource } from "./voice-source.js";

export const ASK = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

/**
 * The microphone goes to the session as it is, for the audio graph costs it some 20 ms. Both go
 * through the graph from the moment that something is said besides, or where there is no microphone.
 */
export class Mouthpiece {
  #client;
  #microphone = null;
  #own = null; // a microphone that was opened here
  #source = null;
  #clears = 0;

  constructor(client) {
    this.#client = client;
  }

  /** The MediaStream that the session is to hear. */
  get stream() {
    if (!this.#source && this.#microphone?.getAudioTracks().length) return this.#microphone;
    return this.#graph().stream;
  }

  /** Hears the microphone (true), a MediaStream, or nobody (null). Throws what getUserMedia throws. */
  async listen(mic) {
    const microphone = mic === true ? await navigator.mediaDevices.getUserMedia({ audio: ASK }) : mic || null;
    const before = this.#microphone || this.#source ? this.stream : null;
    this.#own?.getTracks().forEach((track) => track.stop());
    this.#own = mic === true ? microphone : null;
    this.#microphone = microphone;
    this.#source?.listen(microphone);
    if (before && before !== this.stream) await this.#client.replaceMicrophone(this.stream);
  }

  /** See VoiceSource. */
  async speak(audio) {
    const clears = this.#clears;
    if (!this.#source) {
      const { stream } = this.#graph();
      await this.#client.replaceMicrophone(stream);
      if (clears !== this.#clears) return false;
    }
    return this.#source.speak(audio);
  }

  clear() {
    this.#clears += 1;
    this.#source?.clear();
  }

  async close() {
    this.#own?.getTracks().forEach((track) => track.stop());
    this.#own = this.#microphone = null;
    const source = this.#source;
    this.#source = null;
    await source?.close().catch(() => {});
  }

  #graph() {
    this.#source ??= new VoiceSource();
    this.#source.listen(this.#microphone);
    return this.#source;
  }
}

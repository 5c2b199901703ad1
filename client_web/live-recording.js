// A recording while talking live: the server's where it records, else the browser's own. No page.

import { Recorder } from "./recorder.js";

const EVERY = 3000; // ms between two questions whether the server still records

export class LiveRecording extends EventTarget {
  #server; // ServerRecording, or null
  #recorder; // Recorder, or null
  #began = performance.now();
  #ended = null;
  #timer = null;

  /**
   * Begins one. `avatar`: what is recorded; `server`: whether the server makes it. Throws ServerError.
   * Event: `failed` where the server could not go on; detail its sentence.
   */
  static async start(avatar, { server }) {
    if (server) return new LiveRecording(await avatar.record(), null);
    const recorder = new Recorder(avatar.stream);
    await recorder.start();
    return new LiveRecording(null, recorder);
  }

  constructor(server, recorder) {
    super();
    this.#server = server;
    this.#recorder = recorder;
    if (server) this.#timer = setInterval(() => void this.#ask(), EVERY);
  }

  /** Seconds so far. */
  get seconds() {
    return Math.floor(((this.#ended ?? performance.now()) - this.#began) / 1000);
  }

  /** Ends it: {seconds, extension, blob()}. */
  async stop() {
    clearInterval(this.#timer);
    this.#ended ??= performance.now();
    if (this.#server) {
      await this.#server.stop();
      return { seconds: this.seconds, extension: "mp4", blob: () => this.#server.blob() };
    }
    const { blob, extension } = await this.#recorder.stop();
    return { seconds: this.seconds, extension, blob: async () => blob };
  }

  async #ask() {
    const status = await this.#server.status().catch(() => null);
    if (!status?.failed || this.#ended !== null) return;
    clearInterval(this.#timer);
    this.#ended = performance.now();
    this.dispatchEvent(new CustomEvent("failed", { detail: status.failed }));
  }
}

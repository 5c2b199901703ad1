// Records voice and face as they arrive, and gives them back as one clip. No page.

import { recordingType } from "./browser.js";

export class Recorder {
  #recorder;
  #pieces = [];
  #started;
  #stopped;
  #began = null;

  /** `stream` is what arrives from the server: one audio and one video track. */
  constructor(stream) {
    const mimeType = recordingType((type) => MediaRecorder.isTypeSupported(type));
    this.#recorder = new MediaRecorder(stream, {
      ...(mimeType && { mimeType }),
      videoBitsPerSecond: 4_000_000,
      audioBitsPerSecond: 96_000,
    });
    this.#recorder.addEventListener("dataavailable", ({ data }) => data.size && this.#pieces.push(data));
    const event = (name) =>
      new Promise((resolve) => this.#recorder.addEventListener(name, resolve, { once: true }));
    this.#started = event("start");
    this.#stopped = event("stop");
  }

  static get possible() {
    return typeof MediaRecorder !== "undefined";
  }

  /** Resolves when it records: a browser with much to do needs most of a second. */
  async start() {
    this.#recorder.start(500);
    await Promise.race([this.#started, this.#stopped]);
    this.#began = performance.now();
  }

  /** Ends the recording: {blob, duration in ms, extension}. */
  async stop() {
    const duration = performance.now() - this.#began;
    if (this.#recorder.state !== "inactive") this.#recorder.stop();
    await this.#stopped;
    const type = this.#recorder.mimeType || this.#pieces[0]?.type || "video/webm";
    return {
      blob: new Blob(this.#pieces, { type }),
      duration,
      extension: type.includes("mp4") ? "mp4" : "webm",
    };
  }

  /** Ends the recording and throws it away. */
  discard() {
    if (this.#recorder.state !== "inactive") this.#recorder.stop();
    this.#pieces = [];
  }
}

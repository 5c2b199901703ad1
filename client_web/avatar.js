// An avatar without a page: a stream that takes the camera's place. No DOM.

import { VisavisClient } from "./client.js";
import { Mouthpiece } from "./mouthpiece.js";
import { watchVoice } from "./speaking.js";

/**
 * A person that speaks: with the microphone's voice, or with what `speak` is given. Made by `connect`.
 *
 * Events (CustomEvent):
 *   connected  the stream is there, also after the connection was lost and came back
 *   speaking   detail boolean: the person begins or ends to speak
 *   state      detail {state, ...}; see client.js
 *   stats      detail as stats.js `summarise` returns, once a second
 *   error      detail ServerError: the connection is gone and stays so
 *   controls   detail the choice, or why it was refused; see client.js
 */
export class Avatar extends EventTarget {
  #client;
  #mouthpiece;
  #unwatch = null;

  /**
   * MediaStream with the person's face and voice, the same object all its life: on a new connection
   * its tracks are replaced ("connected" says so).
   */
  stream = new MediaStream();
  speaking = false;

  constructor({ src, token = null, path = null, relay = false }) {
    super();
    const server = new URL(src);
    if (!server.pathname.endsWith("/")) server.pathname += "/";
    this.#client = new VisavisClient({ server, token, path, relay });
    this.#mouthpiece = new Mouthpiece(this.#client);
    this.#client.addEventListener("state", ({ detail }) => this.#follow(detail));
    for (const name of ["stats", "error", "controls"]) {
      this.#client.addEventListener(name, ({ detail }) => this.#emit(name, detail));
    }
  }

  /** The connection itself; see client.js. */
  get client() {
    return this.#client;
  }

  get state() {
    return this.#client.state;
  }

  /** Used by `connect`. Throws ServerError, or what getUserMedia throws. */
  async open({ person = null, mic = false, controls = {} } = {}) {
    try {
      await this.#mouthpiece.listen(mic);
      await this.#client.connect({ person, microphone: this.#mouthpiece.stream, controls });
    } catch (error) {
      await this.close();
      throw error;
    }
    return this;
  }

  /** Listens to the microphone (true), to a MediaStream, or to nobody (false, null). */
  listen(mic) {
    return this.#mouthpiece.listen(mic);
  }

  /**
   * Lets the person say `audio`, after what is being said: an AudioBuffer, a Blob or ArrayBuffer with
   * an audio file, or {samples: Float32Array, sampleRate}. Resolves with true when it was said, with
   * false when it was cleared.
   */
  speak(audio) {
    return this.#mouthpiece.speak(audio);
  }

  /** Barge-in: what was given to `speak` is dropped, and the person stops in the middle of the word. */
  async clear() {
    this.#mouthpiece.clear();
    await this.#client.clear();
  }

  /** Chooses a style, the head or a performance; see client.js. Throws ServerError. */
  control(changes) {
    return this.#client.control(changes);
  }

  /**
   * Chooses what stands behind the person and how near they are; see client.js. Throws ServerError.
   * With a transparent background `stream` is twice as high: colour above, how much of it is the
   * person below.
   */
  look(changes) {
    return this.#client.look(changes);
  }

  /** Begins to record on the server; resolves with a ServerRecording. Throws ServerError. */
  record() {
    return this.#client.record();
  }

  /** Ends it. The tracks end, the session on the server as well. Never throws. */
  async close() {
    this.#unwatch?.();
    this.#unwatch = null;
    await Promise.all([this.#client.close(), this.#mouthpiece.close()]);
    this.#fill(new MediaStream());
    this.#speaks(false);
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #follow(detail) {
    if (detail.state === "connected") {
      this.#fill(this.#client.stream);
      this.#unwatch?.();
      this.#unwatch = watchVoice(this.#client.stream, (speaking) => this.#speaks(speaking));
      this.#emit("connected", this.stream);
    }
    this.#emit("state", detail);
  }

  #speaks(speaking) {
    if (speaking === this.speaking) return;
    this.speaking = speaking;
    this.#emit("speaking", speaking);
  }

  #fill(stream) {
    for (const track of this.stream.getTracks()) this.stream.removeTrack(track);
    for (const track of stream.getTracks()) this.stream.addTrack(track);
  }
}

/**
 * Connects to a server and resolves with an Avatar.
 *
 * `src`: the server's address. `person`: a name, the server's own choice without one. `token`: where
 * the server wants one. `mic`: true opens the microphone, a MediaStream is taken as it is; without
 * either the person says only what `speak` is given. `path`: "webrtc" or "websocket"; without it
 * whichever gets through. `controls`, `background`, `framing`: what is chosen from the start; see
 * `control` and `look`. Call it from a click: browsers start no sound before one.
 * Throws ServerError, or what getUserMedia throws.
 */
export async function connect(options) {
  const { src, person = null, token = null, mic = false, path = null, relay = false } = options;
  const controls = { ...options.controls };
  for (const name of ["background", "framing"]) if (options[name] !== undefined) controls[name] = options[name];
  return new Avatar({ src, token, path, relay }).open({ person, mic, controls });
}

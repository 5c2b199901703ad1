// <visavis-avatar src="https://server/" person="NAME" token="..." mic muted>
//
// A person that speaks with a microphone's voice, or says what a script has. Attributes: `mic` (connects
// by itself and asks for the microphone as soon as the element is on the page; without it connect() is
// called), `src` (the server; default: where this
// file came from), `person` (default: the server's choice), `token`, `muted` (default: present, because
// hearing oneself late makes it hard to talk), `path` ("webrtc" or "websocket"; default: whichever gets
// through), `relay` (through TURN alone, to see whether it works). A browser starts sound after a click
// only; without one the person is seen and not heard.

import { ServerError } from "./api.js";
import { VisavisClient } from "./client.js";
import { ASK, Mouthpiece } from "./mouthpiece.js";
import { watchVoice } from "./speaking.js";

const FIRST_PICTURE = 8000; // ms
const SLOW_PICTURES = 8; // of a slow person, before it is said that none comes

const style = new CSSStyleSheet();
style.replaceSync(`
  :host { display: block; position: relative; overflow: hidden; }
  :host([hidden]) { display: none; }
  video { display: block; width: 100%; height: 100%; object-fit: cover; }
`);

/**
 * Events (CustomEvent, not bubbling):
 *   state  detail {state, attempt?, wait?, away?}: idle, connecting, live, resuming, reconnecting,
 *          closed; see client.js
 *   connected  the first picture of a connection is on the screen; detail the stream
 *   speaking   detail boolean: the person begins or ends to speak
 *   stats  detail as stats.js `summarise` returns
 *   path   detail {path, reason}: the way that is being tried; see client.js `ways`
 *   error  detail ServerError: the connection is gone and stays so
 *   controls  detail the choice, or why it was refused; see client.js
 */
export class VisavisAvatar extends HTMLElement {
  static observedAttributes = ["muted"];

  #video = document.createElement("video");
  #client = null;
  #mouthpiece = null;
  #own = null; // a microphone that connect() opened itself
  #unwatch = null;

  state = "idle";

  constructor() {
    super();
    this.#video.muted = true;
    this.#video.playsInline = true;
    this.#video.setAttribute("playsinline", "");
    this.#video.autoplay = true;
    this.#video.setAttribute("part", "video");
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [style];
    root.append(this.#video);
  }

  connectedCallback() {
    if (!this.hasAttribute("muted") && this.#client === null) this.muted = true;
    // An element that is moved on the page is taken away and put back: one connection is enough.
    if (this.hasAttribute("mic") && this.#client === null) {
      this.connect().catch((error) => this.#emit("error", error));
    }
  }

  disconnectedCallback() {
    void this.disconnect();
  }

  attributeChangedCallback(name) {
    if (name !== "muted") return;
    this.#video.muted = this.hasAttribute("muted");
    if (!this.muted) this.#play();
  }

  /** The <video> inside. */
  get video() {
    return this.#video;
  }

  /** The MediaStream with voice and face, or null. */
  get stream() {
    return this.#client?.stream ?? null;
  }

  /** The VisavisClient of the current connection, or null. */
  get client() {
    return this.#client;
  }

  get muted() {
    return this.#video.muted;
  }

  set muted(muted) {
    this.toggleAttribute("muted", muted);
  }

  /**
   * Connects and resolves with the stream when the first picture is on the screen.
   * `microphone`: a MediaStream, or false for none: the person says only what `speak` is given.
   * Without it the element asks for the microphone itself.
   * `steady`: for recording; `controls`: what is chosen from the start; see client.js. Throws ServerError, or what getUserMedia throws.
   */
  async connect({ microphone = null, steady = false, controls = {} } = {}) {
    await this.disconnect();
    const server = new URL(this.getAttribute("src") ?? new URL("..", import.meta.url), document.baseURI);
    const token = this.getAttribute("token");
    const path = this.getAttribute("path");
    const client = new VisavisClient({ server, token, path, relay: this.hasAttribute("relay") });
    this.#client = client;
    for (const name of ["stats", "error", "path", "controls"]) {
      client.addEventListener(name, ({ detail }) => client === this.#client && this.#emit(name, detail));
    }
    client.addEventListener("state", ({ detail }) => client === this.#client && this.#follow(detail));
    let source = microphone;
    if (source === null) {
      source = await navigator.mediaDevices.getUserMedia({ audio: ASK });
      if (client !== this.#client) {
        source.getTracks().forEach((track) => track.stop());
        throw new ServerError("gone", "closed while connecting");
      }
      this.#own = source;
    }
    this.#mouthpiece = new Mouthpiece(client);
    await this.#mouthpiece.listen(source);
    const person = this.getAttribute("person");
    const stream = await client.connect({ person, microphone: this.#mouthpiece.stream, steady, controls });
    await this.#picture(client);
    return stream;
  }

  /** Lets the person say `audio`; see voice-source.js. Throws ServerError where there is no connection. */
  async speak(audio) {
    if (!this.#mouthpiece) throw new ServerError("gone", "there is no connection to speak over");
    return this.#mouthpiece.speak(audio);
  }

  /** Barge-in: what was given to `speak` is dropped, and the person stops in the middle of the word. */
  async clear() {
    this.#mouthpiece?.clear();
    await this.#client?.clear();
  }

  /** Chooses a style, the head or a performance; see client.js. Throws ServerError. */
  async control(changes) {
    if (!this.#client) throw new ServerError("gone", "there is no connection to choose in");
    return this.#client.control(changes);
  }

  /** As disconnect. */
  close() {
    return this.disconnect();
  }

  /** Ends the connection. The last picture stays until the next connect(). */
  async disconnect() {
    const client = this.#client;
    this.#unwatch?.();
    this.#unwatch = null;
    void this.#mouthpiece?.close();
    this.#mouthpiece = null;
    this.#own?.getTracks().forEach((track) => track.stop());
    this.#own = null;
    const closed = client?.close();
    this.#client = null;
    await closed;
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #enter(detail) {
    this.state = detail.state;
    this.#emit("state", detail);
  }

  /** The client is connected before anything can be seen: "live" waits for the picture. */
  #follow(detail) {
    if (detail.state !== "connected") {
      this.#enter(detail);
      return;
    }
    const client = this.#client;
    this.#video.srcObject = client.stream;
    this.#play();
    this.#unwatch?.();
    this.#unwatch = watchVoice(client.stream, (speaking) => this.#emit("speaking", speaking));
    void this.#picture(client).then(
      () => {
        if (client !== this.#client) return;
        this.#enter({ state: "live" });
        this.#emit("connected", client.stream);
      },
      () => {},
    );
  }

  /** Browsers stop what sounds before anybody touched the page: then rather silent than not at all. */
  #play() {
    if (!this.#video.srcObject) return;
    this.#video.play().catch(() => {
      if (this.muted) return;
      this.muted = true;
      this.#video.play().catch(() => {});
    });
  }

  /** Resolves when the next frame is shown. */
  #picture(client) {
    const video = this.#video;
    return new Promise((resolve, reject) => {
      const late = () => {
        // Some persons take seconds for a picture.
        const pace = client.stats?.server?.pace_fps;
        const patience = pace ? (1000 * SLOW_PICTURES) / pace : 0;
        const left = began + Math.max(patience, FIRST_PICTURE) - performance.now();
        if (left > 0 && client.state === "connected") timer = setTimeout(late, left);
        else reject(new ServerError("unseen", "connected, but no picture came"));
      };
      const began = performance.now();
      let timer = setTimeout(late, FIRST_PICTURE);
      const shown = () => {
        clearTimeout(timer);
        resolve();
      };
      if (client.state !== "connected") reject(new ServerError("gone", "closed while connecting"));
      else if (document.hidden) shown(); // a page that nobody sees is not painted
      else if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(shown);
      else if (video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) shown();
      else video.addEventListener("loadeddata", shown, { once: true });
    });
  }
}

customElements.define("visavis-avatar", VisavisAvatar);

// <visavis-avatar src="https://server/" person="NAME" token="..." mic muted>
//
// A person that speaks with a microphone's voice, or says what a script has. Attributes: `mic` (connects
// by itself and asks for the microphone as soon as the element is on the page; without it connect() is
// called), `src` (the server; default: where this
// file came from), `person` (default: the server's choice), `token`, `muted` (default: present, because
// hearing oneself late makes it hard to talk), `path` ("webrtc" or "websocket"; default: whichever gets
// through), `relay` (through TURN alone, to see whether it works), `background` and `framing` (look.js
// `backgroundOf`, `framingOf`; they may change at any time). A browser starts sound after a click only;
// without one the person is seen and not heard.

import { ServerError } from "./api.js";
import { VisavisClient } from "./client.js";
import { backgroundOf, framingOf } from "./look.js";
import { ASK, Mouthpiece } from "./mouthpiece.js";
import { watchVoice } from "./speaking.js";
import { Transparent } from "./transparent.js";

const FIRST_PICTURE = 8000; // ms
const SLOW_PICTURES = 8; // of a slow person, before it is said that none comes
const NO_WEBGL = "This browser has no WebGL, which a transparent background needs.";
const LOOK = { background: backgroundOf, framing: framingOf };

const style = new CSSStyleSheet();
style.replaceSync(`
  :host { display: block; position: relative; overflow: hidden; }
  :host([hidden]) { display: none; }
  video, canvas { display: block; width: 100%; height: 100%; object-fit: cover; }
  canvas { position: absolute; inset: 0; }
  canvas[hidden] { display: none; }
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
  static observedAttributes = ["muted", "background", "framing"];

  #video = document.createElement("video");
  #canvas = document.createElement("canvas"); // in the video's place while the background is transparent
  #transparent = null;
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
    this.#canvas.hidden = true;
    this.#canvas.setAttribute("part", "video"); // styled alike
    root.append(this.#video, this.#canvas);
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

  attributeChangedCallback(name, before, value) {
    if (name !== "muted") {
      // A look that is taken away is the one as filmed. What is refused is an event, as nobody waits.
      const changes = { [name]: LOOK[name](value) ?? "filmed" };
      if (value !== before && this.#client) this.look(changes).catch((error) => this.#emit("controls", error));
      return;
    }
    this.#video.muted = this.hasAttribute("muted");
    if (!this.muted) this.#play();
  }

  /** The <video> inside. */
  get video() {
    return this.#video;
  }

  /** The MediaStream with voice and face, or null. Twice as high with a transparent background; see client.js. */
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
   * `steady`: for recording; `controls`, `background`, `framing`: what is chosen from the start, over
   * what the attributes have; see client.js. Throws ServerError, or what getUserMedia throws.
   */
  async connect({ microphone = null, steady = false, controls = {}, background, framing } = {}) {
    await this.disconnect();
    const choice = { ...controls };
    for (const [name, given] of Object.entries({ background, framing })) {
      const chosen = given ?? LOOK[name](this.getAttribute(name));
      if (chosen) choice[name] = chosen;
    }
    const server = new URL(this.getAttribute("src") ?? new URL("..", import.meta.url), document.baseURI);
    const token = this.getAttribute("token");
    const path = this.getAttribute("path");
    const client = new VisavisClient({ server, token, path, relay: this.hasAttribute("relay") });
    this.#client = client;
    for (const name of ["stats", "error", "path", "controls"]) {
      client.addEventListener(name, ({ detail }) => client === this.#client && this.#emit(name, detail));
    }
    client.addEventListener("controls", ({ detail }) => this.#ground(client, detail.background ?? null));
    client.addEventListener("state", ({ detail }) => client === this.#client && this.#follow(detail));
    const person = this.getAttribute("person");
    if (choice.background === "transparent") await this.#uncover(client, person, { bare: true });
    else if (this.#transparent?.active) {
      this.#transparent.stop({ now: true });
      this.#video.srcObject = null;
    }
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
    const stream = await client.connect({ person, microphone: this.#mouthpiece.stream, steady, controls: choice });
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

  /** Chooses a style, the head, a performance, or a look; see client.js. Throws ServerError. */
  async control(changes) {
    const client = this.#client;
    if (!client) throw new ServerError("gone", "there is no connection to choose in");
    const uncovers = changes.background === "transparent";
    if (uncovers) await this.#uncover(client, undefined, { bare: false });
    try {
      const choice = await client.control(changes);
      if (choice) this.#ground(client, choice.background);
      return choice;
    } catch (error) {
      if (uncovers) this.#ground(client, null);
      throw error;
    }
  }

  /** Chooses what stands behind the person and how near they are; see client.js. Throws ServerError. */
  look({ background, framing }) {
    return this.control({ ...(background !== undefined && { background }), ...(framing !== undefined && { framing }) });
  }

  /** Begins to record on the server; resolves with a ServerRecording. Throws ServerError. */
  async record() {
    if (!this.#client) throw new ServerError("gone", "there is no connection to record");
    return this.#client.record();
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

  /** Lets the page be seen through the picture, once the server sends one of that kind. */
  async #uncover(client, person, { bare }) {
    try {
      this.#transparent ??= new Transparent(this.#video, this.#canvas);
    } catch {
      throw new ServerError("refused", NO_WEBGL);
    }
    const { width, height } = await client.person(person);
    if (client !== this.#client) throw new ServerError("gone", "closed while connecting");
    this.#transparent.start(height / width, { bare });
  }

  /** The background that the server says it sends; null where it refused another one. */
  #ground(client, background) {
    if (client === this.#client && background !== "transparent") this.#transparent?.stop();
  }

  #emit(name, detail) {
    // A page without a listener would stay empty without a word.
    if (name === "error") console.warn(`<visavis-avatar>: ${detail.message}`);
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
      else if (this.#transparent?.active) this.#transparent.once(shown);
      else if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(shown);
      else if (video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) shown();
      else video.addEventListener("loadeddata", shown, { once: true });
    });
  }
}

customElements.define("visavis-avatar", VisavisAvatar);

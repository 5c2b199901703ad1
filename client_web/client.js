// A session with the server: which way, reconnecting, statistics. No DOM, no page.

import { Api, ServerError } from "./api.js";
import { Choices } from "./choices.js";
import { ServerRecording } from "./server-recording.js";
import { SocketPath } from "./socket-path.js";
import { summarise } from "./stats.js";
import { WebRtcPath } from "./webrtc-path.js";

const STATS_INTERVAL = 1000; // ms
const LONGEST_WAIT = 8000; // ms between two attempts to reconnect
const PATIENCE = 15000; // ms for WebRTC to get through
const SHORT_PATIENCE = 4000; // ms, where there is another way
const RESUMABLE = 30000; // ms for which the server keeps a session whose connection is lost
const RESUME_EVERY = 1000; // ms between two attempts to resume
const SILENCE = 1500; // ms without a packet after which a connection that should be back is not
const TELLING = 1000; // ms that a connection waits for its session to take what was chosen
const REMEMBERED = 600_000; // ms for which UDP is taken for closed once it was

/** When UDP was found closed, performance.now() by address of the server. */
const closed = new Map();

/** Milliseconds to wait before attempt 0, 1, 2, ... to reconnect; `random` in [0, 1) spreads clients. */
export function backOff(attempt, random = Math.random()) {
  return Math.min(LONGEST_WAIT, 500 * 2 ** attempt) * (0.75 + 0.5 * random);
}

/**
 * Which ways to try, best first: [{name, reason}]. `wanted` is "webrtc", "websocket" or null; the
 * reason says why it is not the usual way: "asked", "udp" (closed) or "unsupported" (no WebRTC).
 */
export function ways(wanted, { webrtc, websocket, udpClosed }) {
  const usual = { name: "webrtc", reason: null };
  if (wanted === "webrtc") return [usual];
  if (wanted === "websocket") return [{ name: "websocket", reason: "asked" }];
  if (!websocket) return [usual];
  if (!webrtc) return [{ name: "websocket", reason: "unsupported" }];
  const other = { name: "websocket", reason: "udp" };
  return udpClosed ? [other] : [usual, other];
}

/** Whether this browser can do anything of it. */
export const possible = () => WebRtcPath.possible || SocketPath.possible;

/**
 * One conversation. Events (CustomEvent):
 *   state  detail {state, attempt?, wait?, away?}: idle, connecting, connected, resuming (the same
 *          session on another connection), reconnecting (a new session), closed; `away` says that
 *          the old session could not be resumed in time
 *   stats  detail as `summarise` returns, once a second while connected
 *   path   detail {path, reason}: the way that is being tried, see `ways`
 *   error  detail ServerError: reconnecting was given up
 *   controls  detail the whole choice, or a ServerError: what a new session says to earlier choices
 */
export class VisavisClient extends EventTarget {
  #api;
  #iceServers;
  #relay;
  #wanted;
  #person = null;
  #microphone = null;
  #steady = false;
  #choices;
  #way = null;
  #lost = null; // the way whose session is being resumed
  #run = 0; // changes whenever whatever is under way no longer counts
  #counters = null;
  #statsTimer = null;
  #wake = null;
  #nextWait = null;
  #leave = () => void this.close();
  #look = () => document.hidden || void this.#check();

  state = "idle";
  stream = null;
  stats = null;
  reason = null; // why it is not WebRTC

  /** `path`: "webrtc" or "websocket"; null finds out. `relay`: WebRTC through TURN alone. */
  constructor({ server, token = null, path = null, relay = false }) {
    super();
    this.#api = new Api(server, token);
    this.#choices = new Choices(this.#api);
    this.#iceServers = async () => (await this.#api.config()).ice_servers ?? [];
    this.#wanted = relay ? "webrtc" : path;
    this.#relay = relay;
  }

  /** The session's address on the server, or null. */
  get session() {
    return (this.#way ?? this.#lost)?.session ?? null;
  }

  /** "webrtc", "websocket", or null before anything was tried. */
  get path() {
    return this.#way?.name ?? null;
  }

  /** The RTCPeerConnection, or null. */
  get peer() {
    return this.#way?.peer ?? null;
  }

  /**
   * Starts a session with `person` (null: the server's own choice), sending `microphone` (a MediaStream).
   * `steady` trades a little delay for voice and face that are together from the first word on, as a
   * recording wants them. `controls`: what is chosen from the start; see `control`. Returns the stream
   * with voice and face once the connection stands. Throws ServerError.
   */
  async connect({ person = null, microphone = null, steady = false, controls = {} } = {}) {
    await this.close();
    const run = ++this.#run;
    this.#person = person;
    this.#microphone = microphone;
    this.#steady = steady;
    this.#enter("connecting");
    try {
      await this.#choices.begin(controls);
      if (run !== this.#run) throw new ServerError("gone", "closed while connecting");
      return await this.#open(run);
    } catch (error) {
      if (run === this.#run) {
        void this.#drop();
        this.#enter("idle");
      }
      throw error;
    }
  }

  /** Ends the session, also while the page is going away. Never throws. */
  async close() {
    this.#run += 1;
    this.#wake?.();
    const left = this.#drop();
    if (this.state !== "idle" && this.state !== "closed") this.#enter("closed");
    await left;
  }

  /** Sends another microphone from now on. */
  async replaceMicrophone(microphone) {
    this.#microphone = microphone;
    await this.#way?.replaceMicrophone(microphone);
  }

  /** Tells the server to forget what it has heard and not shown yet. */
  async clear() {
    if (this.#way?.session) await this.#way.clear();
  }

  /**
   * Chooses how the person is shown, from the next picture on: any of `style` (a name, an object of names
   * and weights, or a code's numbers), `head` and `performance` (names; null for the voice's own),
   * `background` and `framing`; see `look`. What a person offers stands in /persons. Resolves with the
   * whole choice; with null where there is no session: then the next one is told. Throws ServerError;
   * everything stays as it was then.
   */
  control(changes) {
    return this.#choices.change(this.state === "connected" ? this.session : null, changes);
  }

  /**
   * Chooses what stands behind the person and how near they are. `background`: "filmed", "blurred",
   * "transparent" (the stream's picture is then twice as high: colour on black above, how much of it is
   * the person below), "#rrggbb", {picture: NAME} of the server's, or a picture: a File, a Blob, an
   * <img>, a canvas, an ImageBitmap. `framing`: "filmed", "shoulders", "face" or {zoom: 1..4, x: 0..1,
   * y: 0..1}. As `control` otherwise.
   */
  look({ background, framing }) {
    return this.control({ ...(background !== undefined && { background }), ...(framing !== undefined && { framing }) });
  }

  /** Begins to record on the server; resolves with a ServerRecording. Throws ServerError. */
  record() {
    if (!this.session) return Promise.reject(new ServerError("gone", "there is no session to record"));
    return ServerRecording.start(this.#api, this.session);
  }

  /** The entry in /persons of who is shown, or of somebody else. Throws ServerError. */
  person(name = this.#person) {
    return this.#api.person(name);
  }

  #enter(state, detail = {}) {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, ...detail } }));
  }

  /** Lets go of connection and session. */
  #drop() {
    this.#rest();
    globalThis.removeEventListener("pagehide", this.#leave);
    this.stream = null;
    const ways = [this.#way, this.#lost].filter(Boolean);
    this.#way = this.#lost = null;
    return Promise.all(ways.map((way) => way.close().catch(() => {})));
  }

  /** Asks the connection nothing more. */
  #rest() {
    clearInterval(this.#statsTimer);
    globalThis.removeEventListener("online", this.#look);
    globalThis.document?.removeEventListener("visibilitychange", this.#look);
    this.#counters = null;
  }

  /** A machine that slept, or changed its network, may not know yet that the connection is gone. */
  async #check() {
    const way = this.#way;
    const run = this.#run;
    if (this.state !== "connected" || !way) return;
    const before = await way.heard().catch(() => null);
    await new Promise((resolve) => setTimeout(resolve, SILENCE));
    const after = await way.heard().catch(() => null);
    if (way === this.#way && after === before) void this.#reconnect(run);
  }

  async #open(run, resume = null) {
    const { href } = this.#api.server;
    const list = ways(this.#wanted, {
      webrtc: WebRtcPath.possible,
      websocket: SocketPath.possible,
      udpClosed: performance.now() - (closed.get(href) ?? -Infinity) < REMEMBERED,
    });
    for (const [index, { name, reason }] of list.entries()) {
      const last = index === list.length - 1;
      try {
        return await this.#try(run, name, reason, last ? PATIENCE : SHORT_PATIENCE, resume?.());
      } catch (error) {
        if (last || run !== this.#run || error.kind !== "blocked") throw error;
        closed.set(href, performance.now());
        if (resume) this.#keep();
        else await this.#drop();
        if (run !== this.#run) throw new ServerError("gone", "closed while connecting");
      }
    }
    throw new ServerError("blocked", "no path for sound and picture");
  }

  /** The way that failed may have taken the session over already: its ticket is the one that counts. */
  #keep() {
    const way = this.#way;
    this.#way = null;
    if (!way) return;
    if (way.ticket) {
      void this.#lost?.release();
      this.#lost = way;
    } else void way.release();
  }

  async #try(run, name, reason, patience, resume = null) {
    const way =
      name === "webrtc"
        ? new WebRtcPath(this.#api, { iceServers: this.#iceServers, relay: this.#relay, patience })
        : new SocketPath(this.#api);
    this.#way = way;
    this.reason = reason;
    this.dispatchEvent(new CustomEvent("path", { detail: { path: name, reason } }));
    globalThis.addEventListener("pagehide", this.#leave);
    let told = null;
    const stream = await way.open({
      person: this.#person,
      microphone: this.#microphone,
      steady: this.#steady,
      resume,
      opened: (session) => void (told = resume ? null : this.#tell(session)),
    });
    // Nobody shall see the first pictures with another look; but a choice may not stop a conversation.
    await Promise.race([told, new Promise((resolve) => setTimeout(resolve, TELLING))]);
    if (run !== this.#run) throw new ServerError("gone", "closed while connecting");
    void this.#lost?.release();
    this.#lost = null;
    this.stream = stream;
    way.addEventListener("broken", () => way === this.#way && void this.#reconnect(run));
    this.#statsTimer = setInterval(() => void this.#poll(way, run), STATS_INTERVAL);
    globalThis.addEventListener("online", this.#look);
    globalThis.document?.addEventListener("visibilitychange", this.#look);
    this.#enter("connected");
    void this.#tell(way.session); // what was chosen meanwhile
    void this.#poll(way, run);
    return stream;
  }

  async #tell(session) {
    const detail = await this.#choices.tell(session).catch((error) => error);
    if (detail) this.dispatchEvent(new CustomEvent("controls", { detail }));
  }

  async #reconnect(run) {
    if (run !== this.#run) return;
    const mine = ++this.#run;
    this.#rest();
    const away = Boolean(this.#way?.ticket);
    if (away && (await this.#resume(mine))) return;
    if (mine !== this.#run) return;
    void this.#drop();
    for (let attempt = 0; ; attempt += 1) {
      const wait = this.#nextWait ?? backOff(attempt);
      this.#nextWait = null;
      this.#enter("reconnecting", { attempt, wait, away });
      await this.#sleep(wait);
      if (mine !== this.#run) return;
      try {
        await this.#open(mine);
        return;
      } catch (error) {
        if (mine !== this.#run) return;
        void this.#drop();
        if (error.kind === "token" || error.kind === "person") {
          this.#enter("closed");
          this.dispatchEvent(new CustomEvent("error", { detail: error }));
          return;
        }
        if (error.retryAfter) this.#nextWait = 1000 * error.retryAfter;
      }
    }
  }

  /**
   * Goes on with the same session over another connection, as long as the server keeps it. The old
   * connection stays until then, for closing it would be a goodbye. Says whether it is done.
   */
  async #resume(mine) {
    const until = performance.now() + RESUMABLE;
    this.#lost = this.#way;
    this.#way = null;
    this.#enter("resuming");
    while (performance.now() < until) {
      try {
        await this.#open(mine, () => this.#lost.ticket);
        return true;
      } catch (error) {
        if (mine !== this.#run) return true;
        this.#keep();
        if (error.kind === "gone") return false;
        await this.#sleep(error.retryAfter ? 1000 * error.retryAfter : RESUME_EVERY);
        if (mine !== this.#run) return true;
      }
    }
    return false;
  }

  /** Ends early when the network comes back or the client is closed. */
  #sleep(wait) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, wait);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
      globalThis.addEventListener("online", this.#wake, { once: true });
    });
  }

  async #poll(way, run) {
    const reading = await way.read().catch(() => null);
    if (reading?.gone) way.ticket = null; // there is nothing to resume
    if (run !== this.#run || way !== this.#way || !reading) return;
    if (reading.gone) {
      void this.#reconnect(run);
      return;
    }
    this.stats = summarise(reading.counters, this.#counters, reading.server);
    this.#counters = reading.counters;
    this.dispatchEvent(new CustomEvent("stats", { detail: this.stats }));
  }
}

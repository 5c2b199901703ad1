// A session with the server: offer, candidates, reconnecting, statistics. No DOM, no page.

import { Api, ServerError } from "./api.js";
import { preferredVideoCodecs } from "./browser.js";
import { read, summarise } from "./stats.js";
import { Trickle } from "./trickle.js";

const CONNECT_TIMEOUT = 15000; // ms from the answer until sound and picture must be through
const DISCONNECTED_GRACE = 2500; // ms that a short break on the network may last
const STATS_INTERVAL = 1000; // ms
const LONGEST_WAIT = 8000; // ms between two attempts to reconnect

// How long the browser holds sound and picture back where steadiness counts more than delay, in ms.
// Left alone, Chromium brings the two together only over several seconds, the picture 50 to 100 ms
// ahead at first. With these two, a recording has them within 50 ms of each other.
const STEADY = { audio: 120, video: 140 };

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Milliseconds to wait before attempt 0, 1, 2, ... to reconnect; `random` in [0, 1) spreads clients. */
export function backOff(attempt, random = Math.random()) {
  return Math.min(LONGEST_WAIT, 500 * 2 ** attempt) * (0.75 + 0.5 * random);
}

/**
 * One conversation. Events (CustomEvent):
 *   state  detail {state, attempt?, wait?}: idle, connecting, connected, reconnecting, closed
 *   stats  detail as `summarise` returns, once a second while connected
 *   error  detail ServerError: reconnecting was given up
 */
export class VisavisClient extends EventTarget {
  #api;
  #iceServers;
  #person = null;
  #microphone = null;
  #steady = false;
  #peer = null;
  #session = null;
  #run = 0; // changes whenever whatever is under way no longer counts
  #counters = null;
  #statsTimer = null;
  #wake = null;
  #nextWait = null;
  #leave = () => void this.close();

  state = "idle";
  stream = null;
  stats = null;

  constructor({ server, token = null, iceServers = [] }) {
    super();
    this.#api = new Api(server, token);
    this.#iceServers = iceServers;
  }

  /** The session's address on the server, or null. */
  get session() {
    return this.#session;
  }

  /** The RTCPeerConnection, or null. */
  get peer() {
    return this.#peer;
  }

  /**
   * Starts a session with `person` (null: the server's own choice), sending `microphone` (a MediaStream).
   * `steady` trades a little delay for voice and face that are together from the first word on, as a
   * recording wants them. Returns the stream with voice and face once the connection stands.
   * Throws ServerError.
   */
  async connect({ person = null, microphone = null, steady = false } = {}) {
    await this.close();
    const run = ++this.#run;
    this.#person = person;
    this.#microphone = microphone;
    this.#steady = steady;
    this.#enter("connecting");
    try {
      return await this.#open(run);
    } catch (error) {
      if (run === this.#run) {
        this.#drop();
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
    const sender = this.#peer?.getSenders().find(({ track }) => track?.kind === "audio");
    await sender?.replaceTrack(microphone.getAudioTracks()[0]);
  }

  /** Tells the server to forget what it has heard and not shown yet. */
  async clear() {
    if (this.#session) await this.#api.request(`${this.#session}/clear`, { method: "POST" });
  }

  #enter(state, detail = {}) {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, ...detail } }));
  }

  /** Lets go of connection and session. */
  #drop() {
    clearInterval(this.#statsTimer);
    globalThis.removeEventListener("pagehide", this.#leave);
    this.#counters = null;
    const peer = this.#peer;
    this.#peer = null;
    this.stream = null;
    const session = this.#session;
    this.#session = null;
    if (!session) {
      peer?.close();
      return Promise.resolve();
    }
    // The server is told first: a peer that just closes looks to it like one that is lost.
    const told = this.#api.request(session, { method: "DELETE", keepalive: true }).catch(() => {});
    return Promise.race([told, sleep(1000)]).then(() => peer.close());
  }

  async #open(run) {
    const peer = new RTCPeerConnection({ iceServers: this.#iceServers, bundlePolicy: "max-bundle" });
    this.#peer = peer;
    const stream = new MediaStream();
    this.stream = stream;
    peer.addEventListener("track", ({ track }) => stream.addTrack(track));
    const track = this.#microphone?.getAudioTracks()[0];
    peer.addTransceiver(track ?? "audio", {
      direction: track ? "sendrecv" : "recvonly",
      streams: track ? [this.#microphone] : [],
    });
    const video = peer.addTransceiver("video", { direction: "recvonly" });
    if (this.#steady) {
      for (const { receiver } of peer.getTransceivers()) {
        if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = STEADY[receiver.track.kind];
      }
    }
    const codecs = preferredVideoCodecs(RTCRtpReceiver.getCapabilities("video"));
    if (codecs) video.setCodecPreferences?.(codecs);
    const trickle = new Trickle(peer);

    await peer.setLocalDescription(await peer.createOffer());
    const query = new URLSearchParams();
    if (this.#person !== null) query.set("person", this.#person);
    if (codecs) query.set("codec", "h264");
    const response = await this.#api.request(`sessions?${query}`, {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: peer.localDescription.sdp,
    });
    if (response.status !== 201) throw await this.#api.problem(response);
    const session = new URL(response.headers.get("location"), response.url).href;
    if (run !== this.#run) {
      await this.#api.request(session, { method: "DELETE", keepalive: true }).catch(() => {});
      throw new ServerError("gone", "closed while connecting");
    }
    this.#session = session;
    globalThis.addEventListener("pagehide", this.#leave);
    await peer.setRemoteDescription({ type: "answer", sdp: await response.text() });
    trickle.start((body) => this.#patch(session, body));
    await this.#through(peer, run);

    peer.addEventListener("connectionstatechange", () => this.#watch(peer, run));
    this.#statsTimer = setInterval(() => void this.#poll(peer, run), STATS_INTERVAL);
    this.#enter("connected");
    void this.#poll(peer, run);
    return stream;
  }

  /** Servers may do without trickled candidates, so what comes back does not matter. */
  #patch(session, body) {
    void this.#api
      .request(session, {
        method: "PATCH",
        headers: { "Content-Type": "application/trickle-ice-sdpfrag" },
        body,
      })
      .catch(() => {});
  }

  /** Resolves once `peer` is connected. */
  #through(peer, run) {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (peer.connectionState === "connected") finish(resolve);
        else if (run !== this.#run) finish(reject, new ServerError("gone", "closed while connecting"));
        else if (peer.connectionState === "failed") finish(reject, blocked());
      };
      const blocked = () => new ServerError("blocked", "no path for sound and picture");
      const finish = (settle, value) => {
        clearTimeout(timer);
        clearInterval(interval);
        peer.removeEventListener("connectionstatechange", look);
        settle(value);
      };
      const timer = setTimeout(() => finish(reject, blocked()), CONNECT_TIMEOUT);
      // A closed connection fires no event, so closing while connecting is found by looking.
      const interval = setInterval(look, 200);
      peer.addEventListener("connectionstatechange", look);
      look();
    });
  }

  #watch(peer, run) {
    if (run !== this.#run || peer !== this.#peer) return;
    if (peer.connectionState === "failed") void this.#reconnect(run);
    else if (peer.connectionState === "disconnected") {
      setTimeout(() => {
        if (peer === this.#peer && peer.connectionState === "disconnected") void this.#reconnect(run);
      }, DISCONNECTED_GRACE);
    }
  }

  async #reconnect(run) {
    if (run !== this.#run) return;
    const mine = ++this.#run;
    void this.#drop();
    for (let attempt = 0; ; attempt += 1) {
      const wait = this.#nextWait ?? backOff(attempt);
      this.#nextWait = null;
      this.#enter("reconnecting", { attempt, wait });
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

  async #poll(peer, run) {
    const [report, response] = await Promise.all([
      peer.getStats().catch(() => null),
      this.#api.request(`${this.#session}/stats`, { cache: "no-store" }).catch(() => null),
    ]);
    if (run !== this.#run || peer !== this.#peer || !report) return;
    if (response?.status === 404) {
      void this.#reconnect(run);
      return;
    }
    const server = response?.ok ? await response.json().catch(() => null) : null;
    const counters = read(report);
    this.stats = summarise(counters, this.#counters, server);
    this.#counters = counters;
    this.dispatchEvent(new CustomEvent("stats", { detail: this.stats }));
  }
}

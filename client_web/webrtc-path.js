// The usual way: WebRTC, opened with WHIP's requests (RFC 9725).

import { ServerError } from "./api.js";
import { preferredVideoCodecs } from "./browser.js";
import { read } from "./stats.js";
import { Trickle } from "./trickle.js";

const DISCONNECTED_GRACE = 1500; // ms that a short break on the network may last

// How long the browser holds sound and picture back where steadiness counts more than delay, in ms.
// Left alone, Chromium brings the two together only over several seconds, the picture 50 to 100 ms
// ahead at first. With these two, a recording has them within 50 ms of each other.
const STEADY = { audio: 120, video: 140 };

const GONE = new Set([401, 403, 404]); // what a session that cannot be resumed is answered with

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Events: `broken` when the connection is lost. */
export class WebRtcPath extends EventTarget {
  name = "webrtc";
  session = null;
  ticket = null; // {session, token}: what the session can be resumed with
  peer = null;

  #api;
  #iceServers;
  #relay;
  #patience;
  #closed = false;
  #candidates = 0;

  static get possible() {
    return Boolean(globalThis.RTCPeerConnection);
  }

  /**
   * `iceServers`: a function that promises them fresh, for their passwords expire. `relay`: through
   * TURN alone. `patience`: ms from the answer until sound and picture must be through.
   */
  constructor(api, { iceServers, relay = false, patience }) {
    super();
    this.#api = api;
    this.#iceServers = iceServers;
    this.#relay = relay;
    this.#patience = patience;
  }

  /**
   * Connects; resolves with a stream of voice and face. `resume` is the ticket of a session that
   * shall go on here; `opened(session)` is called when the server has the session, before anything
   * is seen. Throws ServerError.
   */
  async open({ person, microphone, steady, resume = null, opened = () => {} }) {
    const peer = new RTCPeerConnection({
      iceServers: await this.#iceServers(),
      bundlePolicy: "max-bundle",
      iceTransportPolicy: this.#relay ? "relay" : "all",
    });
    this.peer = peer;
    const stream = new MediaStream();
    peer.addEventListener("track", ({ track }) => stream.addTrack(track));
    const track = microphone?.getAudioTracks()[0];
    peer.addTransceiver(track ?? "audio", {
      direction: track ? "sendrecv" : "recvonly",
      streams: track ? [microphone] : [],
    });
    const video = peer.addTransceiver("video", { direction: "recvonly" });
    if (steady) {
      for (const { receiver } of peer.getTransceivers()) {
        if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = STEADY[receiver.track.kind];
      }
    }
    const codecs = preferredVideoCodecs(RTCRtpReceiver.getCapabilities("video"));
    if (codecs) video.setCodecPreferences?.(codecs);
    const trickle = new Trickle(peer);
    peer.addEventListener("icecandidate", ({ candidate }) => {
      if (candidate?.candidate) this.#candidates += 1;
    });

    await peer.setLocalDescription(await peer.createOffer());
    const query = new URLSearchParams();
    if (person !== null && !resume) query.set("person", person);
    if (codecs) query.set("codec", "h264");
    const response = await this.#api.request(`${resume ? `${resume.session}/resume` : "sessions"}?${query}`, {
      method: "POST",
      headers: { "Content-Type": "application/sdp", ...(resume && { "Visavis-Resume": resume.token }) },
      body: peer.localDescription.sdp,
    });
    if (resume && GONE.has(response.status)) throw new ServerError("gone", "the session is not there any more");
    if (!response.ok) throw await this.#api.problem(response);
    const session = this.#api.session(response.headers.get("location"));
    if (this.#closed) {
      await this.#api.request(session, { method: "DELETE", keepalive: true }).catch(() => {});
      throw new ServerError("gone", "closed while connecting");
    }
    this.session = session;
    const token = response.headers.get("visavis-resume");
    this.ticket = token && { session, token };
    opened(session);
    await peer.setRemoteDescription({ type: "answer", sdp: await response.text() });
    trickle.start((body) => this.#patch(session, body));
    await this.#through(peer);
    peer.addEventListener("connectionstatechange", () => this.#watch(peer));
    return stream;
  }

  /** Servers may do without trickled candidates, so what comes back does not matter. */
  #patch(session, body) {
    if (this.#closed) return;
    void this.#api
      .request(session, {
        method: "PATCH",
        headers: { "Content-Type": "application/trickle-ice-sdpfrag" },
        body,
      })
      .catch(() => {});
  }

  /** Resolves once `peer` is connected. */
  #through(peer) {
    return new Promise((resolve, reject) => {
      const look = () => {
        // Without any candidate (no network but the loopback interface) nothing will ever happen.
        const alone = peer.iceGatheringState === "complete" && this.#candidates === 0;
        if (this.#closed) finish(reject, new ServerError("gone", "closed while connecting"));
        else if (peer.connectionState === "connected") finish(resolve);
        else if (peer.connectionState === "failed" || alone) finish(reject, blocked());
      };
      const blocked = () => new ServerError("blocked", "no path for sound and picture");
      const finish = (settle, value) => {
        clearTimeout(timer);
        clearInterval(interval);
        peer.removeEventListener("connectionstatechange", look);
        settle(value);
      };
      const timer = setTimeout(() => finish(reject, blocked()), this.#patience);
      // A closed connection fires no event, so closing while connecting is found by looking.
      const interval = setInterval(look, 200);
      peer.addEventListener("connectionstatechange", look);
      look();
    });
  }

  #watch(peer) {
    if (this.#closed) return;
    const broken = () => this.dispatchEvent(new CustomEvent("broken"));
    if (peer.connectionState === "failed") broken();
    else if (peer.connectionState === "disconnected") {
      setTimeout(() => {
        if (!this.#closed && peer.connectionState === "disconnected") broken();
      }, DISCONNECTED_GRACE);
    }
  }

  /** Sends another microphone from now on. */
  async replaceMicrophone(microphone) {
    const sender = this.peer.getSenders().find(({ track }) => track?.kind === "audio");
    await sender?.replaceTrack(microphone.getAudioTracks()[0]);
  }

  async clear() {
    await this.#api.request(`${this.session}/clear`, { method: "POST" });
  }

  /** What stats.js `summarise` wants, and whether the server has forgotten the session. */
  async read() {
    const [report, response] = await Promise.all([
      this.peer.getStats(),
      this.#api.request(`${this.session}/stats`, { cache: "no-store" }).catch(() => null),
    ]);
    return {
      counters: read(report),
      server: response?.ok ? await response.json().catch(() => null) : null,
      gone: response?.status === 404,
    };
  }

  /** Packets that came so far. */
  async heard() {
    const { audio, video } = read(await this.peer.getStats());
    return (audio?.packetsReceived ?? 0) + (video?.packetsReceived ?? 0);
  }

  /** Lets go of the connection alone: the session goes on over another one. */
  release() {
    this.#closed = true;
    this.peer?.close();
  }

  async close() {
    this.#closed = true;
    const { peer, session } = this;
    if (session) {
      // The server is told first: a peer that just closes looks to it like one that is lost.
      const told = this.#api.request(session, { method: "DELETE", keepalive: true }).catch(() => {});
      await Promise.race([told, sleep(1000)]);
    }
    peer?.close();
  }
}

// The way over a WebSocket, for networks that let no UDP through: sound and picture as messages
// (framing.js), decoded here by the browser's own codecs. See docs/network.md.

import { ServerError } from "./api.js";
import { ACKNOWLEDGEMENT, FACE, MICROPHONE, VERSION, VOICE, pack, parse } from "./framing.js";
import { pictureTrack } from "./picture-track.js";
import { Shutter } from "./shutter.js";
import { Sound } from "./sound.js";

const LOADING_TIMEOUT = 70000; // ms for a person to be loaded, which the server bounds at 60 s
const CONNECT_TIMEOUT = 8000; // ms until the server must have let us in
const ACK_INTERVAL = 100; // ms after which what came last is acknowledged too
const SIGN_INTERVAL = 1000; // ms between signs of life, when nothing comes
const PIECE = 480; // samples of one microphone packet
const BACKLOG = 250; // ms of microphone that may wait for the network; of more the newest are left out
const TO_MICROSECONDS = 1e6 / 48000;
const MOST_DECODING = 10; // pictures
const MOST_LEAST = 80; // ms that the voice waits for late pictures
const STEADY = 120; // ms of voice in hand where steadiness counts more than delay
const SPARE = 5; // ms by which pictures should come before their voice

const OPUS = {
  codec: "opus",
  sampleRate: 48000,
  numberOfChannels: 1,
  bitrate: 40000,
  opus: { frameDuration: 10000, complexity: 5, application: "lowdelay" },
};
const HEARD = { codec: "opus", sampleRate: 48000, numberOfChannels: 1 };
const FACES = { vp8: "vp8", h264: "avc1.42E01F" };

/** On one machine there is room for plain samples, and no codec is quicker than the best one. */
const isNear = ({ hostname }) => /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);

const GONE = new Set([401, 403, 404]); // what a session that cannot be resumed is answered with

const can = async (Codec, config) =>
  Boolean(globalThis[Codec] && (await globalThis[Codec].isConfigSupported(config).catch(() => null))?.supported);

/** Events: `broken` when the connection is lost. */
export class SocketPath extends EventTarget {
  name = "websocket";
  session = null;
  ticket = null; // {session, token}: what the session can be resumed with

  #api;
  #socket = null;
  #sound = null;
  #picture = null;
  #shutter = new Shutter();
  #encoder = null; // of the microphone; null sends plain samples
  #voice = null; // AudioDecoder; null for plain samples
  #face = null; // VideoDecoder
  #faceConfig = null;
  #keyWanted = true;
  #sequence = 0;
  #sent = 0; // samples of the microphone
  #received = null; // the last sequence number
  #unacknowledged = 0;
  #arrivals = new Map(); // pts in µs -> when a picture came, ms
  #latest = null; // the server's last numbers
  #timers = [];
  #steady = false;
  #least = 0;
  #counts = { decoded: 0, shown: 0, waited: 0, decoding: 0, packets: 0, frozen: 0, shownAt: null, kept: 0, played: 0 };
  #size = {};
  #generation = 0;

  static get possible() {
    return Boolean(globalThis.WebSocket && globalThis.VideoDecoder && Sound.possible);
  }

  constructor(api) {
    super();
    this.#api = api;
  }

  /** As WebRtcPath's. */
  async open({ person, microphone, steady, resume = null, opened = () => {} }) {
    this.#steady = steady;
    this.#sound = new Sound();
    const [sends, hears, ...shows] = await Promise.all([
      !isNear(this.#api.server) && can("AudioEncoder", OPUS),
      can("AudioDecoder", HEARD),
      ...Object.values(FACES).map((codec) => can("VideoDecoder", { codec })),
    ]);
    if (!(await this.#sound.start(microphone))) {
      throw new ServerError("blocked", "the browser starts no sound before the page is touched");
    }
    const config = await this.#greet({
      type: "hello",
      version: VERSION,
      token: this.#api.token,
      person,
      ...(resume && { resume }),
      microphone: { codec: sends ? "opus" : "pcm16", rate: 48000 },
      voice: hears ? ["opus", "pcm16"] : ["pcm16"],
      face: Object.keys(FACES).filter((name, index) => shows[index]),
    });
    this.session = this.#api.session(config.session);
    this.ticket = config.resume ? { session: this.session, token: config.resume } : null;
    opened(this.session);
    this.#begin(config, sends);
    return new MediaStream([this.#sound.track, this.#picture.track]);
  }

  /** Sends the hello and resolves with the server's config. */
  #greet(hello) {
    const address = new URL("ws", this.#api.server);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    return new Promise((resolve, reject) => {
      const blocked = () => reject(new ServerError("blocked", "no path for sound and picture"));
      let timer = setTimeout(blocked, CONNECT_TIMEOUT);
      socket.onopen = () => socket.send(JSON.stringify(hello));
      socket.onmessage = ({ data }) => {
        clearTimeout(timer);
        const message = JSON.parse(data);
        if (message.type === "loading") {
          // The person is being loaded; the server says when that takes too long.
          timer = setTimeout(blocked, LOADING_TIMEOUT);
          return;
        }
        if (message.type === "config") resolve(message);
        else if (hello.resume && GONE.has(message.status)) reject(new ServerError("gone", message.detail));
        else this.#refused(message).then(reject);
      };
      socket.onclose = () => {
        clearTimeout(timer);
        blocked();
      };
    });
  }

  /** The same errors as over HTTP. */
  #refused({ status, detail, retry_after: wait }) {
    const headers = wait === undefined ? {} : { "Retry-After": String(wait) };
    return this.#api.problem(new Response(JSON.stringify({ detail }), { status, headers }));
  }

  #begin({ voice, face }, sends) {
    this.#picture = pictureTrack(face.width, face.height);
    this.#size = { frameWidth: face.width, frameHeight: face.height, codec: face.codec.toUpperCase() };
    this.#faceConfig = { codec: FACES[face.codec], optimizeForLatency: true };
    this.#openFace();
    if (voice.codec === "opus") {
      this.#voice = new AudioDecoder({ output: (data) => this.#play(data), error: () => this.#lost() });
      this.#voice.configure(HEARD);
    }
    if (sends) {
      this.#encoder = new AudioEncoder({ output: (chunk) => this.#speak(chunk), error: () => this.#lost() });
      this.#encoder.configure(OPUS);
    }
    if (this.#steady) this.#sound.least = this.#least = STEADY;
    this.#sound.onheard = (samples) => this.#heard(samples);
    this.#sound.onclock = () => this.#ticked();
    this.#socket.onmessage = ({ data }) => (typeof data === "string" ? this.#told(JSON.parse(data)) : this.#came(parse(data)));
    this.#socket.onclose = () => this.#lost();
    this.#timers.push(setInterval(() => this.#unacknowledged && this.#acknowledge(), ACK_INTERVAL));
    this.#timers.push(setInterval(() => this.#acknowledge(), SIGN_INTERVAL));
    this.#timers.push(setInterval(() => this.#adapt(), 1000));
  }

  #lost() {
    this.dispatchEvent(new CustomEvent("broken"));
  }

  // ---- out: the microphone -------------------------------------------------------------------

  #heard(samples) {
    const pts = this.#sent;
    this.#sent += PIECE;
    if (this.#encoder) {
      const data = new AudioData({
        format: "f32-planar",
        sampleRate: 48000,
        numberOfFrames: PIECE,
        numberOfChannels: 1,
        timestamp: Math.round(pts * TO_MICROSECONDS),
        data: samples,
      });
      this.#encoder.encode(data);
      data.close();
    } else {
      const plain = new DataView(new ArrayBuffer(2 * PIECE));
      samples.forEach((sample, i) => plain.setInt16(2 * i, Math.round(32767 * Math.max(-1, Math.min(1, sample))), true));
      this.#send(pts, new Uint8Array(plain.buffer));
    }
  }

  #speak(chunk) {
    const payload = new Uint8Array(chunk.byteLength);
    chunk.copyTo(payload);
    this.#send(Math.round(chunk.timestamp / TO_MICROSECONDS), payload);
  }

  #send(pts, payload) {
    const socket = this.#socket;
    if (socket.readyState !== WebSocket.OPEN) return;
    const message = pack(MICROPHONE, this.#sequence, pts, payload);
    this.#sequence += 1;
    if (socket.bufferedAmount > (message.byteLength * BACKLOG) / 10) return;
    socket.send(message);
    this.#counts.packets += 1;
  }

  // ---- in: voice and face ----------------------------------------------------------------------

  #came(packet) {
    if (!packet) return;
    this.#received = packet.sequence;
    this.#generation = packet.generation;
    const timestamp = Math.round(packet.pts * TO_MICROSECONDS);
    if (packet.kind === VOICE) {
      this.#unacknowledged += 1;
      if (this.#unacknowledged >= 2) this.#acknowledge();
      if (this.#voice) this.#voice.decode(new EncodedAudioChunk({ type: "key", timestamp, data: packet.payload }));
      else this.#plain(packet);
    } else if (packet.kind === FACE) this.#decode(packet, timestamp);
  }

  #acknowledge() {
    this.#unacknowledged = 0;
    if (this.#received === null || this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.send(pack(ACKNOWLEDGEMENT, this.#received));
  }

  #play(data) {
    const samples = new Float32Array(data.numberOfFrames);
    data.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
    this.#sound.play(Math.round(data.timestamp / TO_MICROSECONDS), samples, this.#generation);
    data.close();
  }

  #plain({ pts, payload }) {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    const samples = Float32Array.from({ length: payload.byteLength / 2 }, (_, i) => view.getInt16(2 * i, true) / 32768);
    this.#sound.play(pts, samples, this.#generation);
  }

  #openFace() {
    this.#face = new VideoDecoder({
      output: (picture) => this.#decoded(picture),
      error: () => {
        this.#openFace();
        this.#wantKey();
      },
    });
    this.#face.configure(this.#faceConfig);
    this.#keyWanted = true;
  }

  #wantKey() {
    this.#keyWanted = true;
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ type: "key_frame" }));
  }

  #decode({ key, payload }, timestamp) {
    if (this.#keyWanted && !key) return;
    if (this.#face.decodeQueueSize > MOST_DECODING && !key) {
      this.#wantKey();
      return;
    }
    this.#keyWanted = false;
    this.#arrivals.set(timestamp, performance.now());
    if (this.#arrivals.size > 50) this.#arrivals.delete(this.#arrivals.keys().next().value);
    this.#face.decode(new EncodedVideoChunk({ type: key ? "key" : "delta", timestamp, data: payload }));
  }

  #decoded(picture) {
    const came = this.#arrivals.get(picture.timestamp) ?? performance.now();
    this.#counts.decoded += 1;
    this.#counts.decoding += performance.now() - came;
    this.#shutter.add(picture, this.#now);
    if (this.#now === null) this.#show();
  }

  /**
   * The pts in µs that leaves for the ear. How long the device then takes is not waited for: sound
   * up to 125 ms after its picture is not noticed (ITU-R BT.1359), and people watch the picture.
   */
  get #now() {
    return this.#sound.position;
  }

  #ticked() {
    const { depth, played } = this.#sound.ring;
    this.#counts.kept += (depth / 48000) * ((played - this.#counts.played) / 48000);
    this.#counts.played = played;
    this.#show();
  }

  #show() {
    const picture = this.#shutter.take(this.#now);
    if (!picture) return;
    const now = performance.now();
    const came = this.#arrivals.get(picture.timestamp);
    const counts = this.#counts;
    if (came !== undefined) {
      counts.waited += now - came;
      counts.shown += 1;
      this.#arrivals.delete(picture.timestamp);
    }
    if (counts.shownAt !== null && now - counts.shownAt > 200) counts.frozen += 1;
    counts.shownAt = now;
    this.#picture.show(picture);
  }

  /** The voice waits for pictures that come late, as far as that is sensible. */
  #adapt() {
    const { late } = this.#shutter;
    const { ring } = this.#sound;
    if (late === null || !ring) return;
    const floor = this.#steady ? STEADY : 0;
    const most = Math.max(floor, MOST_LEAST);
    const margin = ring.margin / 48;
    const change = late > -SPARE ? late + SPARE : late < -4 * SPARE ? -2 : 0;
    const least = Math.max(floor, Math.min(most, (change > 0 ? margin : this.#least) + change));
    if (Math.abs(least - this.#least) < 1) return;
    this.#sound.least = this.#least = least;
  }

  #told(message) {
    if (message.type === "stats") this.#latest = message;
    else if (message.type === "bye" || message.type === "error") this.ticket = null; // nothing to resume
  }

  // ---- for the client --------------------------------------------------------------------------

  replaceMicrophone(microphone) {
    this.#sound.replace(microphone);
  }

  clear() {
    this.#socket.send(JSON.stringify({ type: "clear" }));
  }

  /** What stats.js `summarise` wants: {counters, server, gone}. */
  async read() {
    const at = performance.now();
    const { decoded, shown, waited, decoding, packets, frozen, kept, played } = this.#counts;
    const server = this.#latest;
    const trip = server?.round_trip_ms ?? null;
    return {
      server,
      gone: false,
      counters: {
        at,
        codec: this.#size.codec ?? null,
        roundTrip: trip === null ? null : trip / 1000,
        sent: { timestamp: at, packetsSent: packets },
        audio: {
          timestamp: at,
          packetsLost: 0,
          jitterBufferDelay: kept,
          jitterBufferEmittedCount: played / 48000,
        },
        video: {
          timestamp: at,
          frameWidth: this.#size.frameWidth,
          frameHeight: this.#size.frameHeight,
          framesDecoded: decoded,
          framesDropped: this.#shutter.dropped,
          freezeCount: frozen,
          packetsLost: 0,
          totalDecodeTime: decoding / 1000,
          jitterBufferDelay: (waited - decoding) / 1000,
          jitterBufferEmittedCount: shown,
        },
      },
    };
  }

  /** Messages that came so far. */
  async heard() {
    return this.#received ?? 0;
  }

  /** Lets go of the connection alone: the session goes on over another one. */
  release() {
    return this.close({ goodbye: false });
  }

  async close({ goodbye = true } = {}) {
    for (const timer of this.#timers) clearInterval(timer);
    const socket = this.#socket;
    if (socket) {
      socket.onclose = socket.onmessage = null;
      if (goodbye && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: "bye" }));
      socket.close(1000);
    }
    for (const codec of [this.#encoder, this.#voice, this.#face]) {
      if (codec && codec.state !== "closed") codec.close();
    }
    this.#shutter.clear();
    this.#picture?.close();
    await this.#sound?.close();
  }
}

// The browser's sound for the WebSocket path: the microphone in pieces, a voice out, and its clock.

const RATE = 48000;
const PATIENCE = 1500; // ms in which the browser must start its sound
const STALE = 250; // ms after which the clock is taken for dead
const PIECE = 480; // samples

export class Sound {
  #context;
  #worklet = null;
  #source = null; // of the microphone, in the audio graph
  #reader = null; // of the microphone, past it
  #destination;
  #clock = null; // {position, at, ...} the worklet's last word

  /** Called with 10 ms of the microphone, Float32Array[480]. */
  onheard = () => {};
  /** Called about every 10 ms while the voice plays. */
  onclock = () => {};

  static get possible() {
    return Boolean(globalThis.AudioContext && globalThis.AudioWorkletNode);
  }

  constructor() {
    this.#context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
    this.#destination = new MediaStreamAudioDestinationNode(this.#context, { channelCount: 1 });
    [this.track] = this.#destination.stream.getAudioTracks();
  }

  /** Begins; false where the browser starts no sound, as before anybody has touched the page. */
  async start(microphone) {
    await this.#context.audioWorklet.addModule(new URL("sound-worklet.js", import.meta.url));
    this.#worklet = new AudioWorkletNode(this.#context, "visavis-sound", {
      numberOfInputs: 1,
      numberOfOutputs: 1,
      outputChannelCount: [1],
      channelCount: 1,
      channelCountMode: "explicit",
    });
    this.#worklet.port.onmessage = ({ data }) => this.#told(data);
    this.#worklet.connect(this.#destination);
    this.replace(microphone);
    const late = new Promise((resolve) => setTimeout(resolve, PATIENCE));
    await Promise.race([this.#context.resume(), late]);
    return this.#context.state === "running";
  }

  #told(data) {
    if (data.heard) {
      if (!this.#reader) this.onheard(data.heard);
    } else {
      this.#clock = { ...data, at: performance.now() };
      this.onclock();
    }
  }

  /** Listens to another microphone, a MediaStream, or to none. */
  replace(microphone) {
    this.#source?.disconnect();
    this.#source = null;
    void this.#reader?.cancel().catch(() => {});
    this.#reader = null;
    const [track] = microphone?.getAudioTracks() ?? [];
    if (!track) return;
    // Straight from the track it is some 20 ms quicker than through the audio graph.
    if (globalThis.MediaStreamTrackProcessor) void this.#read(track, microphone);
    else this.#listen(microphone);
  }

  #listen(microphone) {
    this.#source = new MediaStreamAudioSourceNode(this.#context, { mediaStream: microphone });
    this.#source.connect(this.#worklet);
  }

  async #read(track, microphone) {
    const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 20 }).readable.getReader();
    this.#reader = reader;
    let piece = new Float32Array(PIECE);
    let filled = 0;
    for (;;) {
      const { value, done } = await reader.read();
      if (done || reader !== this.#reader) {
        value?.close();
        return;
      }
      if (value.sampleRate !== RATE) {
        // The audio graph converts.
        value.close();
        void reader.cancel().catch(() => {});
        this.#reader = null;
        this.#listen(microphone);
        return;
      }
      const samples = new Float32Array(value.numberOfFrames);
      value.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
      value.close();
      for (const sample of samples) {
        piece[filled] = sample;
        filled += 1;
        if (filled < PIECE) continue;
        this.onheard(piece);
        piece = new Float32Array(PIECE);
        filled = 0;
      }
    }
  }

  /** Voice to be played: samples at 48 kHz that begin at `pts` (in samples too). */
  play(pts, samples, generation) {
    this.#worklet.port.postMessage({ pts, samples, generation }, [samples.buffer]);
  }

  /** How many ms of voice are kept in hand at least. */
  set least(ms) {
    this.#worklet.port.postMessage({ least: (RATE / 1000) * ms });
  }

  /** What the ring says about itself, or null. */
  get ring() {
    return this.#clock;
  }

  /** The pts in µs that leaves for the ear just now; null while there is no such clock. */
  get position() {
    const clock = this.#clock;
    if (!clock || clock.position === null || performance.now() - clock.at > STALE) return null;
    return (clock.position * 1e6) / RATE;
  }

  async close() {
    this.onheard = this.onclock = () => {};
    this.replace(null);
    this.track.stop();
    if (this.#context.state !== "closed") await this.#context.close();
  }
}

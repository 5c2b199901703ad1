// What an avatar is to say, as a MediaStream: a microphone, or sound that a script has. No DOM.

const RATE = 48000;
const SAMPLE_RATES = [8000, 96000];
const LONGEST = 600; // s of sound that may wait to be said
const STARTING = 1000; // ms after which a page that nobody touched is told why nothing is said
const UNTOUCHED = "a browser starts sound after a click or a key: call speak() from one";

/**
 * A track that is there from the beginning, silent until something is said: what is given to `speak`
 * one after another, and a microphone besides, where there is one.
 */
export class VoiceSource {
  #context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
  #destination = new MediaStreamAudioDestinationNode(this.#context, { channelCount: 1 });
  #microphone = null;
  #stream = null;
  #until = 0; // s of the context's time at which what was given ends
  #saying = new Map(); // source node to what its promise is resolved with
  #clears = 0;

  /** The stream with the one track. */
  get stream() {
    return this.#destination.stream;
  }

  /** Lets the microphone in, a MediaStream, or leaves it out, null. */
  listen(microphone) {
    this.#microphone?.disconnect();
    this.#microphone = null;
    this.#stream = microphone;
    if (!microphone?.getAudioTracks().length) return;
    this.#microphone = new MediaStreamAudioSourceNode(this.#context, { mediaStream: microphone });
    this.#microphone.connect(this.#destination);
  }

  /**
   * Says `audio` after what is being said: an AudioBuffer, a Blob or ArrayBuffer with an audio file,
   * or {samples: Float32Array in [-1, 1], sampleRate}. Resolves when it was said to its end, with
   * true, or was cleared, with false. Throws TypeError for anything else, RangeError where more
   * than ten minutes would wait, and a NotAllowedError, as play() does, on a page that nobody touched.
   */
  async speak(audio) {
    const clears = this.#clears;
    const buffer = await this.#decoded(audio);
    await this.#started();
    if (clears !== this.#clears) return false;
    const now = this.#context.currentTime;
    const start = Math.max(now, this.#until);
    if (start + buffer.duration - now > LONGEST) throw new RangeError(`at most ${LONGEST} s may wait to be said`);
    this.#until = start + buffer.duration;
    const node = new AudioBufferSourceNode(this.#context, { buffer });
    node.connect(this.#destination);
    return new Promise((resolve) => {
      this.#saying.set(node, resolve);
      node.addEventListener("ended", () => this.#said(node, true));
      node.start(start);
    });
  }

  /** Says nothing more of what was given. */
  clear() {
    this.#clears += 1; // also for what is being decoded
    for (const node of [...this.#saying.keys()]) {
      node.stop();
      this.#said(node, false);
    }
    this.#until = 0;
  }

  async close() {
    this.clear();
    this.listen(null);
    this.stream.getTracks().forEach((track) => track.stop());
    if (this.#context.state !== "closed") await this.#context.close();
  }

  /** Before the first click resume() neither succeeds nor fails. */
  async #started() {
    let timer;
    const waited = new Promise((resolve) => (timer = setTimeout(resolve, STARTING)));
    const resumed = this.#context.resume();
    resumed.catch(() => {}); // closed meanwhile
    await Promise.race([resumed, waited]);
    clearTimeout(timer);
    if (this.#context.state !== "running" && navigator.userActivation?.hasBeenActive === false) {
      throw new DOMException(UNTOUCHED, "NotAllowedError");
    }
    await resumed;
  }

  #said(node, whole) {
    this.#saying.get(node)?.(whole);
    this.#saying.delete(node);
    node.disconnect();
  }

  async #decoded(audio) {
    if (audio instanceof AudioBuffer) return audio;
    if (audio instanceof Blob) return this.#context.decodeAudioData(await audio.arrayBuffer());
    if (audio instanceof ArrayBuffer) return this.#context.decodeAudioData(audio.slice(0));
    const { samples, sampleRate } = audio ?? {};
    const [low, high] = SAMPLE_RATES;
    if (!(samples instanceof Float32Array) || !samples.length || !(sampleRate >= low && sampleRate <= high)) {
      throw new TypeError("speak() takes an AudioBuffer, an audio file, or {samples: Float32Array, sampleRate}");
    }
    const buffer = new AudioBuffer({ length: samples.length, sampleRate });
    buffer.copyToChannel(samples, 0);
    return buffer;
  }
}

// Whether a voice is heard in a stream. No DOM.

const EVERY = 40; // ms
const LOUD = 0.006; // root mean square, about -44 dB
const HOLD = 400; // ms of quiet after which nobody speaks any more
const ASK_AGAIN = 5000; // ms between two attempts to start sound on a page that nobody touched

/** From loudness at times to who speaks: true at the first loud moment, false after a pause. Pure. */
export class Speaking {
  #since = null; // ms, last loud moment

  speaking = false;

  /** Takes a root mean square at `now` (ms); says whether `speaking` changed. */
  hear(rms, now) {
    const before = this.speaking;
    if (rms >= LOUD) {
      this.#since = now;
      this.speaking = true;
    } else if (this.speaking && now - this.#since >= HOLD) {
      this.speaking = false;
    }
    return this.speaking !== before;
  }
}

/** Calls `changed(speaking)` for the voice of a stream; returns a function that ends it. */
export function watchVoice(stream, changed) {
  const context = new AudioContext();
  const source = new MediaStreamAudioSourceNode(context, { mediaStream: stream });
  const analyser = new AnalyserNode(context, { fftSize: 2048 });
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const speaking = new Speaking();
  let asked = -Infinity;
  const timer = setInterval(() => {
    if (context.state !== "running") {
      // Each attempt before the first click is a warning in the console.
      const wait = navigator.userActivation?.hasBeenActive ? 0 : ASK_AGAIN;
      if (performance.now() - asked < wait) return;
      asked = performance.now();
      void context.resume();
      return;
    }
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0);
    if (speaking.hear(Math.sqrt(power / samples.length), performance.now())) changed(speaking.speaking);
  }, EVERY);
  return () => {
    clearInterval(timer);
    void context.close();
  };
}

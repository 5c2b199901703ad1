// The microphone: asking for it, choosing one, how loud it is, muting. No page.

const ASK = {
  echoCancellation: true, // somebody may listen through loudspeakers
  noiseSuppression: true,
  autoGainControl: true,
  channelCount: 1,
};

/**
 * The microphone cannot be used. `kind` is one of
 *   insecure   the page is neither https nor localhost, so the browser has no microphone for it
 *   refused    the person or the system said no
 *   absent     there is none
 *   busy       another program holds it, or the device fails
 */
export class MicrophoneError extends Error {
  constructor(kind, message) {
    super(message);
    this.name = "MicrophoneError";
    this.kind = kind;
  }
}

const KINDS = {
  NotAllowedError: "refused",
  SecurityError: "refused",
  NotFoundError: "absent",
  OverconstrainedError: "absent",
  NotReadableError: "busy",
  AbortError: "busy",
};

/** Level in dB below full scale of samples in [-1, 1]; -100 for silence. */
export function decibels(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return samples.length && sum > 0 ? Math.max(-100, 10 * Math.log10(sum / samples.length)) : -100;
}

/**
 * Events: `level` (detail: dB, about every 50 ms; null while the browser cannot tell), `devices`,
 * `lost` (it was unplugged or taken away).
 */
export class Microphone extends EventTarget {
  #context = null;
  #analyser = null;
  #source = null;
  #timer = null;
  #muted = false;
  #chosen = null;

  stream = null;
  devices = [];

  constructor() {
    super();
    navigator.mediaDevices?.addEventListener?.("devicechange", () => void this.#list());
  }

  get muted() {
    return this.#muted;
  }

  set muted(muted) {
    this.#muted = muted;
    for (const track of this.stream?.getAudioTracks() ?? []) track.enabled = !muted;
  }

  /** deviceId of the open microphone, or of the chosen one, or null. */
  get deviceId() {
    return this.stream?.getAudioTracks()[0]?.getSettings().deviceId ?? this.#chosen;
  }

  /** Which microphone `open` takes from now on. */
  choose(deviceId) {
    this.#chosen = deviceId;
  }

  /**
   * Opens the chosen microphone (or the default one) in place of the one that is open: some devices
   * cannot give two at once. Throws MicrophoneError.
   */
  async open(deviceId = this.#chosen) {
    if (!window.isSecureContext || !navigator.mediaDevices?.getUserMedia) {
      throw new MicrophoneError("insecure", "no microphone outside a secure page");
    }
    this.close();
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        audio: deviceId ? { ...ASK, deviceId: { exact: deviceId } } : ASK,
      });
    } catch (cause) {
      // A remembered device that is not there any more: take the default one.
      if (deviceId && KINDS[cause.name] === "absent") return this.open(null);
      throw new MicrophoneError(KINDS[cause.name] ?? "busy", cause.message);
    }
    this.#chosen = deviceId;
    this.stream = stream;
    this.muted = this.#muted;
    stream.getAudioTracks()[0].addEventListener("ended", () => {
      if (stream === this.stream) this.dispatchEvent(new CustomEvent("lost"));
    });
    this.#listen(stream);
    await this.#list();
    return stream;
  }

  close() {
    clearInterval(this.#timer);
    this.#source?.disconnect();
    this.#source = null;
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
  }

  #listen(stream) {
    const Context = window.AudioContext ?? window.webkitAudioContext;
    this.#context ??= new Context();
    void this.#context.resume();
    this.#analyser ??= new AnalyserNode(this.#context, { fftSize: 2048 });
    this.#source = this.#context.createMediaStreamSource(stream);
    this.#source.connect(this.#analyser);
    const samples = new Float32Array(this.#analyser.fftSize);
    this.#timer = setInterval(() => {
      // Without any sound output Firefox never runs an AudioContext.
      const running = this.#context.state === "running";
      if (running) this.#analyser.getFloatTimeDomainData(samples);
      this.dispatchEvent(new CustomEvent("level", { detail: running ? decibels(samples) : null }));
    }, 50);
  }

  async #list() {
    const devices = (await navigator.mediaDevices.enumerateDevices()) ?? [];
    // Before permission the names are empty. "default" and "communications" repeat a real device.
    this.devices = devices.filter(
      ({ kind, label, deviceId }) => kind === "audioinput" && label && deviceId !== "communications",
    );
    this.dispatchEvent(new CustomEvent("devices", { detail: this.devices }));
  }
}

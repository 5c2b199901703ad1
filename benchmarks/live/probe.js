// Runs in the measured page before the page's own scripts. It changes nothing of what the page does:
// it listens to the microphone track the page opens, to the voice it receives, and to each picture
// that is shown. `probe.take()` hands over what came since the last call, so memory stays bounded.
(() => {
  if (globalThis.visavisProbe || !navigator.mediaDevices) return;

  const LONGEST_BACKLOG = 60_000; // records kept when nobody takes them: 10 minutes of sound
  const CELLS = 32;
  const INDEX_BITS = 20;
  const LEAST_CONTRAST = 60;

  const bounded = (list, item, probe) => {
    if (list.length < LONGEST_BACKLOG) list.push(item);
    else probe.lost += 1;
  };

  const probe = {
    lost: 0,
    peer: null,
    boxes: { mouth: null, control: null }, // [x, y, width, height] in pixels of the picture, even
    clicks: [],
    errors: [],
    frames: [],
    sounds: { microphone: [], voice: [] },
    generation: { microphone: 0, voice: 0 },
    take,
    playout,
    now: () => performance.now(),
  };
  globalThis.visavisProbe = probe;

  addEventListener("click", (event) => probe.clicks.push(event.timeStamp), { capture: true });

  // --- sound -------------------------------------------------------------------------------------

  /** Notes every packet of samples of an audio track with the time of its first sample. */
  async function listen(kind, track) {
    const generation = ++probe.generation[kind];
    probe.sounds[kind] = [];
    const processor = new MediaStreamTrackProcessor({ track, maxBufferSize: 200 });
    const reader = processor.readable.getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done || generation !== probe.generation[kind]) {
        value?.close();
        reader.cancel().catch(() => {});
        return;
      }
      const samples = new Float32Array(value.numberOfFrames);
      value.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
      const record = {
        time: value.timestamp / 1000, // ms
        at: performance.now(),
        rate: value.sampleRate,
        samples: Int16Array.from(samples, (x) => Math.max(-32768, Math.min(32767, Math.round(32767 * x)))),
      };
      value.close();
      bounded(probe.sounds[kind], record, probe);
    }
  }

  const begin = (kind, track) => listen(kind, track).catch((error) => probe.errors.push(`${kind}: ${error}`));

  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (constraints) => {
    const stream = await open(constraints);
    for (const track of stream.getAudioTracks()) begin("microphone", track);
    return stream;
  };

  const Peer = globalThis.RTCPeerConnection;
  globalThis.RTCPeerConnection = class extends Peer {
    constructor(...options) {
      super(...options);
      probe.peer = this;
      this.addEventListener("track", ({ track }) => {
        if (track.kind === "audio") begin("voice", track);
      });
    }
  };

  /** How long the device still holds a sample after the browser's mixer took it, in ms, and how sure. */
  async function playout() {
    const found = { seconds: 0, samples: 0, video: null };
    if (!probe.peer) return found;
    for (const stat of (await probe.peer.getStats()).values()) {
      if (stat.type === "media-playout") {
        found.seconds += stat.totalPlayoutDelay;
        found.samples += stat.totalSamplesCount;
      }
      if (stat.type === "inbound-rtp" && stat.kind === "video") found.video = stat;
    }
    return found;
  }

  // --- picture -----------------------------------------------------------------------------------

  /** CRC-8, as benchmarks/live/barcode.py draws it. */
  function crc8(index) {
    let crc = 0x55;
    for (const byte of [index >> 16, (index >> 8) & 0xff, index & 0xff]) {
      crc ^= byte;
      for (let i = 0; i < 8; i += 1) crc = crc & 0x80 ? ((crc << 1) ^ 0x07) & 0xff : crc << 1;
    }
    return crc;
  }

  /** The index drawn in the first rows of a luma plane, or null. */
  function decode(luma, offset, stride, size) {
    const inner = Math.floor(size / 4);
    const levels = [];
    for (let cell = 0; cell < CELLS; cell += 1) {
      let sum = 0;
      for (let y = inner; y < size - inner; y += 1) {
        for (let x = inner; x < size - inner; x += 1) sum += luma[offset + y * stride + cell * size + x];
      }
      levels.push(sum / (size - 2 * inner) ** 2);
    }
    const white = Math.min(levels[0], levels[CELLS - 1]);
    const black = Math.max(levels[1], levels[CELLS - 2]);
    if (white - black < LEAST_CONTRAST) return null;
    const bits = levels.slice(2, -2).map((level) => (level > (white + black) / 2 ? 1 : 0));
    let index = 0;
    let bit = 0;
    for (let i = 0; i < INDEX_BITS; i += 1) {
      bit ^= bits[i]; // Gray to binary
      index = index * 2 + bit;
    }
    const check = bits.slice(INDEX_BITS).reduce((sum, b) => sum * 2 + b, 0);
    return crc8(index) === check ? index : null;
  }

  /** Luma of a box, each 2 x 2 pixels averaged: Uint8Array. */
  function luma(plane, { offset, stride }, [x, y, width, height]) {
    const small = new Uint8Array((width / 2) * (height / 2));
    for (let row = 0, i = 0; row < height; row += 2) {
      for (let column = 0; column < width; column += 2, i += 1) {
        const a = offset + (y + row) * stride + x + column;
        small[i] = (plane[a] + plane[a + 1] + plane[a + stride] + plane[a + stride + 1] + 2) >> 2;
      }
    }
    return small;
  }

  async function look(video, meta) {
    const picture = new VideoFrame(video);
    try {
      if (!/^(I420|NV12)/.test(picture.format)) throw new Error(`picture format ${picture.format}`);
      const bytes = new Uint8Array(picture.allocationSize());
      const [plane] = await picture.copyTo(bytes);
      const { width, height } = picture.visibleRect;
      const size = Math.floor(width / CELLS / 2) * 2;
      const inside = ([x, y, w, h]) => x + w <= width && y + h <= height;
      const box = (name) => {
        const area = probe.boxes[name];
        return area && inside(area) ? luma(bytes, plane, area) : null;
      };
      const record = {
        index: size >= 4 ? decode(bytes, plane.offset, plane.stride, size) : null,
        presented: meta.presentationTime,
        displayed: meta.expectedDisplayTime,
        received: meta.receiveTime ?? null,
        rtp: meta.rtpTimestamp ?? null,
        count: meta.presentedFrames,
        mouth: box("mouth"),
        control: box("control"),
      };
      bounded(probe.frames, record, probe);
    } finally {
      picture.close();
    }
  }

  const heard = new WeakSet();
  const watched = new WeakSet();
  function watch(video) {
    if (watched.has(video)) return;
    watched.add(video);
    const step = (now, meta) => {
      video.requestVideoFrameCallback(step);
      if (video.srcObject) look(video, meta).catch((error) => probe.errors.push(`picture: ${error}`));
    };
    video.requestVideoFrameCallback(step);
  }

  const source = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, "srcObject");
  Object.defineProperty(HTMLMediaElement.prototype, "srcObject", {
    ...source,
    set(stream) {
      source.set.call(this, stream);
      if (stream && this instanceof HTMLVideoElement) watch(this);
      // Over a WebSocket the voice comes from no peer connection.
      const [voice] = stream instanceof MediaStream && !probe.peer ? stream.getAudioTracks() : [];
      if (voice && !heard.has(voice)) {
        heard.add(voice);
        begin("voice", voice);
      }
    },
  });

  // --- handing over ------------------------------------------------------------------------------

  /** Bytes of typed arrays, one after the other, as base64. */
  function base64(arrays) {
    let text = "";
    for (const array of arrays) {
      const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
      for (let i = 0; i < bytes.length; i += 8192) {
        text += String.fromCharCode(...bytes.subarray(i, i + 8192));
      }
    }
    return btoa(text);
  }

  function take() {
    const frames = probe.frames.splice(0);
    const sound = (kind) => {
      const records = probe.sounds[kind].splice(0);
      return {
        generation: probe.generation[kind],
        packets: records.map(({ time, at, rate, samples }) => [time, at, rate, samples.length]),
        samples: base64(records.map(({ samples }) => samples)),
      };
    };
    // One string: the driver's own serialisation of nested arrays would hold up the page's thread.
    return JSON.stringify({
      frames: frames.map((f) => [f.index, f.presented, f.displayed, f.received, f.rtp, f.count]),
      mouth: base64(frames.map((f) => f.mouth ?? new Uint8Array())),
      control: base64(frames.map((f) => f.control ?? new Uint8Array())),
      microphone: sound("microphone"),
      voice: sound("voice"),
      clicks: probe.clicks.splice(0),
      errors: probe.errors.splice(0),
      lost: probe.lost,
    });
  }
})();

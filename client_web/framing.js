// Binary messages of the WebSocket path, as server/ws/framing.py describes them. Pure.

export const VERSION = 1;
export const VOICE = 1;
export const FACE = 2;
export const MICROPHONE = 3;
export const ACKNOWLEDGEMENT = 4;

const HEADER = 16;
const KEY_FRAME = 1;
const LARGEST = 2 ** 32;

/** One packet as the bytes of a message; `payload` is a Uint8Array. */
export function pack(kind, sequence, pts = 0, payload = new Uint8Array()) {
  const message = new Uint8Array(HEADER + payload.byteLength);
  const view = new DataView(message.buffer);
  view.setUint8(0, VERSION);
  view.setUint8(1, kind);
  view.setUint32(4, sequence % LARGEST);
  view.setUint32(8, Math.floor(pts / LARGEST));
  view.setUint32(12, pts % LARGEST);
  message.set(payload, HEADER);
  return message;
}

/** {kind, key, generation, sequence, pts, payload} of a message (an ArrayBuffer), or null. */
export function parse(data) {
  if (data.byteLength < HEADER) return null;
  const view = new DataView(data);
  if (view.getUint8(0) !== VERSION) return null;
  return {
    kind: view.getUint8(1),
    key: (view.getUint8(2) & KEY_FRAME) !== 0,
    generation: view.getUint8(3),
    sequence: view.getUint32(4),
    pts: view.getUint32(8) * LARGEST + view.getUint32(12),
    payload: new Uint8Array(data, HEADER),
  };
}

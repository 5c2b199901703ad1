// Types of visavis.js.

export type State = "idle" | "connecting" | "connected" | "live" | "resuming" | "reconnecting" | "closed";

export interface StateDetail {
  state: State;
  /** Of a reconnection, from 0. */
  attempt?: number;
  /** Milliseconds until the next attempt. */
  wait?: number;
  /** The old session could not be resumed in time. */
  away?: boolean;
}

/** Once a second. Times in milliseconds; what nobody told is null. */
export interface Stats {
  at: number;
  fps: number;
  width: number | null;
  height: number | null;
  codec: string | null;
  framesDecoded: number;
  framesDropped: number;
  freezes: number;
  packetsLost: number;
  packetMs: number | null;
  videoBufferMs: number | null;
  audioBufferMs: number | null;
  decodeMs: number | null;
  roundTripMs: number | null;
  /** From the microphone to the picture: the sum of `parts`. */
  delayMs: number | null;
  parts: { name: "packet" | "network" | "server" | "buffer" | "decode"; ms: number }[];
  /** What the server says of the session. */
  server: Record<string, unknown> | null;
}

export type ServerErrorKind =
  | "unreachable"
  | "starting"
  | "full"
  | "token"
  | "person"
  | "gone"
  | "blocked"
  | "unseen"
  | "refused";

export class ServerError extends Error {
  readonly kind: ServerErrorKind;
  readonly status: number;
  /** Seconds after which to ask again. */
  readonly retryAfter: number | null;
}

/** What `speak` takes: decoded sound, an audio file, or samples in [-1, 1]. */
export type Speech = AudioBuffer | Blob | ArrayBuffer | { samples: Float32Array; sampleRate: number };

/** What may be chosen of some persons; what there is stands in the server's /persons. */
export interface Controls {
  /** A name, names and weights, or a code's numbers. */
  style?: string | Record<string, number> | number[];
  head?: string;
  /** null for the voice's own. */
  performance?: string | null;
}

/** What a browser can draw. */
export type Picture =
  | Blob
  | ImageBitmap
  | ImageData
  | HTMLImageElement
  | HTMLVideoElement
  | HTMLCanvasElement
  | OffscreenCanvas;

/**
 * What stands behind the person: "#rrggbb", one of the server's pictures by name, or a picture, which
 * is sent to the server. "transparent" makes the stream's picture twice as high: colour on black above,
 * how much of it is the person below; the element draws that so that the page is seen through it.
 */
export type Background = "filmed" | "blurred" | "transparent" | `#${string}` | { picture: string } | Picture;

/** How near the person is: a word, or a part of the frame around (x, y), both 0 to 1; zoom is 1 to 4. */
export type Framing = "filmed" | "shoulders" | "face" | { zoom: number; x?: number; y?: number };

export interface Look {
  background?: Background;
  framing?: Framing;
}

/** The whole choice. */
export interface Choice {
  style: number[] | null;
  head: string | null;
  performance: string | null;
  background: "filmed" | "blurred" | "transparent" | `#${string}` | { picture: string };
  framing: "filmed" | "shoulders" | "face" | { zoom: number; x: number; y: number };
}

export interface RecordingStatus {
  recording: boolean;
  name: string | null;
  seconds: number;
  bytes: number;
  /** Why it could not go on. */
  failed: string | null;
}

/** A recording that the server makes of a session. */
export interface ServerRecording {
  readonly name: string;
  /** Where the file is; with a token, only `blob` gets it. */
  readonly address: string;
  /** null where the session is gone. */
  status(): Promise<RecordingStatus | null>;
  /** Resolves once the file is whole. */
  stop(): Promise<RecordingStatus | null>;
  /** The file, an MP4. */
  blob(): Promise<Blob>;
}

interface AvatarEvents {
  connected: CustomEvent<MediaStream>;
  speaking: CustomEvent<boolean>;
  state: CustomEvent<StateDetail>;
  stats: CustomEvent<Stats>;
  error: CustomEvent<ServerError>;
  controls: CustomEvent<Choice | ServerError>;
}

export interface ConnectOptions extends Look {
  /** The server's address. */
  src: string | URL;
  /** A person's name; the server's own choice without one. */
  person?: string | null;
  token?: string | null;
  /** true opens the microphone; a MediaStream is taken as it is. */
  mic?: boolean | MediaStream | null;
  /** Forces one way; without it whichever gets through. */
  path?: "webrtc" | "websocket" | null;
  /** Through TURN alone. */
  relay?: boolean;
  /** What is chosen from the start. */
  controls?: Controls;
}

export class Avatar extends EventTarget {
  /** Face and voice; the same object all its life. */
  readonly stream: MediaStream;
  readonly speaking: boolean;
  readonly state: State;
  listen(mic: boolean | MediaStream | null): Promise<void>;
  /** Resolves with true when it was said, with false when it was cleared. */
  speak(audio: Speech): Promise<boolean>;
  /** Barge-in. */
  clear(): Promise<void>;
  /** null where there is no session yet; the next one is told. */
  control(changes: Controls & Look): Promise<Choice | null>;
  look(changes: Look): Promise<Choice | null>;
  /** Records on the server, where it does. */
  record(): Promise<ServerRecording>;
  close(): Promise<void>;
  addEventListener<K extends keyof AvatarEvents>(
    type: K,
    listener: (event: AvatarEvents[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

export function connect(options: ConnectOptions): Promise<Avatar>;

/**
 * <visavis-avatar src person token mic muted path relay background framing>. The last two as words:
 * a background's word, a colour or the name of one of the server's pictures; a framing's word, or
 * "zoom x y". They may change at any time.
 */
export class VisavisAvatar extends HTMLElement {
  readonly video: HTMLVideoElement;
  readonly stream: MediaStream | null;
  readonly state: State;
  muted: boolean;
  connect(options?: {
    microphone?: MediaStream | false | null;
    steady?: boolean;
    controls?: Controls;
    background?: Background;
    framing?: Framing;
  }): Promise<MediaStream>;
  speak(audio: Speech): Promise<boolean>;
  clear(): Promise<void>;
  control(changes: Controls & Look): Promise<Choice | null>;
  look(changes: Look): Promise<Choice | null>;
  /** Records on the server, where it does. */
  record(): Promise<ServerRecording>;
  close(): Promise<void>;
  disconnect(): Promise<void>;
}

/** Puts an avatar in the place of camera and microphone; returns what undoes it. */
export function replaceCamera(
  open: (getUserMedia: MediaDevices["getUserMedia"]) => Promise<Avatar> | Avatar,
  devices?: MediaDevices,
): () => void;

/** On a call's page: `replaceCamera` with an avatar that has the real microphone's voice. */
export function takePart(options: Pick<ConnectOptions, "src" | "person" | "token" | "path">): () => void;

declare global {
  interface HTMLElementTagNameMap {
    "visavis-avatar": VisavisAvatar;
  }
}

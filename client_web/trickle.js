// ICE candidates on their way to the server (RFC 8840 fragments in a PATCH, as in RFC 9725).

const value = (sdp, name) => sdp.match(new RegExp(`^a=${name}:(.*)$`, "m"))?.[1].trim();

/**
 * The body of a PATCH with application/trickle-ice-sdpfrag.
 * `candidates` are RTCIceCandidate of one bundle; `end` says that there will be no more.
 */
export function fragment(offer, candidates, end) {
  const media = offer.match(/^m=.*$/m)?.[0].trim() ?? "m=audio 9 UDP/TLS/RTP/SAVPF 0";
  const lines = [
    `a=ice-ufrag:${value(offer, "ice-ufrag")}`,
    `a=ice-pwd:${value(offer, "ice-pwd")}`,
    media,
    `a=mid:${value(offer, "mid") ?? "0"}`,
    ...candidates.map((candidate) => `a=${candidate.candidate.replace(/^a=/, "")}`),
  ];
  if (end) lines.push("a=end-of-candidates");
  return `${lines.join("\r\n")}\r\n`;
}

/**
 * Collects candidates of a peer connection and hands them over in groups: what is there when
 * `start` is called, then whatever gathered within `wait` milliseconds.
 */
export class Trickle {
  #peer;
  #send = null;
  #waiting = [];
  #ended = false;
  #timer = null;
  #wait;

  constructor(peer, wait = 40) {
    this.#peer = peer;
    this.#wait = wait;
    peer.addEventListener("icecandidate", ({ candidate }) => {
      if (candidate?.candidate) this.#waiting.push(candidate);
      else this.#ended = true;
      this.#schedule();
    });
  }

  /** `send(body)` is called once for each group. */
  start(send) {
    this.#send = send;
    this.#schedule();
  }

  #schedule() {
    if (!this.#send || this.#timer !== null) return;
    if (!this.#waiting.length && !this.#ended) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      const body = fragment(this.#peer.localDescription.sdp, this.#waiting, this.#ended);
      this.#waiting = [];
      if (this.#ended) {
        this.#send(body);
        this.#send = null;
      } else this.#send(body);
    }, this.#wait);
  }
}

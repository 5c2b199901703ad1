// A video track made of decoded pictures.

/** Where a browser can make a track of pictures itself, it copies nothing and needs no canvas. */
class GeneratedTrack {
  #writer;

  constructor() {
    this.track = new MediaStreamTrackGenerator({ kind: "video" });
    this.#writer = this.track.writable.getWriter();
  }

  /** Shows a VideoFrame and closes it. */
  show(picture) {
    this.#writer.write(picture).catch(() => picture.close());
  }

  close() {
    this.#writer.close().catch(() => {});
    this.track.stop();
  }
}

class CanvasTrack {
  #canvas = document.createElement("canvas");
  #context = this.#canvas.getContext("2d", { alpha: false, desynchronized: true });

  constructor(width, height) {
    Object.assign(this.#canvas, { width, height });
    [this.track] = this.#canvas.captureStream().getVideoTracks();
  }

  show(picture) {
    const { displayWidth: width, displayHeight: height } = picture;
    if (this.#canvas.width !== width || this.#canvas.height !== height) Object.assign(this.#canvas, { width, height });
    this.#context.drawImage(picture, 0, 0);
    picture.close();
  }

  close() {
    this.track.stop();
  }
}

/** {track, show(VideoFrame), close()} for pictures of that size. */
export function pictureTrack(width, height) {
  return globalThis.MediaStreamTrackGenerator ? new GeneratedTrack() : new CanvasTrack(width, height);
}

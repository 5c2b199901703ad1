// What differs between browsers, in one place.

/** Every browser on an iPhone or iPad, and Safari on a Mac, runs Apple's engine. */
export const isApple = typeof navigator !== "undefined" && navigator.vendor.startsWith("Apple");

/**
 * Video codecs for `setCodecPreferences`, best first, or null to leave the browser's order.
 * Apple devices decode H.264 in hardware; elsewhere VP8 comes first already.
 */
export function preferredVideoCodecs(capabilities, apple = isApple) {
  if (!apple || !capabilities) return null;
  const rank = (codec) => (codec.mimeType.toLowerCase() === "video/h264" ? 0 : 1);
  // A stable sort keeps the browser's own order inside each group.
  return [...capabilities.codecs].sort((a, b) => rank(a) - rank(b));
}

/**
 * The container and codecs to record in, or "" for the browser's own choice.
 * Apple plays back what it records as MP4; the others record WebM most reliably.
 */
export function recordingType(supported, apple = isApple) {
  const mp4 = ["video/mp4;codecs=avc1.42E01F,mp4a.40.2", "video/mp4"];
  const webm = ["video/webm;codecs=vp8,opus", "video/webm"];
  return (apple ? [...mp4, ...webm] : [...webm, ...mp4]).find(supported) ?? "";
}

export const fullScreen = {
  possible: (element, video) =>
    Boolean(element.requestFullscreen || element.webkitRequestFullscreen || video.webkitEnterFullscreen),

  element: () => document.fullscreenElement ?? document.webkitFullscreenElement ?? null,

  /** Shows `element` on the whole screen, or goes back. An iPhone can do so with a video only. */
  async toggle(element, video) {
    if (fullScreen.element()) {
      await (document.exitFullscreen ?? document.webkitExitFullscreen).call(document);
      return;
    }
    const request = element.requestFullscreen ?? element.webkitRequestFullscreen;
    if (request) await request.call(element);
    else video.webkitEnterFullscreen?.();
  },

  listen(callback) {
    document.addEventListener("fullscreenchange", callback);
    document.addEventListener("webkitfullscreenchange", callback);
  },
};

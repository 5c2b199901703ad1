// The whole of a browser extension, or of a bookmarklet, on a call's page: the avatar is the camera.

import { connect } from "./avatar.js";
import { replaceCamera } from "./replace-camera.js";

/**
 * From now on this page's camera and microphone are the avatar's, and its voice is the real
 * microphone's. Returns a function that undoes it.
 */
export function takePart({ src, person = null, token = null, path = null }) {
  return replaceCamera(async (getUserMedia) =>
    connect({ src, person, token, path, mic: await getUserMedia({ audio: true }) }),
  );
}

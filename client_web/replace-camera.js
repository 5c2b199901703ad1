// On a page that takes part in a call: the avatar in the place of camera and microphone.

const CAMERA = "visavis-camera";
const MICROPHONE = "visavis-microphone";

/** A device as enumerateDevices lists it. */
function device(kind, deviceId, label) {
  const info = { deviceId, groupId: "visavis", kind, label };
  return { ...info, toJSON: () => info };
}

/** Whether constraints ask for the device of that id, or for none in particular. */
function wanted(constraints, id) {
  if (!constraints) return false;
  const asked = constraints === true ? null : constraints.deviceId;
  if (!asked) return true;
  const ids = [asked, asked.exact, asked.ideal].flat().filter((value) => typeof value === "string");
  return ids.length === 0 || ids.includes(id) || ids.includes("default");
}

/**
 * From now on `navigator.mediaDevices.getUserMedia` gives the avatar's face for a camera and its voice
 * for a microphone, where the page asks for the avatar's devices, or for any. Two devices more are
 * listed, first of all, so that a page's own menu offers them; another device that is chosen there is
 * the real one.
 *
 * `open`: a function that promises the Avatar; it is called once, when the page first asks. It gets
 * the real getUserMedia, for the voice that shall be heard. Returns a function that undoes it.
 */
export function replaceCamera(open, devices = navigator.mediaDevices) {
  const real = devices.getUserMedia.bind(devices);
  const list = devices.enumerateDevices.bind(devices);
  let opening = null;
  const avatar = async () => {
    opening ??= Promise.resolve(open(real));
    try {
      return await opening;
    } catch (error) {
      opening = null; // it may be asked again
      throw error;
    }
  };

  devices.getUserMedia = async (constraints = {}) => {
    const face = wanted(constraints.video, CAMERA);
    const voice = wanted(constraints.audio, MICROPHONE);
    if (!face && !voice) return real(constraints);
    const { stream } = await avatar();
    // Copies: a page may end its tracks and ask again.
    const tracks = [...(face ? stream.getVideoTracks() : []), ...(voice ? stream.getAudioTracks() : [])].map((track) =>
      track.clone(),
    );
    const rest = { audio: voice ? false : constraints.audio, video: face ? false : constraints.video };
    if (rest.audio || rest.video) tracks.push(...(await real(rest)).getTracks());
    return new MediaStream(tracks);
  };
  devices.enumerateDevices = async () => [
    device("videoinput", CAMERA, "visavis avatar"),
    device("audioinput", MICROPHONE, "visavis avatar"),
    ...(await list()),
  ];
  return () => {
    delete devices.getUserMedia;
    delete devices.enumerateDevices;
  };
}

// The clients as one module; `scripts/install-test-clients` bundles it.
export { WebRTCPlayer } from "@eyevinn/webrtc-player";
export { WHIPClient as EyevinnWHIP } from "@eyevinn/whip-web-client";
export { WHEPClient } from "whip-whep/whep.js";
export { WHIPClient } from "whip-whep/whip.js";

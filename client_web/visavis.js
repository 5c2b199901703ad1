// What a page of somebody else's takes from here; served whole, in one file, as /visavis.js.

import { ServerError } from "./api.js";
import { Avatar, connect } from "./avatar.js";
import { VisavisAvatar } from "./avatar-element.js";
import { replaceCamera } from "./replace-camera.js";
import { takePart } from "./take-part.js";

export { Avatar, ServerError, VisavisAvatar, connect, replaceCamera, takePart };

// Every text of the page. Functions take what the sentence names.

const seconds = (count) => (count === 1 ? "1 second" : `${count} seconds`);

// Why the connection is not the usual one; the kinds are those of client.js `ways`.
const detours = {
  asked: "Over WebSocket.",
  udp: "Over WebSocket: UDP seems to be closed here.",
  unsupported: "Over WebSocket: this browser has no WebRTC.",
};
const also = (sentence, detour) => (detour ? `${sentence} ${detours[detour]}` : sentence);

export const words = {
  page: {
    mark: "visavis",
    foot: "This picture is generated. Your voice goes to this server and comes back; nothing is kept unless you record or save it.",
    footRecorded: "This picture is generated. Your voice goes to this server and comes back; the server records every conversation.",
    stage: "The person",
    microphone: "Microphone",
    anyMicrophone: "Default microphone",
    persons: "Who speaks",
    numbers: "Numbers (I)",
    fullScreen: "Full screen (F)",
    replay: "Play once more",
    look: "Background and framing (L)",
  },

  controls: {
    title: "How the person is shown",
    style: "Style",
    head: "Head",
    heads: { own: "As filmed", still: "Still", generated: "With the voice", driven: "As in a clip" },
    performance: "Lips",
    voice: "Your voice",
    refused: (sentence) => `That cannot be chosen. ${sentence}`,
  },

  look: {
    title: "Background and framing",
    background: "Background",
    framing: "Framing",
    filmed: "As filmed",
    blurred: "Blurred",
    colours: { "#ece7de": "Paper", "#27343f": "Slate", "#00b140": "Green" },
    colour: "Colour",
    own: "Yours",
    colourInput: "A colour of your own",
    fileInput: "A picture of your own",
    framings: { filmed: "As filmed", shoulders: "Shoulders", face: "Face" },
    refused: (sentence) => `That cannot be shown. ${sentence}`,
  },

  recorded: {
    text: (clock) => `${clock} recorded`,
    failed: (sentence) => `The recording is not whole. ${sentence}`,
    refused: (sentence) => `That cannot be recorded. ${sentence}`,
    close: "Close",
  },

  /** Of a person that this machine is too slow for: pictures a second. */
  slow: (pace) =>
    pace < 0.95
      ? `This person takes about ${seconds(Math.round(1 / pace))} for a picture on this machine.`
      : `This person makes about ${Math.round(pace)} ${Math.round(pace) === 1 ? "picture" : "pictures"} a second on this machine.`,

  // What stands under the picture: [title, hint].
  states: {
    loading: () => ["", ""],
    starting: () => ["The server is getting ready", "It is loading the people it can show. This page goes on by itself."],
    token: () => ["This server asks for a token", "Whoever runs the server can give you one."],
    ready: ({ name }) => [`Speak as ${name}`, `A few words are enough. ${name} says them with your voice.`],
    asking: () => ["May I listen?", "Your browser asks for the microphone. Choose Allow."],
    connecting: ({ detour }) => ["One moment", also("Connecting to the server.", detour)],
    listening: ({ take, detour }) => ["Speak now", also(`Up to ${seconds(take)}, a sentence or two.`, detour)],
    recording: () => ["I hear you", "It ends by itself when you stop."],
    finishing: () => ["Here it comes", "Putting picture and voice together."],
    replay: ({ name }) => [`${name}, with your voice`, "Again, or talk live?"],
    live: ({ name, hearing, detour }) => [
      `${name} moves as you talk`,
      also(hearing ? "You hear yourself a little late." : "Silent here, so that you can talk freely.", detour),
    ],
    muted: ({ name }) => ["Your microphone is off", `${name} waits. Press M to go on.`],
    resuming: ({ name }) => ["One moment", `The network was interrupted. ${name} comes back by itself.`],
    reconnecting: ({ wait, away }) => [
      "The connection is lost",
      `${away ? "It could not go on where it was. " : ""}${wait > 0 ? `Trying again in ${seconds(wait)}.` : "Trying again now."}`,
    ],
    full: ({ wait }) => ["Every place is taken", wait > 0 ? `Trying again in ${seconds(wait)}.` : "Trying again now."],
    problem: () => ["", ""],
  },

  // What a screen reader says while the sighted watch a countdown.
  spoken: {
    recording: ({ take }) => `I hear you. Up to ${seconds(take)}.`,
  },

  badges: {
    listening: "Listening",
    recording: "Recording",
    recorded: "Recording",
    replay: "Your words",
    live: "Live",
    muted: "Microphone off",
    resuming: "One moment",
    reconnecting: "Reconnecting",
  },

  actions: {
    say: "Say something",
    talk: "Talk live",
    again: "Again",
    stop: "Stop",
    cancel: "Cancel",
    end: "End",
    retry: "Try again",
    retryNow: "Try now",
    back: "Back",
    goOn: ({ name }) => `Go on with ${name}`,
    mute: "Mute",
    unmute: "Unmute",
    hear: "Hear me live",
    unhear: "Stop hearing me",
    record: "Record",
    save: "Save",
    wait: "One moment",
    useToken: "Continue",
    headphonesOn: "Headphones are on",
    headphonesNo: "Not now",
  },

  token: { label: "Token", wrong: "The server did not accept this token." },

  headphones: {
    title: "Are you wearing headphones?",
    text: "You hear yourself late, which makes it hard to talk. Through loudspeakers the microphone would hear it too.",
  },

  // [title, hint] for whatever can go wrong; the kinds are those of MicrophoneError and ServerError.
  problems: {
    insecure: () => [
      "The microphone needs a secure page",
      "Browsers give it to https pages and localhost only. Start the server with --https, then open the https address.",
    ],
    refused: () => [
      "The microphone was refused",
      "Allow it for this page in your browser, usually beside the address, then try again.",
    ],
    absent: () => ["No microphone was found", "Plug one in, or switch it on, then try again."],
    busy: () => ["The microphone is busy", "Another program may be using it. Close that program, then try again."],
    lost: () => ["The microphone is gone", "It was unplugged or taken away. Plug it in, or choose another one."],
    unheard: () => ["I did not hear you", "Is this the right microphone, and is it switched on?"],
    unreachable: () => ["The server does not answer", "Is it running? This page tries again when you ask it to."],
    blocked: () => [
      "Sound and picture do not get through",
      "The server answers, but a firewall may stand between. It may need a TURN server.",
    ],
    unseen: () => ["The picture does not come", "You are connected, but the server sends no picture. It may have too much to do."],
    empty: () => ["Nothing was recorded", "The browser had no time for it. Once more?"],
    person: ({ name }) => [`${name} is not here`, "The server does not have this person."],
    nobody: () => ["Nobody is here yet", "The server has no person to show. Start it with a person file."],
    unsupported: () => ["This browser cannot do it", "It has neither WebRTC nor WebCodecs. A recent Chrome, Firefox, Edge or Safari has."],
    failed: () => ["The server could not get ready", "It failed to load the people it shows. Its log says why."],
    refusedByServer: ({ message }) => ["The server said no", message || "It gave no reason. Its log may tell more."],
    unexpected: ({ message }) => ["Something went wrong", message],
  },

  panel: {
    title: "Numbers",
    empty: "They appear once you are connected.",
    fps: "Pictures per second",
    delay: "Voice to picture",
    roundTrip: "Round trip",
    dropped: "Dropped here",
    skipped: "Skipped by the server",
    lost: "Packets lost",
    picture: "Picture",
    path: "Path",
    paths: { webrtc: "WebRTC", websocket: "WebSocket" },
    unknown: "–",
    note: "The delay is the sum of what both ends measure. The microphone's and the screen's own are not in it.",
    parts: {
      packet: "Microphone packet",
      network: "Network, both ways",
      server: "Server",
      buffer: "Browser's buffer",
      decode: "Decoding",
    },
    ms: (value) => `${Math.round(value)} ms`,
  },
};

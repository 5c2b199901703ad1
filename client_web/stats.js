// From getStats() and the server's own numbers to what people want to know. Pure.

/** Seconds between two entries of the same counter, 0 where there is only one. */
const between = (now, before) => (now && before ? (now.timestamp - before.timestamp) / 1000 : 0);
const average = (sum, count) => (count > 0 ? (1000 * sum) / count : null);

/** The counters of one getStats() report that matter here; `report` is any iterable of entries. */
export function read(report) {
  const counters = { at: null, video: null, audio: null, sent: null, roundTrip: null, codec: null };
  const entries = new Map();
  for (const [id, entry] of report.entries()) entries.set(id, entry);
  for (const entry of entries.values()) {
    if (entry.type === "inbound-rtp" && entry.kind === "video") counters.video = entry;
    else if (entry.type === "inbound-rtp" && entry.kind === "audio") counters.audio = entry;
    else if (entry.type === "outbound-rtp" && entry.kind === "audio") counters.sent = entry;
    else if (entry.type === "remote-inbound-rtp" && entry.roundTripTime > 0) {
      counters.roundTrip ??= entry.roundTripTime;
    } else if (
      entry.type === "candidate-pair" &&
      (entry.nominated || entry.selected) &&
      entry.currentRoundTripTime !== undefined
    ) {
      counters.roundTrip = entry.currentRoundTripTime;
    }
  }
  counters.at = (counters.video ?? counters.audio ?? counters.sent)?.timestamp ?? null;
  counters.codec = entries.get(counters.video?.codecId)?.mimeType?.split("/")[1] ?? null;
  return counters;
}

/** Mean milliseconds that what came out of a jitter buffer since `before` had spent in it. */
function buffered(now, before) {
  if (now?.jitterBufferEmittedCount === undefined) return null;
  return average(
    now.jitterBufferDelay - (before?.jitterBufferDelay ?? 0),
    now.jitterBufferEmittedCount - (before?.jitterBufferEmittedCount ?? 0),
  );
}

/**
 * One reading. `now` and `before` come from `read` (`before` may be null), `server` is the JSON of
 * /sessions/ID/stats or null. Times in milliseconds; what nobody told is null.
 *
 * `delayMs` is the sum of `parts`: from the microphone to the picture. It counts what both ends
 * measure themselves; the microphone's own and the screen's own delay are not in it.
 */
export function summarise(now, before, server) {
  const { video, sent } = now;
  const watched = between(video, before?.video);
  const talked = between(sent, before?.sent);
  const decoded = (video?.framesDecoded ?? 0) - (before?.video?.framesDecoded ?? 0);
  const decodeTime = (video?.totalDecodeTime ?? 0) - (before?.video?.totalDecodeTime ?? 0);
  const packets = (sent?.packetsSent ?? 0) - (before?.sent?.packetsSent ?? 0);
  const roundTripMs = now.roundTrip === null ? null : 1000 * now.roundTrip;
  const summary = {
    at: now.at,
    fps: video?.framesPerSecond ?? (watched > 0 ? decoded / watched : 0),
    width: video?.frameWidth ?? null,
    height: video?.frameHeight ?? null,
    codec: now.codec,
    framesDecoded: video?.framesDecoded ?? 0,
    framesDropped: video?.framesDropped ?? 0,
    freezes: video?.freezeCount ?? 0,
    packetsLost: (video?.packetsLost ?? 0) + (now.audio?.packetsLost ?? 0),
    packetMs: talked > 0 && packets > 0 ? (1000 * talked) / packets : null,
    videoBufferMs: buffered(video, before?.video),
    audioBufferMs: buffered(now.audio, before?.audio),
    decodeMs: average(decodeTime, decoded),
    roundTripMs,
    server,
  };
  summary.parts = parts(summary);
  summary.delayMs = summary.parts.some((part) => part.name === "server")
    ? summary.parts.reduce((sum, part) => sum + part.ms, 0)
    : null;
  return summary;
}

function parts({ packetMs, roundTripMs, server, videoBufferMs, decodeMs }) {
  return [
    { name: "packet", ms: packetMs },
    { name: "network", ms: roundTripMs },
    { name: "server", ms: server?.server_delay_ms ?? null },
    { name: "buffer", ms: videoBufferMs },
    { name: "decode", ms: decodeMs },
  ].filter((part) => Number.isFinite(part.ms));
}

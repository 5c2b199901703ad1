// The voice's buffer: packets in as they come, steady samples out. What it has played is the clock
// of the WebSocket path. Pure; it runs in the audio worklet.
//
// A packet's slack is how long it waits for its turn. The least slack of the last two seconds should
// be a small margin, which grows at once when sound came too late and shrinks slowly. What is more is
// left out where nobody speaks, or at once where it is much; what is less is waited for.

const RATE = 48000;
const MILLISECOND = RATE / 1000;
const LEAST_MARGIN = 12 * MILLISECOND; // devices take sound in pieces of about 10 ms
const MOST_MARGIN = 60 * MILLISECOND;
const MARGIN_STEP = 10 * MILLISECOND;
const MARGIN_DECAY = 1 / RATE; // ms of margin lost for each sample played: 1 ms a second
const WINDOW = 2 * RATE;
const STARTING = RATE; // in which the depth is set at once
const PLAN = 100 * MILLISECOND;
const FEWEST = 5; // packets to judge by
const TOLERANCE = 5 * MILLISECOND;
const MUCH = 120 * MILLISECOND;
const LIMIT = 100; // packets, 2 s; of more the oldest are left out
const FADE = 5 * MILLISECOND;
const QUIET = 0.004; // of full scale, about -48 dB

const loudest = (samples) => samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);

export class Ring {
  #packets = []; // {pts, samples}, in order
  #offset = 0; // samples of the first packet that were played
  #margin = LEAST_MARGIN;
  #slacks = []; // {at: samples played when a packet came, slack}
  #generation = 0;
  #hold = 0; // samples for which time stands still on purpose
  #planned = 0;
  #gain = 0; // 0 to 1: sound begins and ends with a fade
  #last = 0; // the last sample that sounded
  #dry = true; // nothing to play
  #stood = 0; // samples for which time has stood still since

  position = null; // pts of the next sample; null until there is one
  played = 0; // samples given out since then, silence included
  least = 0; // a margin that is wanted in any case
  underruns = 0;
  skipped = 0; // samples left out
  missing = 0; // samples of silence in place of sound

  /** Samples that are there and not played. */
  get depth() {
    return this.#packets.reduce((sum, { samples }) => sum + samples.length, -this.#offset);
  }

  /** The slack that is kept on purpose. */
  get margin() {
    return Math.max(this.#margin, this.least);
  }

  /** Takes a packet: `samples` (Float32Array, 48 kHz, mono) that begin at `pts`. */
  push(pts, samples, generation = 0) {
    if (generation !== this.#generation) {
      this.#generation = generation;
      this.#skip(this.depth);
    }
    const last = this.#packets.at(-1);
    const end = last ? last.pts + last.samples.length : this.position;
    if (end !== null && pts < end) return; // they come in order; this one came before
    if (this.position === null) {
      this.position = pts;
      this.#hold = this.margin;
    } else if (this.#dry && !last) {
      // Where the sender left something out, the time of it is over already.
      this.position += Math.min(this.#stood, pts - this.position);
    }
    this.#stood = 0;
    this.#slacks.push({ at: this.played, slack: pts - this.position + this.#hold });
    this.#packets.push({ pts, samples });
    if (this.#packets.length > LIMIT) this.#skip(this.#packets[0].samples.length - this.#offset);
  }

  /** Fills `out` (Float32Array) with the next samples. */
  pull(out) {
    if (this.position === null) {
      out.fill(0);
      return;
    }
    if (this.played - this.#planned >= PLAN) this.#plan();
    for (let i = 0; i < out.length; i += 1) out[i] = this.#next();
    this.played += out.length;
  }

  #plan() {
    this.#margin = Math.max(LEAST_MARGIN, this.#margin - MILLISECOND * MARGIN_DECAY * (this.played - this.#planned));
    this.#planned = this.played;
    while (this.#slacks.length && this.#slacks[0].at < this.played - WINDOW) this.#slacks.shift();
    if (this.#slacks.length < FEWEST || this.#dry) return;
    const surplus = Math.round(Math.min(...this.#slacks.map(({ slack }) => slack)) - this.margin);
    const free = this.played < STARTING || loudest(this.#packets[0]?.samples ?? []) < QUIET;
    if (surplus > MUCH || (free && surplus > TOLERANCE)) this.#skip(surplus);
    else if (free && surplus < -TOLERANCE) this.#wait(-surplus);
  }

  /** Leaves out up to `count` samples, with a fade. */
  #skip(count) {
    let left = Math.min(count, this.depth);
    this.skipped += left;
    this.#shift(-left);
    while (left > 0) {
      const there = this.#packets[0].samples.length - this.#offset;
      const taken = Math.min(left, there);
      this.position = this.#packets[0].pts + this.#offset + taken;
      left -= taken;
      this.#offset += taken;
      if (taken === there) {
        this.#packets.shift();
        this.#offset = 0;
      }
      this.#gain = 0;
    }
  }

  /** Lets time stand still for `count` samples. */
  #wait(count) {
    this.#hold += count;
    this.#shift(count);
  }

  #shift(slack) {
    for (const entry of this.#slacks) entry.slack += slack;
  }

  #next() {
    const first = this.#packets[0];
    const held = this.#hold > 0;
    if (!first && !held && !this.#dry) {
      this.#dry = true;
      this.underruns += 1;
      this.#margin = Math.min(MOST_MARGIN, this.#margin + MARGIN_STEP);
    }
    if (!first || held || this.position < first.pts) {
      if (held) this.#hold -= 1;
      else if (first) this.position += 1; // the sender left something out: time goes on
      else this.#stood += 1;
      this.missing += 1;
      this.#gain = Math.max(0, this.#gain - 1 / FADE);
      return this.#last * this.#gain;
    }
    this.#dry = false;
    this.#last = first.samples[this.#offset];
    this.#offset += 1;
    this.position += 1;
    if (this.#offset === first.samples.length) {
      this.#packets.shift();
      this.#offset = 0;
    }
    this.#gain = Math.min(1, this.#gain + 1 / FADE);
    return this.#last * this.#gain;
  }
}

// Which picture is shown when: each at the moment its voice leaves for the ear. Pure but for closing pictures.

const EARLY = 5000; // µs; half of the clock's step, so that it is right on average
const LIMIT = 12; // pictures that wait

export class Shutter {
  #waiting = []; // VideoFrame or anything with timestamp (µs) and close()
  #lateness = []; // µs by which the last pictures came after their voice; negative: before

  dropped = 0;

  /** Takes a decoded picture; `now` is the pts in µs that is being heard, null where unknown. */
  add(picture, now) {
    if (now !== null) {
      this.#lateness.push(now - picture.timestamp);
      if (this.#lateness.length > 50) this.#lateness.shift();
    }
    this.#waiting.push(picture);
    if (this.#waiting.length > LIMIT) this.#drop();
  }

  /** The picture to show at `now`, or null; who gets it closes it. Without a clock, the newest. */
  take(now) {
    const due = ({ timestamp }) => now === null || timestamp <= now + EARLY;
    while (this.#waiting.length > 1 && due(this.#waiting[1])) this.#drop();
    return this.#waiting.length && due(this.#waiting[0]) ? this.#waiting.shift() : null;
  }

  /** ms by which most pictures (nine of ten) come after their voice, or null. */
  get late() {
    if (this.#lateness.length < 12) return null;
    const sorted = [...this.#lateness].sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length * 0.9)] / 1000;
  }

  /** The clock was moved by so many ms (later when positive) for all that comes. */
  moved(ms) {
    this.#lateness = this.#lateness.map((late) => late - 1000 * ms);
  }

  clear() {
    while (this.#waiting.length) this.#waiting.shift().close();
    this.#lateness = [];
  }

  #drop() {
    this.#waiting.shift().close();
    this.dropped += 1;
  }
}

// What was chosen in a session, and told again to one that is made anew. No DOM.

import { OWN, isPicture, jpegOf } from "./look.js";

export class Choices {
  #api;
  #changes = {}; // all of them, one over another
  #own = null; // the JPEG that stands behind the person
  #version = 0; // grows with every change
  #told = { session: null, version: 0 };

  constructor(api) {
    this.#api = api;
  }

  /** Begins anew with `changes`. Throws ServerError where a background is no picture. */
  async begin(changes) {
    this.#changes = {};
    this.#told = { session: null, version: 0 };
    await this.change(null, changes);
  }

  /**
   * Chooses in `session` and resolves with its whole choice; with null where `session` is null: then
   * the next one is told. Throws ServerError; everything stays as it was then.
   */
  async change(session, changes) {
    const own = isPicture(changes.background) ? await jpegOf(changes.background) : null;
    const asked = own ? { ...changes, background: OWN } : changes;
    if (session && own) await this.#api.upload(session, own);
    const choice = session ? await this.#api.control(session, asked) : null;
    this.#own = own ?? this.#own;
    this.#changes = { ...this.#changes, ...asked };
    this.#version += 1;
    // What was refused, or chosen before there was a session, is not told by this.
    if (this.#told.session === session && this.#told.version === this.#version - 1) this.#told.version += 1;
    return choice;
  }

  /** Tells `session` what it has not been told; resolves with its choice, null where that is nothing. */
  async tell(session) {
    const version = this.#version;
    const changes = this.#changes;
    if (this.#told.session === session && this.#told.version === version) return null;
    this.#told = { session, version };
    if (!Object.keys(changes).length) return null;
    if (changes.background?.picture === OWN.picture && this.#own) await this.#api.upload(session, this.#own);
    return this.#api.control(session, changes);
  }
}

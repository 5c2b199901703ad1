// The button that records while talking live, and what becomes of the recording.

import { ServerError } from "./api.js";
import { LiveRecording } from "./live-recording.js";
import { clock } from "./view.js";
import { words } from "./words.js";

const text = words.recorded;

export class Keeping {
  #view;
  #avatar;
  #recording = null;
  #busy = false;
  #kept = null; // {blob(), extension}: what can be saved
  #name = "";

  /** Whether the server makes the recording. */
  server = false;

  constructor(view, avatar) {
    this.#view = view;
    this.#avatar = avatar;
  }

  /** Whole seconds of the recording that runs; null where none does. */
  get seconds() {
    return this.#recording?.seconds ?? null;
  }

  /** Begins a recording, named after `name` when it is saved, or ends the one that runs. */
  async toggle(name) {
    if (this.#busy) return;
    if (this.#recording) {
      await this.finish();
      return;
    }
    this.#busy = true;
    this.dismiss();
    this.#name = name;
    try {
      const recording = await LiveRecording.start(this.#avatar, { server: this.server });
      this.#recording = recording;
      recording.addEventListener("failed", ({ detail }) => void this.finish(text.failed(detail)));
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      this.#view.recorded(text.refused(error.message));
    } finally {
      this.#busy = false;
    }
  }

  /** Ends the recording, where one runs, and offers what there is of it. Never throws. */
  async finish(sentence = null) {
    const recording = this.#recording;
    this.#recording = null;
    if (!recording) return;
    try {
      const kept = await recording.stop();
      this.#kept = kept;
      this.#view.recorded(sentence ?? text.text(clock(kept.seconds)), { saves: true });
    } catch (error) {
      this.#view.recorded(text.failed(error.message));
    }
  }

  /** Saves what was recorded. */
  async save() {
    const kept = this.#kept;
    if (!kept || this.#busy) return;
    this.#busy = true;
    try {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await kept.blob());
      link.download = `${this.#name}.${kept.extension}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // ms; the browser copies it meanwhile
    } catch (error) {
      this.#view.recorded(text.failed(error.message), { saves: true });
    } finally {
      this.#busy = false;
    }
  }

  /** Takes away what is said of the last recording. */
  dismiss() {
    this.#kept = null;
    this.#view.recorded(null);
  }
}

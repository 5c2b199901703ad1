// A recording that the server makes of a session. No DOM.

/** What `record()` of a client, an avatar or an element resolves with. */
export class ServerRecording {
  #api;
  #session;

  /** The file's name on the server. */
  name;

  constructor(api, session, name) {
    this.#api = api;
    this.#session = session;
    this.name = name;
  }

  /** Begins one. Throws ServerError: the server does not record, or records this session already. */
  static async start(api, session) {
    const { name } = await api.recording(session, "POST");
    return new ServerRecording(api, session, name);
  }

  /** {recording, name, seconds, bytes, failed}; null where the session is gone, and its recording whole. */
  status() {
    return this.#ask("GET");
  }

  /** Ends it; resolves with the status once the file is whole. */
  stop() {
    return this.#ask("DELETE");
  }

  /** Where the file is; with a token, only `blob()` gets it. */
  get address() {
    return this.#api.address(`recordings/${encodeURIComponent(this.name)}`);
  }

  /** The file, an MP4. Throws ServerError. */
  async blob() {
    const response = await this.#api.request(this.address);
    if (!response.ok) throw await this.#api.problem(response);
    return response.blob();
  }

  async #ask(method) {
    try {
      return await this.#api.recording(this.#session, method);
    } catch (error) {
      if (error.kind === "gone") return null;
      throw error;
    }
  }
}

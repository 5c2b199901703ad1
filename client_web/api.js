// What the server answers over HTTP, apart from a session's own life. No DOM.

/**
 * Something between this page and the server went wrong.
 *
 * `kind` is one of
 *   unreachable   no answer at all
 *   starting      the server is up but has not loaded its persons (503, /readyz is not green)
 *   full          every place is taken (503); `retryAfter` says in how many seconds to ask again
 *   token         the token is missing or wrong (401, 403)
 *   person        there is no such person (404)
 *   gone          the session is not known any more (404 on a session)
 *   blocked       the server answered, but sound and picture do not get through
 *   unseen        sound and picture are connected, but no picture comes
 *   refused       any other answer; `status` and the server's own sentence in `message`
 */
export class ServerError extends Error {
  constructor(kind, message, { status = 0, retryAfter = null } = {}) {
    super(message);
    this.name = "ServerError";
    this.kind = kind;
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** Seconds in a Retry-After header (a number, or a date), or null. */
export function retryAfterSeconds(header, now = Date.now()) {
  if (!header) return null;
  if (/^\d+$/.test(header.trim())) return Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, Math.ceil((date - now) / 1000));
}

export class Api {
  /** `server` is the base address, with a slash at its end. */
  constructor(server, token = null) {
    this.server = new URL(server);
    this.token = token;
  }

  address(path) {
    return new URL(path, this.server).href;
  }

  /** A session's address as seen from here: a proxy may have put the server into a folder of its own. */
  session(path) {
    return this.address(`sessions/${path.split("/").pop()}`);
  }

  headers(extra = {}) {
    return this.token ? { ...extra, Authorization: `Bearer ${this.token}` } : extra;
  }

  /** `fetch` with the token; network failures become a ServerError, answers are left to the caller. */
  async request(path, options = {}) {
    try {
      return await fetch(this.address(path), {
        ...options,
        headers: this.headers(options.headers),
      });
    } catch (cause) {
      if (cause.name === "AbortError") throw cause;
      throw new ServerError("unreachable", cause.message);
    }
  }

  async json(path) {
    const response = await this.request(path, { cache: "no-store" });
    if (!response.ok) throw await this.problem(response);
    return response.json();
  }

  config() {
    return this.json("config");
  }

  persons() {
    return this.json("persons");
  }

  /** Chooses in a session; resolves with the whole choice. Throws ServerError. */
  async control(session, changes) {
    const response = await this.#ofSession(`${session}/controls`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(changes),
    });
    return response.json();
  }

  /** Gives a session a picture of its own to stand behind the person. Throws ServerError. */
  async upload(session, picture) {
    await this.#ofSession(`${session}/background`, {
      method: "PUT",
      headers: { "Content-Type": picture.type },
      body: picture,
    });
  }

  /** A session's recording: POST begins, GET asks, DELETE ends. Throws ServerError. */
  async recording(session, method) {
    const response = await this.#ofSession(`${session}/recording`, { method, cache: "no-store" });
    return response.json();
  }

  /** A person's entry in /persons; of the server's choice for null. Throws ServerError. */
  async person(name) {
    const { default: usual, persons } = await this.persons();
    const person = persons.find((one) => one.name === (name ?? usual));
    if (!person) throw new ServerError("person", `there is no person ${name ?? usual}`, { status: 404 });
    return person;
  }

  /** A session that is not known is gone. */
  async #ofSession(path, options) {
    const response = await this.request(path, options);
    if (response.ok) return response;
    const error = await this.problem(response);
    // Who has a session was let in: what is forbidden here is not for want of a token.
    const kind = { 403: "refused", 404: "gone" }[error.status];
    throw kind ? new ServerError(kind, error.message, { status: error.status }) : error;
  }

  /** "ready", "loading", "failed" (it could not load its persons) or "stopping". */
  async status() {
    const response = await this.request("readyz", { cache: "no-store" });
    if (response.ok) return "ready";
    return (await response.json().catch(() => ({}))).status ?? "loading";
  }

  /** A picture or clip as an address for src=. With a token it must be fetched first. */
  async media(path) {
    if (!path) return null;
    if (!this.token) return this.address(path);
    const response = await this.request(path);
    return response.ok ? URL.createObjectURL(await response.blob()) : null;
  }

  /** The ServerError for an answer that is not a success (RFC 9457 problem details, where sent). */
  async problem(response) {
    const { status } = response;
    const text = await response.text().catch(() => "");
    let sentence = text;
    try {
      const details = JSON.parse(text);
      sentence = details.detail ?? details.title ?? "";
    } catch {
      sentence = response.headers.get("content-type")?.startsWith("text/plain") ? text : "";
    }
    const retryAfter = retryAfterSeconds(response.headers.get("retry-after"));
    let kind = "refused";
    if (status === 401 || status === 403) kind = "token";
    else if (status === 404) kind = "person";
    else if (status === 503) kind = (await this.status().catch(() => "")) === "ready" ? "full" : "starting";
    return new ServerError(kind, sentence, { status, retryAfter });
  }
}

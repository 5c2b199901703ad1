// The page: what happens when. The states stand in state.js, the looks in view.js, the texts in words.js.
//
// In the address: ?person=NAME, ?token=TOKEN (taken once, then removed from the address bar),
// ?clean=1 (the person alone, for OBS and kiosks; it starts by itself where the microphone is already
// allowed, else at a click), with &sound=1 if its voice shall be heard there, ?path=webrtc or
// ?path=ws to force one way, ?relay to go through TURN alone, ?background and ?framing for the look
// to begin with (look.js); background=transparent is for the clean view.

import { Api, ServerError } from "./api.js";
import "./avatar-element.js";
import { fullScreen } from "./browser.js";
import { possible } from "./client.js";
import { Keeping } from "./keeping.js";
import { LookPanel } from "./look-panel.js";
import { Microphone, MicrophoneError } from "./microphone.js";
import { Panel } from "./panel.js";
import { Recorder } from "./recorder.js";
import { firstLook, remember } from "./remembered-look.js";
import { State } from "./state.js";
import { LONGEST, Take } from "./take.js";
import { View } from "./view.js";

const WAIT = 10; // s to begin speaking
const KEEPING = 3000; // ms that a recording has to end before its session does
const TOKEN = "visavis-token"; // in sessionStorage
const LOST = ["resuming", "reconnecting"];
const REAL_TIME = 24; // pictures a second below which a person is said to be slow
const PATHS = { webrtc: "webrtc", ws: "websocket", websocket: "websocket" };

const query = new URLSearchParams(location.search);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function takeToken() {
  const given = query.get("token");
  if (given !== null) {
    sessionStorage.setItem(TOKEN, given);
    query.delete("token");
    const rest = query.toString();
    history.replaceState(null, "", location.pathname + (rest ? `?${rest}` : "") + location.hash);
  }
  return sessionStorage.getItem(TOKEN) || null;
}

class Page {
  #api = new Api(new URL(".", document.baseURI), takeToken());
  #clean = query.get("clean") === "1";
  #view = new View();
  #panel = new Panel(document.getElementById("panel"));
  #microphone = new Microphone();
  #take = new Take(this.#view.clip);
  #keeping = new Keeping(this.#view, this.#view.avatar);
  #state = new State((name) => this.#entered(name));
  #persons = [];
  #pictures = new Map();
  #person = null;
  #backdrops = []; // names of the server's pictures
  #chosen = {}; // of the person's controls
  #look = {}; // background and framing
  #live = false; // what was asked for: talking live, or a take
  #ending = null; // a conversation whose recording is being brought to its end
  #run = 0; // changes whenever what is under way no longer counts
  #since = 0; // when the state began, performance.now()
  #deadline = 0; // when a countdown ends, performance.now()
  #facts = {
    name: "", // of the person
    there: false, // the server has told who it can show
    take: LONGEST,
    left: LONGEST,
    wait: 0,
    away: false, // the conversation could not be gone on with
    muted: false,
    hearing: false,
    askingHeadphones: false,
    clipDone: false,
    tokenWrong: false,
    canRecord: Recorder.possible,
    canKeep: Recorder.possible, // what is said live; the server may do it
    looks: false, // there is something to choose of background or framing
    recordsAll: false, // the server records every conversation
    recorded: null, // seconds of the recording that runs
    pace: null, // pictures a second of a person that is slower than real time here
    detour: null, // why it is not WebRTC; see client.js
    problem: null,
  };

  constructor() {
    document.body.classList.toggle("clean", this.#clean);
    const { avatar, clip } = this.#view;
    this.#view.onAction((action, value) => this.#act(action, value));
    avatar.addEventListener("state", ({ detail }) => this.#connection(detail));
    avatar.addEventListener("stats", ({ detail }) => this.#measured(detail));
    avatar.addEventListener("controls", ({ detail }) => {
      if (detail instanceof ServerError) this.#refused({}, detail.message);
    });
    avatar.addEventListener("path", ({ detail }) => this.#set({ detour: detail.reason }));
    avatar.addEventListener("error", ({ detail }) => this.#fail(detail));
    this.#microphone.addEventListener("level", ({ detail }) => this.#heard(detail));
    this.#microphone.addEventListener("devices", ({ detail }) =>
      this.#view.devices(detail, this.#microphone.deviceId),
    );
    this.#microphone.addEventListener("lost", () => this.#fail(new MicrophoneError("lost", "")));
    clip.addEventListener("ended", () => this.#set({ clipDone: true }));
    document.addEventListener("keydown", (event) => this.#key(event));
    addEventListener("pagehide", () => this.#state.is("loading", "starting", "token", "replay") || this.#stop());
    document.getElementById("fullscreen").hidden = !fullScreen.possible(this.#view.stage, avatar.video);
    if (this.#clean) this.#view.stage.addEventListener("click", () => this.#state.is("ready", "problem") && this.#act("talk"));
    setInterval(() => this.#tick(), 100);
    this.#view.show("loading", this.#facts);
  }

  get client() {
    return this.#view.avatar.client;
  }

  // ---- finding out what the server has -------------------------------------------------------

  async load() {
    if (!possible()) {
      this.#problem("unsupported");
      return;
    }
    try {
      let status = await this.#api.status();
      if (status !== "ready" && status !== "failed") {
        this.#state.go("starting");
        while (!["ready", "failed"].includes(status)) {
          await sleep(1000);
          status = await this.#api.status();
        }
        this.#state.go("loading");
      }
      if (status === "failed") {
        this.#problem("failed");
        return;
      }
      const { auth } = await this.#api.config();
      if (auth && !this.#api.token) {
        this.#state.go("token");
        return;
      }
      const found = await this.#api.persons();
      const { default: usual, persons, pictures = [], recordings = false, record_all: recordsAll = false } = found;
      this.#backdrops = pictures;
      this.#keeping.server = recordings;
      this.#set({ canKeep: recordings || Recorder.possible, recordsAll });
      await this.#found(persons, this.#person?.name ?? query.get("person") ?? usual);
    } catch (error) {
      this.#fail(error);
    }
  }

  async #found(persons, wanted) {
    this.#persons = persons;
    this.#pictures.clear();
    if (!persons.length) {
      this.#problem("nobody");
      return;
    }
    const person = this.#persons.find(({ name }) => name === wanted);
    this.#set({ there: true });
    this.#view.persons(this.#persons, person?.name, ({ poster }) => this.#picture(poster));
    await this.#choose(person ?? this.#persons[0]);
    if (person) this.#state.go("ready");
    else this.#problem("person", { name: wanted });
    if (person && this.#clean && (await allowed())) this.#act("talk");
  }

  async #choose(person) {
    this.#person = person;
    const { avatar } = this.#view;
    avatar.setAttribute("src", this.#api.server.href);
    avatar.setAttribute("person", person.name);
    if (this.#api.token) avatar.setAttribute("token", this.#api.token);
    const path = PATHS[query.get("path")];
    if (path) avatar.setAttribute("path", path);
    avatar.toggleAttribute("relay", query.has("relay"));
    this.#chosen = {};
    this.#view.picker.offer(person.controls ?? null);
    this.#offerLook(person);
    this.#set({ name: person.display_name, pace: null });
    this.#view.person(person, await this.#picture(person.poster), await this.#api.media(person.preview));
  }

  #offerLook({ name, controls }) {
    this.#look = firstLook(name, { controls, pictures: this.#backdrops, query });
    // A take would record the two halves that the browser is to put together.
    if (!this.#clean && this.#look.background === "transparent") delete this.#look.background;
    document.body.classList.toggle("bare", this.#look.background === "transparent");
    this.#view.look.offer(controls, this.#backdrops, this.#look, (picture) =>
      this.#picture(`backgrounds/${encodeURIComponent(picture)}`),
    );
    const looks = LookPanel.has(controls);
    if (!looks) this.#openLook(false);
    this.#set({ looks });
  }

  /** Each poster once, and only when it comes into view: there may be a thousand. */
  #picture(path) {
    if (!this.#pictures.has(path)) this.#pictures.set(path, this.#api.media(path));
    return this.#pictures.get(path);
  }

  // ---- what people do ------------------------------------------------------------------------

  #act(action, value) {
    const acts = {
      say: () => this.#begin(false),
      again: () => this.#begin(false),
      talk: () => this.#begin(true),
      retryNow: () => this.#begin(this.#live),
      retry: () => this.#retry(),
      stop: () => this.#finish(),
      cancel: () => this.#stop(),
      end: () => this.#stop(),
      back: () => this.#state.go("ready"),
      goOn: () => this.#state.go("ready"),
      token: () => this.#token(value),
      control: () => this.#control(value),
      look: () => this.#control(value, true),
      "look-open": () => this.#openLook(!this.#view.look.open),
      record: () => this.#record(),
      "recorded-save": () => this.#keeping.save(),
      "recorded-close": () => this.#keeping.dismiss(),
      person: () => this.#change(this.#persons.find(({ name }) => name === value)),
      device: () => this.#device(value),
      mute: () => this.#mute(),
      hear: () => this.#hear(),
      "headphones-on": () => this.#answer(true),
      "headphones-no": () => this.#answer(false),
      "once-more": () => this.#play(),
      numbers: () => this.#numbers(),
      fullscreen: () => fullScreen.toggle(this.#view.stage, this.#view.avatar.video).catch(() => {}),
    };
    // Anything unforeseen is said on the page, never lost in the console.
    void Promise.resolve(acts[action]?.()).catch((error) => this.#fail(error));
  }

  #key(event) {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (target.matches("input:not([type=radio]), select, textarea")) return;
    if (key === "Escape") {
      if (this.#facts.askingHeadphones) this.#act("headphones-no");
      else if (this.#panel.open) this.#numbers();
      else this.#openLook(false);
      return;
    }
    const action = { m: "mute", f: "fullscreen", i: "numbers", l: "look-open" }[key.toLowerCase()];
    if (action) this.#act(action);
  }

  #numbers() {
    if (!this.#panel.open) this.#openLook(false);
    this.#panel.open = !this.#panel.open;
    document.getElementById("numbers").setAttribute("aria-expanded", String(this.#panel.open));
  }

  #openLook(open) {
    const within = document.activeElement?.closest("#look");
    if (open && this.#panel.open) this.#numbers();
    this.#view.look.open = open && LookPanel.has(this.#person?.controls);
    document.getElementById("look-open").setAttribute("aria-expanded", String(this.#view.look.open));
    if (within && !open) document.getElementById("look-open").focus();
  }

  async #record() {
    if (!this.#state.is("live")) return;
    await this.#keeping.toggle(this.#person.name);
    if (!this.#state.is("live")) await this.#keep();
    this.#set({ recorded: this.#keeping.seconds });
  }

  #mute() {
    if (!this.#state.is("live")) return;
    this.#microphone.muted = !this.#microphone.muted;
    this.#view.quiet();
    this.#set({ muted: this.#microphone.muted });
  }

  /** Hearing oneself late stops most people from talking, and needs headphones. */
  #hear() {
    if (this.#facts.hearing) this.#set({ hearing: false });
    else {
      this.#set({ askingHeadphones: true });
      document.getElementById("headphones-on").focus();
    }
  }

  #answer(hearing) {
    this.#set({ hearing, askingHeadphones: false });
    document.getElementById("hear").focus();
  }

  #token(token) {
    sessionStorage.setItem(TOKEN, token);
    this.#api.token = token;
    this.#set({ tokenWrong: false });
    this.#state.go("loading");
    return this.load();
  }

  async #device(id) {
    if (!this.#microphone.stream) {
      this.#microphone.choose(id);
      return;
    }
    const stream = await this.#microphone.open(id);
    await this.client?.replaceMicrophone(stream);
  }

  /** What is chosen before a conversation is told when it begins. */
  async #control(changes, isLook = false) {
    try {
      await this.client?.control(changes);
      if (!isLook) {
        Object.assign(this.#chosen, changes);
        this.#view.picker.accepted(changes);
        return;
      }
      Object.assign(this.#look, changes);
      remember(this.#person.name, this.#look);
      this.#view.look.accepted(changes);
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      this.#refused(changes, error.message, isLook);
    }
  }

  #refused(changes, sentence, isLook = Object.keys(this.#look).length > 0) {
    if (isLook) this.#view.look.refused(sentence);
    else this.#view.picker.refused(changes, sentence);
  }

  #measured(stats) {
    this.#panel.show(stats);
    const pace = stats.server?.pace_fps;
    const slow = pace > 0 && pace < REAL_TIME ? pace : null;
    if (slow !== this.#facts.pace) this.#set({ pace: slow });
  }

  async #change(person) {
    const live = this.#state.is("live");
    if (live) await this.#stop();
    await this.#choose(person);
    if (live) await this.#begin(true);
    else if (this.#state.is("replay", "problem")) this.#state.go("ready");
  }

  #retry() {
    if (this.#facts.there) return this.#begin(this.#live);
    this.#state.go("loading");
    return this.load();
  }

  // ---- a conversation --------------------------------------------------------------------------

  async #begin(live) {
    if (!this.#state.is("ready", "replay", "full", "problem")) return;
    const run = ++this.#run;
    this.#live = live;
    this.#view.clip.pause();
    this.#microphone.muted = false;
    Object.assign(this.#facts, { muted: false, hearing: false, askingHeadphones: false });
    this.#state.go("asking");
    try {
      await this.#ending;
      const microphone = await this.#microphone.open();
      if (run !== this.#run) {
        this.#microphone.close();
        return;
      }
      this.#state.go("connecting");
      await this.#view.avatar.connect({ microphone, steady: !live, controls: { ...this.#chosen, ...this.#look } });
      if (!live) await this.#take.listen(this.#view.avatar.stream);
      if (run === this.#run) this.#state.go(live ? "live" : "listening");
    } catch (error) {
      if (run === this.#run) this.#fail(error);
    }
  }

  /** Ends whatever is under way. */
  async #stop() {
    this.#hangUp();
    if (!this.#state.is("ready")) this.#state.go("ready");
  }

  #hangUp() {
    this.#run += 1;
    this.#take.discard();
    this.#microphone.close();
    this.#view.quiet();
    if (this.#keeping.seconds === null) return this.#view.avatar.disconnect();
    this.#ending = this.#keep().then(() => this.#view.avatar.disconnect());
    return this.#ending;
  }

  /** Ends the recording that runs, before its session goes. */
  async #keep() {
    if (this.#keeping.seconds === null) return;
    await Promise.race([this.#keeping.finish(), sleep(KEEPING)]);
    this.#set({ recorded: null });
  }

  /** The connection's own news, apart from what connect() answers. */
  #connection({ state, wait, away = false }) {
    if (state === "resuming" && this.#state.is("listening", "recording", "live")) {
      this.#take.discard();
      this.#state.go("resuming");
    } else if (state === "reconnecting" && this.#state.is("listening", "recording", "live", ...LOST)) {
      this.#take.discard();
      void this.#keep(); // a new session is not the one that was recorded
      this.#deadline = performance.now() + wait;
      this.#set({ away });
      this.#countDown("wait");
      if (!this.#state.is("reconnecting")) this.#state.go("reconnecting");
    } else if (state === "live" && this.#state.is(...LOST)) void this.#resume();
  }

  async #resume() {
    const run = this.#run;
    if (!this.#live) await this.#take.listen(this.#view.avatar.stream);
    if (run === this.#run && this.#state.is(...LOST)) this.#state.go(this.#live ? "live" : "listening");
  }

  // ---- a take ----------------------------------------------------------------------------------

  #heard(level) {
    if (!this.#facts.muted) this.#view.level(level ?? -100);
    if (!this.#state.is("listening", "recording")) return;
    const verdict = this.#take.hear(level);
    if (this.#state.is("listening")) {
      if (verdict !== "waiting") this.#state.go("recording");
    } else if (verdict === "ended") void this.#finish(true);
  }

  async #finish(quiet = false) {
    if (!this.#state.is("recording")) return;
    this.#state.go("finishing");
    const delay = this.client?.stats?.delayMs ?? null;
    const clip = await this.#take.finish({ delay, quiet });
    if (clip === null) return;
    if (clip.url === null) {
      this.#problem("empty");
      return;
    }
    void this.#hangUp();
    this.#view.saving(clip.url, `${this.#person.name}.${clip.extension}`);
    this.#state.go("replay");
    await this.#play();
  }

  async #play() {
    this.#set({ clipDone: false });
    // Some browsers want a gesture again: then the button in the middle asks for it.
    await this.#take.play().catch(() => this.#set({ clipDone: true }));
  }

  // ---- what goes wrong -------------------------------------------------------------------------

  #fail(error) {
    const { kind, message } = error;
    if (error instanceof MicrophoneError) this.#problem(kind);
    else if (!(error instanceof ServerError)) this.#problem("unexpected", { message: message || String(error) });
    else if (kind === "full") this.#full(error.retryAfter ?? 5);
    else if (kind === "starting") void this.#again("starting");
    else if (kind === "token") {
      sessionStorage.removeItem(TOKEN);
      this.#set({ tokenWrong: Boolean(this.#api.token) });
      void this.#again("token");
    } else if (kind === "person") this.#problem("person", { name: this.#facts.name || query.get("person") });
    else if (kind === "gone") this.#stop();
    else this.#problem(kind === "refused" ? "refusedByServer" : kind, { message });
  }

  #problem(kind, detail = {}) {
    void this.#hangUp();
    this.#facts.problem = { kind, ...detail };
    if (this.#state.is("problem")) this.#set({});
    else this.#state.go("problem");
  }

  #full(seconds) {
    void this.#hangUp();
    this.#deadline = performance.now() + 1000 * seconds;
    this.#countDown("wait");
    this.#state.go("full");
  }

  /** Back to the beginning: the server is starting again, or wants a token. */
  async #again(state) {
    void this.#hangUp();
    this.#state.go(state);
    if (state === "token") return;
    await sleep(1000);
    this.#state.go("loading");
    await this.load();
  }

  // ---- time ------------------------------------------------------------------------------------

  #entered(name) {
    this.#since = performance.now();
    if (name === "recording") {
      this.#deadline = this.#since + 1000 * LONGEST;
      this.#countDown("left");
    }
    if (name !== "replay") this.#view.clip.pause();
    this.#set({});
  }

  #countDown(fact) {
    const left = Math.max(0, Math.ceil((this.#deadline - performance.now()) / 1000));
    if (left !== this.#facts[fact]) this.#set({ [fact]: left });
    return left;
  }

  #tick() {
    const gone = performance.now() - this.#since;
    if (this.#state.is("listening") && gone > 1000 * WAIT) this.#problem("unheard");
    else if (this.#state.is("recording")) {
      this.#view.progress(gone / (1000 * LONGEST));
      if (this.#countDown("left") === 0) void this.#finish();
    } else if (this.#state.is("live") && this.#facts.recorded !== this.#keeping.seconds) {
      this.#set({ recorded: this.#keeping.seconds });
    } else if (this.#state.is("reconnecting")) this.#countDown("wait");
    else if (this.#state.is("full") && this.#countDown("wait") === 0) void this.#begin(this.#live);
    else if (this.#state.is("replay")) this.#view.progress(this.#take.played);
  }

  #set(facts) {
    Object.assign(this.#facts, facts);
    const live = this.#state.is("live");
    this.#view.avatar.muted = !(live && (this.#facts.hearing || (this.#clean && query.get("sound") === "1")));
    this.#view.show(this.#state.name, this.#facts);
  }
}

/** Whether the microphone is allowed already, so that nobody has to be asked. */
async function allowed() {
  try {
    return (await navigator.permissions.query({ name: "microphone" })).state === "granted";
  } catch {
    return false;
  }
}

const page = new Page();

// For tests and benchmarks: the current connection and its last reading.
Object.defineProperty(window, "visavis", {
  value: Object.freeze({
    get client() {
      return page.client;
    },
    get stats() {
      return page.client?.stats ?? null;
    },
  }),
});

void page.load();

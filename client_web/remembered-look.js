// Which look a person begins with: what the address asks for, else what was chosen here last time.

import { backgroundOf, framingOf, isPicture } from "./look.js";

const KEY = "visavis-look:"; // in localStorage, followed by the person's name

/** The choice is kept in this browser; a picture of one's own is not. */
export function remember(person, look, storage = localStorage) {
  const kept = { ...look };
  if (isPicture(kept.background)) delete kept.background;
  try {
    storage.setItem(KEY + person, JSON.stringify(kept));
  } catch {
    // A browser that keeps nothing, or is full: the look lasts as long as the page.
  }
}

function recall(person, storage) {
  try {
    return JSON.parse(storage.getItem(KEY + person)) ?? {};
  } catch {
    return {};
  }
}

/**
 * {background?, framing?} to begin with, as far as the person has it: `controls` as in /persons,
 * `pictures`: names of the server's. `query`: the address's; what it asks for is not judged here, so
 * that the server says what is wrong with it.
 */
export function firstLook(person, { controls, pictures, query, storage = localStorage }) {
  const kept = recall(person, storage);
  const look = {};
  const { background, framing } = kept;
  const kind = kindOf(background);
  const there = kind !== "picture" || pictures.includes(background.picture);
  if (kind && kind !== "filmed" && there && controls?.backgrounds?.includes(kind)) look.background = background;
  if (framing !== "filmed" && controls?.framings?.includes(framing)) look.framing = framing;
  const asked = { background: backgroundOf(query.get("background")), framing: framingOf(query.get("framing")) };
  for (const [name, value] of Object.entries(asked)) if (value !== null) look[name] = value;
  return look;
}

function kindOf(background) {
  if (typeof background === "string") return background.startsWith("#") ? "color" : background;
  return typeof background?.picture === "string" ? "picture" : null;
}

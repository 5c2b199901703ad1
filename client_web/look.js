// A look: what stands behind the person, and how near they are. No DOM.

import { ServerError } from "./api.js";

const LONGEST_SIDE = 1280; // px of a picture that is sent
const QUALITY = 0.9; // of its JPEG

/** The background that this session was sent a picture for. */
export const OWN = Object.freeze({ picture: "own" });

/**
 * A background as an attribute or an address has it: `filmed`, `blurred`, `transparent`, a colour as
 * #rgb or #rrggbb, or else the name of one of the server's pictures. null where there is none.
 */
export function backgroundOf(text) {
  const word = (text ?? "").trim();
  if (!word) return null;
  if (["filmed", "blurred", "transparent"].includes(word)) return word;
  if (/^#[0-9a-f]{6}$/i.test(word)) return word.toLowerCase();
  if (/^#[0-9a-f]{3}$/i.test(word)) return `#${[...word.slice(1)].map((digit) => digit + digit).join("")}`.toLowerCase();
  return { picture: word };
}

/**
 * A framing as an attribute or an address has it: a word, or zoom, x and y: "2 0.5 0.4". Whether it is
 * one says the server. null where there is none.
 */
export function framingOf(text) {
  const words = (text ?? "").trim().split(/[\s,]+/).filter(Boolean);
  if (!words.length) return null;
  if (words.length !== 3 || words.some((word) => Number.isNaN(Number(word)))) return words.join(" ");
  const [zoom, x, y] = words.map(Number);
  return { zoom, x, y };
}

/** Whether a background is a picture itself: a File, a Blob, an <img>, a canvas, an ImageBitmap. */
export const isPicture = (background) =>
  typeof background === "object" && background !== null && !("picture" in background);

/** A picture as the JPEG that is sent, at most 1280 pixels a side. Throws ServerError for anything else. */
export async function jpegOf(picture) {
  let bitmap;
  try {
    // A photograph from a telephone lies on its side until its orientation is heeded.
    bitmap = await createImageBitmap(picture, { imageOrientation: "from-image" });
  } catch {
    throw new ServerError("refused", "This is no picture that the browser can read.");
  }
  const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // JPEG knows no transparency
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
}

// A person without a background: the stacked picture of a <video> (colour on black above, how much of
// each pixel is the person below) drawn on a canvas that the page is seen through.

const CORNERS = new Float32Array([-1, -1, 1, -1, -1, 1, 1, 1]);

const VERTEX = `
  attribute vec2 corner;
  varying vec2 at;
  void main() {
    at = vec2(0.5 + 0.5 * corner.x, 0.5 - 0.5 * corner.y);
    gl_Position = vec4(corner, 0.0, 1.0);
  }`;

// A video's black and white are never quite that: what is nearly nothing is nothing. No pixel is mixed
// from both halves.
const FRAGMENT = `
  #ifdef GL_FRAGMENT_PRECISION_HIGH
  precision highp float;
  #else
  precision mediump float;
  #endif
  uniform sampler2D picture;
  uniform bool stacked;
  uniform float row;
  varying vec2 at;
  void main() {
    if (!stacked) {
      gl_FragColor = vec4(texture2D(picture, at).rgb, 1.0);
      return;
    }
    float y = clamp(0.5 * at.y, row, 0.5 - row);
    vec3 colour = texture2D(picture, vec2(at.x, y)).rgb;
    float matte = texture2D(picture, vec2(at.x, 0.5 + y)).g;
    float alpha = clamp((matte - 0.03) / 0.94, 0.0, 1.0);
    gl_FragColor = vec4(min(colour, alpha), alpha);
  }`;

const ATTRIBUTES = { alpha: true, premultipliedAlpha: true, antialias: false, depth: false };

/** Whether a picture is two of that shape (height / width) on top of each other. */
export const isStacked = (width, height, shape) => height / width > 1.5 * shape;

export class Transparent {
  #video;
  #canvas;
  #gl;
  #program = null;
  #shape = null;
  #bare = false;
  #wanted = false;
  #request = null;
  #waiting = []; // for the next picture

  /** `canvas` lies where `video` does, and is seen in its place. Throws where there is no WebGL. */
  constructor(video, canvas) {
    this.#video = video;
    this.#canvas = canvas;
    this.#gl = canvas.getContext("webgl", ATTRIBUTES);
    if (!this.#gl) throw new Error("no WebGL");
    this.#prepare();
    // A browser takes the graphics away (a sleeping machine, another driver) and gives them back.
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      this.#program = null;
    });
    canvas.addEventListener("webglcontextrestored", () => this.#prepare());
  }

  /** Calls back once, when the next picture is shown. */
  once(shown) {
    this.#waiting.push(shown);
  }

  /** Whether the canvas is seen. */
  get active() {
    return this.#request !== null;
  }

  /**
   * Shows the canvas from now on. `shape`: height / width of the person. `bare`: nothing at all is
   * shown before the first picture without a background.
   */
  start(shape, { bare }) {
    this.#shape = shape;
    this.#wanted = true;
    if (this.active) return;
    this.#bare = bare;
    this.#cover(true);
    this.#next();
  }

  /** Shows the video again, as soon as its picture has a background; at once where `now`. */
  stop({ now = false } = {}) {
    this.#wanted = false;
    if (now && this.active) this.#end();
  }

  #end() {
    if (this.#video.cancelVideoFrameCallback) this.#video.cancelVideoFrameCallback(this.#request);
    else cancelAnimationFrame(this.#request);
    this.#request = null;
    this.#cover(false);
  }

  #cover(on) {
    this.#canvas.hidden = !on;
    // Not hidden: browsers stop to decode what is not there.
    this.#video.style.opacity = on ? "0" : "";
  }

  #next() {
    const draw = () => this.#draw();
    if (this.#video.requestVideoFrameCallback) this.#request = this.#video.requestVideoFrameCallback(draw);
    else this.#request = requestAnimationFrame(draw);
  }

  #draw() {
    const { videoWidth: width, videoHeight: height } = this.#video;
    const stacked = isStacked(width, height, this.#shape);
    if (stacked) this.#bare = false;
    if (!this.#wanted && !stacked) {
      this.#end();
      this.#shown();
      return;
    }
    this.#next();
    if (!width || this.#bare || !this.#program) return;
    this.#paint(width, height, stacked);
    this.#shown();
  }

  #shown() {
    for (const shown of this.#waiting.splice(0)) shown();
  }

  #paint(width, height, stacked) {
    const gl = this.#gl;
    const shown = stacked ? height / 2 : height;
    if (this.#canvas.width !== width || this.#canvas.height !== shown) {
      Object.assign(this.#canvas, { width, height: shown });
      gl.viewport(0, 0, width, shown);
    }
    gl.uniform1i(this.#program.stacked, Number(stacked));
    gl.uniform1f(this.#program.row, 1 / height);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, gl.RGB, gl.UNSIGNED_BYTE, this.#video);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }

  #prepare() {
    const gl = this.#gl;
    const program = gl.createProgram();
    for (const [type, source] of [
      [gl.VERTEX_SHADER, VERTEX],
      [gl.FRAGMENT_SHADER, FRAGMENT],
    ]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.bindAttribLocation(program, 0, "corner");
    gl.linkProgram(program);
    gl.useProgram(program);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, CORNERS, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    for (const wrap of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, wrap, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    gl.viewport(0, 0, this.#canvas.width, this.#canvas.height);
    this.#program = {
      stacked: gl.getUniformLocation(program, "stacked"),
      row: gl.getUniformLocation(program, "row"),
    };
  }
}

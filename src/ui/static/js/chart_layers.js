// What is drawn on charts beside series: shapes of fills, and shaded spans of time.

import { SHAPES } from "./shapes.js";

const MOST_PX = 6;
const LEAST_PX = 3.5;
const LEAST_PX_OF_MANY = 2.2;
const MANY = 200;

/** Shapes at times and values of a series; `drawn` holds those of the last painting, with their place in px. */
export class Glyphs {
  drawn = [];
  #marks = [];
  #rim = "";
  #host = null;

  set(marks, rim) {
    this.#marks = marks;
    this.#rim = rim;
    this.#host?.requestUpdate();
  }

  attached(host) {
    this.#host = host;
  }

  detached() {
    this.#host = null;
  }

  updateAllViews() {}

  paneViews() {
    return [{ zOrder: () => "top", renderer: () => ({ draw: (target) => this.#draw(target) }) }];
  }

  #draw(target) {
    const { chart, series } = this.#host;
    const timeScale = chart.timeScale();
    target.useMediaCoordinateSpace(({ context, mediaSize }) => {
      this.drawn = [];
      if (!series.options().visible) return;
      const least = this.#marks.length > MANY ? LEAST_PX_OF_MANY : LEAST_PX;
      const radius = Math.min(MOST_PX, Math.max(least, timeScale.options().barSpacing * 0.6));
      for (const mark of this.#marks) {
        const x = timeScale.timeToCoordinate(mark.time);
        const y = series.priceToCoordinate(mark.value);
        if (x === null || y === null || x < -radius || x > mediaSize.width + radius) continue;
        this.#drawOne(context, mark, x, y, radius);
        this.drawn.push({ time: mark.time, value: mark.value, shape: mark.shape, x, y });
      }
    });
  }

  #drawOne(context, { shape, color }, x, y, radius) {
    const { path, isHollow } = SHAPES[shape];
    context.save();
    context.translate(x, y);
    context.scale(radius, radius);
    const outline = new Path2D(path);
    context.lineJoin = "round";
    context.strokeStyle = this.#rim;
    context.lineWidth = (isHollow ? 4.5 : 2.4) / radius;
    context.stroke(outline);
    if (isHollow) {
      context.strokeStyle = color;
      context.lineWidth = 1.8 / radius;
      context.stroke(outline);
    } else {
      context.fillStyle = color;
      context.fill(outline);
    }
    context.restore();
  }
}

/** Shaded spans of time behind the series of a pane. */
export class Shading {
  drawn = [];
  #spans = [];
  #host = null;

  set(spans) {
    this.#spans = spans;
    this.#host?.requestUpdate();
  }

  attached(host) {
    this.#host = host;
  }

  detached() {
    this.#host = null;
  }

  updateAllViews() {}

  paneViews() {
    return [{ zOrder: () => "bottom", renderer: () => ({ draw: (target) => this.#draw(target) }) }];
  }

  #draw(target) {
    const timeScale = this.#host.chart.timeScale();
    const half = timeScale.options().barSpacing / 2;
    target.useMediaCoordinateSpace(({ context, mediaSize }) => {
      this.drawn = [];
      for (const { from, to, color } of this.#spans) {
        const first = timeScale.timeToIndex(from, true);
        const last = timeScale.timeToIndex(to, true);
        if (first === null || last === null) continue;
        const left = Math.max(0, timeScale.logicalToCoordinate(first) - half);
        const right = Math.min(mediaSize.width, timeScale.logicalToCoordinate(last) + half);
        if (right <= left) continue;
        context.fillStyle = color;
        context.fillRect(left, 0, right - left, mediaSize.height);
        this.drawn.push({ left, right });
      }
    });
  }
}

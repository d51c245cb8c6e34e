// Draws a metric over two parameters on a canvas: a color for each cell, axes with values, outlines. It follows the
// theme and the width. `canvas.heatMap` lets tests read what is drawn.

import { formatValue } from "./metrics.js";

const MARGIN = { left: 56, right: 8, top: 8, bottom: 28 };
const MIN_HEIGHT = 200;
const MAX_HEIGHT = 460;
const TICK_SPACE = 52;
const FONT = "11px system-ui, sans-serif";
/** Ends and middle of the scale: [light, dark]. */
const LOW = [[184, 84, 16], [242, 166, 90]];
const MIDDLE = [[240, 242, 245], [38, 46, 56]];
const HIGH = [[31, 95, 191], [127, 178, 255]];

function mix(one, other, share) {
  return one.map((part, index) => Math.round(part + (other[index] - part) * share));
}

/** The scale of some values: with both signs orange under zero and blue over it, else from pale to blue. */
export function scaleOf(cells) {
  let low = Infinity;
  let high = -Infinity;
  for (const row of cells) {
    for (const value of row) {
      if (value === null) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return { low, high, isEmpty: low > high, isSigned: low < 0 && high > 0 };
}

/** Red, green and blue of a value. */
export function colorOf(value, scale, isDark) {
  const theme = isDark ? 1 : 0;
  if (scale.isSigned) {
    const size = Math.max(-scale.low, scale.high);
    return mix(MIDDLE[theme], value < 0 ? LOW[theme] : HIGH[theme], Math.abs(value) / size);
  }
  const span = scale.high - scale.low;
  return mix(MIDDLE[theme], HIGH[theme], 0.08 + 0.92 * (span > 0 ? (value - scale.low) / span : 1));
}

function ticks(count, length) {
  const most = Math.max(2, Math.floor(length / TICK_SPACE));
  const step = Math.max(1, Math.ceil(count / most));
  return Array.from({ length: Math.ceil(count / step) }, (_, index) => index * step);
}

export class HeatCanvas {
  #canvas;
  #map;
  #marks;
  #box;
  #observer;
  #draw = () => this.draw();

  constructor(canvas) {
    this.#canvas = canvas;
    this.#observer = new ResizeObserver(this.#draw);
    this.#observer.observe(canvas.parentElement);
    document.documentElement.addEventListener("themechange", this.#draw);
    canvas.heatMap = this;
  }

  close() {
    this.#observer.disconnect();
    document.documentElement.removeEventListener("themechange", this.#draw);
  }

  /** `marks`: {best, cursor}, each [column, row] or null. */
  show(map, marks) {
    this.#map = map;
    this.#marks = marks;
    this.draw();
  }

  /** The cell at a place of the window, [column, row]; null beside the cells. */
  cellAt(clientX, clientY) {
    const place = this.#canvas.getBoundingClientRect();
    const { x, y, cellWidth, cellHeight, columns, rows } = this.#box;
    const column = Math.floor((clientX - place.left - x) / cellWidth);
    const row = rows - 1 - Math.floor((clientY - place.top - y) / cellHeight);
    return column >= 0 && column < columns && row >= 0 && row < rows ? [column, row] : null;
  }

  /** The middle of a cell, in pixels of the canvas's own box. */
  centerOf(column, row) {
    const { x, y, cellWidth, cellHeight, rows } = this.#box;
    return { x: x + (column + 0.5) * cellWidth, y: y + (rows - 0.5 - row) * cellHeight };
  }

  /** What is drawn: axes, cells and marks. */
  drawn() {
    return { x: this.#map.x.values, y: this.#map.y.values, cells: this.#map.cells, ...this.#marks };
  }

  /** Red, green, blue and opacity in the middle of a cell. */
  pixelOf(column, row) {
    const { ratio } = this.#box;
    const center = this.centerOf(column, row);
    return [...this.#canvas.getContext("2d").getImageData(Math.round(center.x * ratio), Math.round(center.y * ratio), 1, 1).data];
  }

  draw() {
    if (!this.#map) return;
    const width = this.#canvas.parentElement.clientWidth;
    const columns = this.#map.x.values.length;
    const rows = this.#map.y.values.length;
    if (width <= MARGIN.left + MARGIN.right || !columns || !rows) return;
    const inner = width - MARGIN.left - MARGIN.right;
    const innerHeight = Math.round(Math.min(MAX_HEIGHT, Math.max(MIN_HEIGHT, (inner / columns) * rows)));
    const height = innerHeight + MARGIN.top + MARGIN.bottom;
    const ratio = window.devicePixelRatio || 1;
    this.#canvas.width = Math.round(width * ratio);
    this.#canvas.height = Math.round(height * ratio);
    this.#canvas.style.width = `${width}px`;
    this.#canvas.style.height = `${height}px`;
    this.#box = { x: MARGIN.left, y: MARGIN.top, cellWidth: inner / columns, cellHeight: innerHeight / rows, columns, rows, ratio };
    const context = this.#canvas.getContext("2d", { willReadFrequently: true });
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const style = getComputedStyle(this.#canvas);
    this.#drawCells(context, isDarkNow());
    this.#drawAxes(context, style.color, inner, innerHeight);
    const { best, cursor } = this.#marks;
    const isSameCell = best && cursor && best[0] === cursor[0] && best[1] === cursor[1];
    // Each frame lies on a wider one of the other brightness, so that it is seen on every color.
    const halo = isDarkNow() ? "#0e1217" : "#ffffff";
    if (best) {
      this.#outline(context, [best[0] - 1, best[1] - 1], [best[0] + 1, best[1] + 1], [halo, style.color], 1);
      this.#outline(context, best, best, [halo, style.color], 1.5);
    }
    if (cursor && !isSameCell) this.#outline(context, cursor, cursor, [halo, style.color], 1.5);
  }

  #drawCells(context, isDark) {
    const { x, y, cellWidth, cellHeight, rows } = this.#box;
    const scale = scaleOf(this.#map.cells);
    // A gap between cells only if they are wide enough to leave their colors clear.
    const gap = Math.min(cellWidth, cellHeight) >= 10 ? 1 : 0;
    this.#map.cells.forEach((line, row) => {
      const top = y + (rows - 1 - row) * cellHeight;
      line.forEach((value, column) => {
        if (value === null) return;
        const left = x + column * cellWidth;
        context.fillStyle = `rgb(${colorOf(value, scale, isDark).join(",")})`;
        // Whole pixels: the seams of fractions would be drawn half-transparent.
        const [from, to] = [Math.round(left), Math.round(left + cellWidth)];
        const [above, below] = [Math.round(top), Math.round(top + cellHeight)];
        const [wide, high] = [Math.max(1, to - from - gap), Math.max(1, below - above - gap)];
        context.fillRect(from, above, wide, high);
        if (!this.#map.can_be_best[row][column]) this.#crossOut(context, from, above, wide, high, isDark);
      });
    });
  }

  /** A line through a cell whose row cannot be the best, beside the middle: colors are read there. */
  #crossOut(context, left, top, width, height, isDark) {
    context.strokeStyle = isDark ? "#e6eaf0" : "#1b2430";
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(left, top + height * 0.4);
    context.lineTo(left + width * 0.4, top);
    context.moveTo(left + width * 0.6, top + height);
    context.lineTo(left + width, top + height * 0.6);
    context.stroke();
  }

  #drawAxes(context, color, inner, innerHeight) {
    const { x, y, cellWidth, cellHeight, rows, columns } = this.#box;
    context.fillStyle = color;
    context.font = FONT;
    context.textAlign = "center";
    context.textBaseline = "top";
    for (const column of ticks(columns, inner)) {
      const text = formatValue(this.#map.x.values[column]).slice(0, 10);
      context.fillText(text, x + (column + 0.5) * cellWidth, y + innerHeight + 8, TICK_SPACE);
    }
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const row of ticks(rows, innerHeight * 1.6)) {
      const text = formatValue(this.#map.y.values[row]).slice(0, 10);
      context.fillText(text, x - 8, y + (rows - 0.5 - row) * cellHeight, MARGIN.left - 10);
    }
  }

  /** A frame around the cells from one corner to the other, cut off at the edges. */
  #outline(context, from, to, [halo, color], width) {
    const { x, y, cellWidth, cellHeight, rows, columns } = this.#box;
    const left = Math.max(0, from[0]);
    const right = Math.min(columns, to[0] + 1);
    const bottom = Math.max(0, from[1]);
    const top = Math.min(rows, to[1] + 1);
    for (const [stroke, size] of [[halo, width + 2.5], [color, width]]) {
      context.strokeStyle = stroke;
      context.lineWidth = size;
      context.strokeRect(x + left * cellWidth, y + (rows - top) * cellHeight, (right - left) * cellWidth, (top - bottom) * cellHeight);
    }
  }
}

export function isDarkNow() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

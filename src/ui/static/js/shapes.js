// The shape of a fill says why it happened, its color and direction whether it bought or sold.

/** Outlines in a square from −1 to 1; a hollow one is drawn as a line. */
export const SHAPES = {
  up: { path: "M0 -1 L1 0.8 L-1 0.8 Z" },
  down: { path: "M0 1 L1 -0.8 L-1 -0.8 Z" },
  square: { path: "M-0.8 -0.8 H0.8 V0.8 H-0.8 Z" },
  diamond: { path: "M0 -1.1 L1.1 0 L0 1.1 L-1.1 0 Z" },
  disk: { path: "M-0.9 0 A0.9 0.9 0 1 1 0.9 0 A0.9 0.9 0 1 1 -0.9 0 Z" },
  ring: { path: "M-0.9 0 A0.9 0.9 0 1 1 0.9 0 A0.9 0.9 0 1 1 -0.9 0 Z", isHollow: true },
  frame: { path: "M-0.8 -0.8 H0.8 V0.8 H-0.8 Z", isHollow: true },
  lozenge: { path: "M0 -1.1 L1.1 0 L0 1.1 L-1.1 0 Z", isHollow: true },
  bar: { path: "M-0.4 -1.1 H0.4 V1.1 H-0.4 Z" },
  hourglass: { path: "M-0.9 -1 H0.9 L-0.9 1 H0.9 Z" },
  plus: { path: "M-1 0 H1 M0 -1 V1", isHollow: true },
  house: { path: "M-0.8 1 V-0.2 L0 -1.1 L0.8 -0.2 V1 Z", isHollow: true },
  cross: { path: "M-0.9 -0.9 L0.9 0.9 M-0.9 0.9 L0.9 -0.9", isHollow: true },
};

const OF_REASON = {
  stop_loss: "square",
  trailing_stop: "diamond",
  take_profit: "disk",
  limit: "ring",
  stop: "frame",
  time: "hourglass",
  liquidation: "cross",
  break_even: "lozenge",
  end: "bar",
  add_limit: "plus",
  add_stop: "house",
};

/** The shape of a fill: triangles for signals, another one for each other reason. */
export function shapeOf(side, reason) {
  return OF_REASON[reason] ?? (side === "buy" ? "up" : "down");
}

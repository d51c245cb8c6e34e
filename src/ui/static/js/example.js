// The example that a newcomer runs with one click: simulated prices, so that it needs no network.

import { html, useState } from "../vendor/preact-htm.mjs";
import { runBacktest } from "./api.js";
import { ErrorNotice } from "./components.js";
import { announce, currentUser, pageUrl } from "./shell.js";

const EXAMPLE = {
  symbol: "BTCUSDT",
  interval: "1d",
  limit: 2000,
  source: "simulated",
  seed: 7,
  strategy: { ma_crossover: { fast: 20, slow: 50 } },
};

export function RunExample() {
  const [isRunning, setRunning] = useState(false);
  const [error, setError] = useState(null);
  async function run() {
    setRunning(true);
    setError(null);
    announce("Running the example");
    try {
      const result = await runBacktest({ ...EXAMPLE, user_id: currentUser() });
      location.assign(pageUrl(`/runs/${encodeURIComponent(result.id)}`));
    } catch (failure) {
      setError(failure);
      setRunning(false);
    }
  }
  return html`
    <button type="button" class="button button-primary button-large" onClick=${run} aria-disabled=${isRunning} disabled=${isRunning}>
      ${isRunning ? "Running the example …" : "Run an example"}
    </button>
    ${error && html`<${ErrorNotice} error=${error} title="The example did not run" />`}
  `;
}

// Downloads of bars from the exchange, asked for again while the page is in sight.

import { html, useEffect, useState } from "../vendor/preact-htm.mjs";
import { listDownloads } from "./api.js";
import { Progress } from "./components.js";
import { formatCount, formatPercent } from "./format.js";

const BUSY_MS = 1000;
const IDLE_MS = 4000;

/** [downloads, error]; asked for more often while there are some, not at all while the page is hidden. */
export function useDownloads(isActive = true) {
  const [state, setState] = useState([null, null]);
  useEffect(() => {
    if (!isActive) return undefined;
    let timer;
    const controller = new AbortController();
    async function ask() {
      let pause = IDLE_MS;
      if (!document.hidden) {
        try {
          const rows = await listDownloads(controller.signal);
          setState([rows, null]);
          if (rows.length) pause = BUSY_MS;
        } catch (error) {
          if (error.name === "AbortError") return;
          setState([null, error]);
        }
      }
      timer = setTimeout(ask, pause);
    }
    ask();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [isActive]);
  return state;
}

export function DownloadList({ downloads }) {
  return html`<ul class="downloads">
    ${downloads.map((one) => {
      const name = `${one.symbol} ${one.interval}`;
      return html`<li key=${name}>
        <span class="row">
          <strong class="grow">${name}</strong>
          <span class="muted small">by ${one.ways.join(" and ")}</span>
          <span class="small">${formatCount(one.done_bars)} of ${formatCount(one.expected_bars)} bars</span>
          <span class="small number">${formatPercent(one.share * 100, 0)}</span>
        </span>
        <${Progress} share=${one.share} label=${`Download of ${name}`} />
      </li>`;
    })}
  </ul>`;
}

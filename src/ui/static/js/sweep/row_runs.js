// The runs of a sweep's rows: which are stored, and running a row that has none.

import { useEffect, useRef, useState } from "../../vendor/preact-htm.mjs";
import { runSweepRow } from "../api.js";
import { pageUrl, useUser } from "../shell.js";

const runPage = (resultId) => pageUrl(`/runs/${encodeURIComponent(resultId)}`);

/**
 * What can be done with rows: `addressOf(row)` is that of its stored run, null without one; `open(row)` goes there, and
 * runs the row first if the sweep is the user's own; `running` is the row that is run now, `error` why the last was not.
 */
export function useRowRuns(id, stored, owner) {
  const user = useUser();
  const [running, setRunning] = useState(null);
  const [error, setError] = useState(null);
  const isBusy = useRef(false);
  useEffect(() => {
    // A page that the browser kept is shown again as it was left.
    function reset() {
      isBusy.current = false;
      setRunning(null);
    }
    addEventListener("pageshow", reset);
    return () => removeEventListener("pageshow", reset);
  }, []);
  const canRun = user === owner;
  const results = new Map((stored ?? []).map((kept) => [kept.row, kept.result_id]));
  const addressOf = (row) => (results.has(row) ? runPage(results.get(row)) : null);
  async function open(row) {
    const address = addressOf(row);
    if (address) location.assign(address);
    if (address || !canRun || isBusy.current) return;
    isBusy.current = true;
    setRunning(row);
    setError(null);
    try {
      location.assign(runPage((await runSweepRow(id, row, user)).id));
    } catch (failure) {
      isBusy.current = false;
      setError(failure);
      setRunning(null);
    }
  }
  return { addressOf, open, canRun, running, error };
}

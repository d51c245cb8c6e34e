// The list of stored backtests.

import { html } from "../../vendor/preact-htm.mjs";
import { listBacktests } from "../api.js";
import { ErrorNotice, Skeleton, Verdict, useLoad } from "../components.js";
import { formatSignedPercent, signClass } from "../format.js";
import { mount, pageUrl, useUser } from "../shell.js";

function Runs() {
  const user = useUser();
  const [{ data, error }] = useLoad((signal) => listBacktests({ user_id: user, first: 50 }, signal), [user]);
  if (error) return html`<${ErrorNotice} error=${error} />`;
  if (!data) return html`<${Skeleton} lines=${8} />`;
  return html`<div class="page-head"><h1>Runs</h1></div>
    <ul>
      ${data.items.map(
        (run) => html`<li key=${run.id}>
          <${Verdict} level=${run.verdict_level} /> <a href=${pageUrl(`/runs/${run.id}`)}>${run.strategy.name}</a>
          <span class=${signClass(run.total_return)}>${formatSignedPercent(run.total_return)}</span>
        </li>`,
      )}
    </ul>`;
}

mount(Runs);

// The list of stored backtests: the verdict first, then the figures beside those of buying and holding.

import { html, useEffect, useMemo, useState } from "../../vendor/preact-htm.mjs";
import { deleteBacktest, listBacktests, listStrategies } from "../api.js";
import { ConfirmDelete, Empty, ErrorNotice, MAX_COMPARED, Skeleton, Verdict, useLoad, verdictWords } from "../components.js";
import { RunExample } from "../example.js";
import {
  HELD_WITHOUT_COSTS,
  formatCount,
  formatCounted,
  formatDay,
  formatInstant,
  formatName,
  formatNumber,
  formatPercent,
  formatSetting,
  formatSignedPercent,
  isNothing,
  signClass,
} from "../format.js";
import { announce, mount, pageUrl, replaceQuery, useUser } from "../shell.js";
import { Sparkline } from "../sparkline.js";

const PAGE_SIZE = 50;
const TYPING_MS = 350;
const LEVELS = ["NO_OBJECTION", "DOUBTFUL", "UNDERPOWERED", "TOO_LITTLE_DATA", "DISPROVED"];

/** The pages of results that are loaded so far; later pages count only while the first one is that which they follow. */
function useRuns(user, symbol) {
  const [first, reload] = useLoad(
    (signal) => listBacktests({ user_id: user, symbol, first: PAGE_SIZE }, signal),
    [user, symbol],
  );
  const [later, setLater] = useState({ follows: null, pages: [] });
  const [more, setMore] = useState({ isLoading: false, error: null });
  // Never copied into a state of its own by an effect: between the two, the list would seem to be loaded and empty.
  const runs = useMemo(() => {
    const pages = [first.data, ...(later.follows === first.data ? later.pages : [])].filter(Boolean);
    return {
      items: pages.flatMap(({ items }) => items),
      warnings: pages.flatMap(({ warnings }) => warnings),
      cursor: pages.at(-1)?.next_cursor,
    };
  }, [first.data, later]);
  async function loadMore() {
    setMore({ isLoading: true, error: null });
    const follows = first.data;
    try {
      const page = await listBacktests({ user_id: user, symbol, first: PAGE_SIZE, after: runs.cursor });
      setLater((old) => ({ follows, pages: old.follows === follows ? [...old.pages, page] : [page] }));
      setMore({ isLoading: false, error: null });
      announce(`${page.items.length} more runs`);
    } catch (error) {
      setMore({ isLoading: false, error });
    }
  }
  return { ...runs, first, more, loadMore, reload };
}

/** "fast 20 · slow 50": the parameters of the strategy, by the names in the catalog; a rule's numbers, in which runs differ, come first. */
function describeParameters(run, strategies) {
  const strategy = strategies?.find(({ label }) => label === run.strategy.name);
  if (!strategy) return "";
  const values = { ...run.strategy, ...run.settings };
  return strategy.parameters
    .map(({ name }) => [name, values[name]])
    .filter(([, value]) => !isNothing(value))
    .sort(([one], [other]) => (other === "parameters") - (one === "parameters"))
    .map(([name, value]) => (name === "parameters" ? formatSetting(value) : `${formatName(name).toLowerCase()} ${formatSetting(value)}`))
    .join(" · ");
}

function Row({ run, strategies, isChosen, onChoose }) {
  const { metrics } = run;
  const parameters = describeParameters(run, strategies);
  return html`<tr>
    <td class="cell-choose">
      <input
        type="checkbox"
        checked=${isChosen}
        aria-label=${`Choose ${run.strategy.name} on ${run.symbol}, run at ${formatInstant(run.created_at)}`}
        onChange=${(event) => onChoose(run.id, event.currentTarget.checked)}
      />
    </td>
    <td class="cell-verdict">
      <${Verdict} level=${run.verdict_level} />
      <span class="sub">${formatInstant(run.created_at)}</span>
    </td>
    <td class="cell-strategy">
      <a class="row-link" href=${pageUrl(`/runs/${encodeURIComponent(run.id)}`)}>${run.strategy.name}</a>
      ${parameters && html`<span class="sub clip" title=${parameters}>${parameters}</span>`}
    </td>
    <td class="cell-market">
      <span>${run.symbol} <span class="muted">${run.interval} · ${formatCounted(metrics.bars, "bar")}</span></span>
      <span class="sub nowrap">${formatDay(metrics.start)} – ${formatDay(metrics.end)}</span>
      <span class="sub clip" title=${run.origin}>${run.origin}</span>
    </td>
    <td class="cell-curve"><${Sparkline} id=${run.id} bars=${metrics.bars} start=${run.settings.init_cash} /></td>
    <td class=${`number strong ${signClass(run.total_return)}`} data-label="Return">
      ${formatSignedPercent(run.total_return)}
    </td>
    <td class="number muted" data-label=${HELD_WITHOUT_COSTS}>${formatSignedPercent(metrics.buy_and_hold_return)}</td>
    <td class="number" data-label="Sharpe">${formatNumber(run.sharpe_ratio)}</td>
    <td class="number" data-label="Drawdown">${formatPercent(run.max_drawdown, 1)}</td>
    <td class="number" data-label="Trades">${formatCount(run.total_trades)}</td>
  </tr>`;
}

function Table({ items, strategies, chosen, onChoose }) {
  return html`<div class="table-wrap" role="region" aria-label="Stored backtests" tabindex="0">
    <table class="table runs">
      <caption class="visually-hidden">
        Stored backtests, newest first. Times are UTC.
      </caption>
      <thead>
        <tr>
          <th scope="col"><span class="visually-hidden">Choose</span></th>
          <th scope="col">Verdict</th>
          <th scope="col">Strategy</th>
          <th scope="col">Market</th>
          <th scope="col">Equity</th>
          <th scope="col" class="number">Return</th>
          <th scope="col" class="number cell-held">${HELD_WITHOUT_COSTS}</th>
          <th scope="col" class="number">Sharpe</th>
          <th scope="col" class="number">Drawdown</th>
          <th scope="col" class="number">Trades</th>
        </tr>
      </thead>
      <tbody>
        ${items.map(
          (run) =>
            html`<${Row}
              key=${run.id}
              run=${run}
              strategies=${strategies}
              isChosen=${chosen.has(run.id)}
              onChoose=${onChoose}
            />`,
        )}
      </tbody>
    </table>
  </div>`;
}

function Filters({ symbol, onSymbol, level, onLevel }) {
  const [typed, setTyped] = useState(symbol);
  useEffect(() => {
    if (typed === symbol) return undefined;
    const timer = setTimeout(() => onSymbol(typed.trim()), TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return html`<form class="filters" role="search" aria-label="Runs" onSubmit=${(event) => event.preventDefault()}>
    <label class="filter"
      ><span>Symbol</span>
      <input
        type="search"
        value=${typed}
        placeholder="all"
        maxlength="33"
        spellcheck=${false}
        onInput=${(event) => setTyped(event.currentTarget.value)}
      />
    </label>
    <label class="filter"
      ><span>Verdict</span>
      <select value=${level} onChange=${(event) => onLevel(event.currentTarget.value)}>
        <option value="">all</option>
        ${LEVELS.map((name) => html`<option key=${name} value=${name}>${verdictWords(name)[0]}</option>`)}
      </select>
    </label>
  </form>`;
}

function Chosen({ ids, user, onClear, onDeleted }) {
  const [isAsking, setAsking] = useState(false);
  const [error, setError] = useState(null);
  async function remove() {
    setError(null);
    try {
      for (const id of ids) await deleteBacktest(id, user);
      announce(`${ids.length} deleted`);
    } catch (failure) {
      setError(failure);
    }
    setAsking(false);
    onDeleted();
  }
  const canCompare = ids.length >= 2 && ids.length <= MAX_COMPARED;
  const compared = pageUrl(`/compare?ids=${ids.map(encodeURIComponent).join(",")}`);
  return html`<div class="chosen">
    <span>${ids.length} chosen</span>
    ${canCompare
      ? html`<a class="button button-primary button-small" href=${compared}>Compare</a>`
      : html`<span class="muted small">${ids.length < 2 ? "choose two to compare" : `compare up to ${MAX_COMPARED}`}</span>`}
    <button type="button" class="button button-small" onClick=${() => setAsking(true)}>Delete</button>
    <button type="button" class="button button-quiet button-small" onClick=${onClear}>Clear</button>
    ${error && html`<${ErrorNotice} error=${error} title="Not all were deleted" />`}
    ${isAsking &&
    html`<${ConfirmDelete} title=${`Delete ${formatCounted(ids.length, "run")}?`} onDelete=${remove} onClose=${() => setAsking(false)} />`}
  </div>`;
}

function Nothing({ symbol, user }) {
  if (symbol) {
    return html`<${Empty} title="No run on this symbol"><p>${user} has no stored backtest on ${symbol}.</p><//>`;
  }
  return html`<${Empty} title="No runs yet">
    <p>
      The example trades a moving-average crossover on 2,000 simulated days. It takes a moment, needs no network, and shows
      what the service thinks of a result.
    </p>
    <div class="row">
      <${RunExample} />
      <a class="button button-large" href=${pageUrl("/new")}>Start your own</a>
    </div>
  <//>`;
}

function Runs() {
  const user = useUser();
  const query = new URLSearchParams(location.search);
  const [symbol, setSymbol] = useState(query.get("symbol") ?? "");
  const [level, setLevel] = useState(query.get("verdict") ?? "");
  const [chosen, setChosen] = useState(new Set());
  const [catalog] = useLoad(listStrategies, []);
  const runs = useRuns(user, symbol);
  const shown = useMemo(
    () => runs.items.filter((run) => !level || run.verdict_level === level),
    [runs.items, level],
  );
  useEffect(() => replaceQuery({ symbol, verdict: level }), [symbol, level]);
  function choose(id, isChosen) {
    setChosen((old) => {
      const next = new Set(old);
      if (isChosen) next.add(id);
      else next.delete(id);
      return next;
    });
  }
  const isFirst = !runs.items.length && runs.first.isLoading;
  const isNothing = !runs.items.length && !runs.first.isLoading && !runs.first.error;
  return html`
    <div class="page-head">
      <h1>Runs</h1>
      ${chosen.size > 0 &&
      html`<${Chosen}
        ids=${[...chosen]}
        user=${user}
        onClear=${() => setChosen(new Set())}
        onDeleted=${() => {
          setChosen(new Set());
          runs.reload();
        }}
      />`}
      ${(!isNothing || symbol) && html`<${Filters} symbol=${symbol} onSymbol=${setSymbol} level=${level} onLevel=${setLevel} />`}
      <a class="button" href=${pageUrl("/sweeps/new")}>New sweep</a>
      <a class="button button-primary" href=${pageUrl("/new")}>New run</a>
    </div>
    ${runs.first.error && html`<${ErrorNotice} error=${runs.first.error} onRetry=${runs.reload} title="The runs cannot be shown" />`}
    ${runs.warnings.map((text) => html`<div class="notice" role="status" key=${text}>${text}</div>`)}
    ${!runs.first.error &&
    html`<section class="panel" aria-busy=${runs.first.isLoading}>
      ${isFirst && html`<${Skeleton} lines=${9} label="Loading runs" />`}
      ${isNothing && html`<${Nothing} symbol=${symbol} user=${user} />`}
      ${!isFirst &&
      !isNothing &&
      (shown.length
        ? html`<${Table} items=${shown} strategies=${catalog.data?.strategies} chosen=${chosen} onChoose=${choose} />`
        : html`<${Empty} title="None of the loaded runs has this verdict"><p>${formatCounted(runs.items.length, "run")} loaded.</p><//>`)}
    </section>`}
    ${runs.items.length > 0 &&
    html`<div class="list-foot">
      <span class="muted small">${formatCount(shown.length)} of ${formatCounted(runs.items.length, "loaded run")}</span>
      ${runs.cursor &&
      html`<button type="button" class="button button-small" disabled=${runs.more.isLoading} onClick=${runs.loadMore}>
        ${runs.more.isLoading ? "Loading …" : "Load more"}
      </button>`}
    </div>`}
    ${runs.more.error && html`<${ErrorNotice} error=${runs.more.error} onRetry=${runs.loadMore} />`}
  `;
}

mount(Runs);

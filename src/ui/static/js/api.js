// The only file that sends requests: each function is one operation of the REST API.

const root = document.documentElement.dataset.root ?? "";

/** What the service says about an error, as its problem document has it. */
export class ApiError extends Error {
  constructor(problem, status) {
    super(problem.message || problem.detail || `The service responded with status ${status}.`);
    this.name = "ApiError";
    this.status = status;
    this.code = problem.code ?? "";
    this.field = problem.field ?? null;
    this.hint = problem.hint ?? null;
    this.line = problem.line ?? null;
    this.column = problem.column ?? null;
    this.helpPath = typeof problem.type === "string" && problem.type.startsWith("/") ? problem.type : null;
  }
}

/** The address of a path of this service, with a query; parameters that are null or undefined are left out. */
export function urlOf(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(given).toString();
  return `${root}${path}${text ? `?${text}` : ""}`;
}

const enc = encodeURIComponent;

function unreachable() {
  return new ApiError({ message: "The service does not respond. Is it running?", code: "UNREACHABLE" }, 0);
}

/** The event of the page's document when the service says that nobody is signed in. */
export const SIGNED_OUT = "signed-out";

const SESSION_PATH = "/api/session";

function noteStatus(path, status) {
  if (status === 401 && path !== SESSION_PATH) document.dispatchEvent(new Event(SIGNED_OUT));
}

function read(text, status) {
  let document;
  try {
    document = JSON.parse(text);
  } catch {
    throw new ApiError({}, status);
  }
  if (status >= 400 || document?.success === false) throw new ApiError(document ?? {}, status);
  return document;
}

async function send(path, { method = "GET", query, json, signal } = {}) {
  const headers = { Accept: "application/json" };
  if (json !== undefined) headers["Content-Type"] = "application/json";
  let response;
  let text;
  try {
    response = await fetch(urlOf(path, query), {
      method,
      headers,
      signal,
      // A browser that goes back takes what is cached unchecked: deleted runs, and any run after a sign-out.
      cache: "no-cache",
      body: json === undefined ? undefined : JSON.stringify(json),
    });
    text = await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
  noteStatus(path, response.status);
  return read(text, response.status);
}

async function dataOf(path, options) {
  return (await send(path, options)).data;
}

/** Data that the page preloads: a browser that goes back takes it from its cache unchecked, so it is read again. */
async function preloadedData(path, options) {
  const data = await dataOf(path, options);
  const isGoneBackTo = performance.getEntriesByType("navigation")[0]?.type === "back_forward";
  return isGoneBackTo ? dataOf(path, options) : data;
}

// `fetch` does not report how much of a body has been sent.
function sendForm(path, fields, { onProgress, signal } = {}) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value !== null && value !== undefined && value !== "") form.append(name, value);
  }
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", urlOf(path));
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) onProgress?.(event.loaded, event.total);
    });
    request.addEventListener("load", () => {
      noteStatus(path, request.status);
      try {
        resolve(read(request.responseText, request.status).data);
      } catch (error) {
        reject(error);
      }
    });
    request.addEventListener("error", () => reject(unreachable()));
    request.addEventListener("abort", () => reject(new DOMException("Canceled", "AbortError")));
    signal?.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

// Backtests
export const listBacktests = (query, signal) => dataOf("/api/backtests", { query, signal });
export const runBacktest = (json, signal) => dataOf("/api/backtests", { method: "POST", json, signal });
export const getBacktest = (id, signal) => dataOf(`/api/backtests/${enc(id)}`, { query: { rows: false }, signal });
export const deleteBacktest = (id, userId) =>
  dataOf(`/api/backtests/${enc(id)}`, { method: "DELETE", query: { user_id: userId } });
export const rerunBacktest = (id, signal) => dataOf(`/api/backtests/${enc(id)}/rerun`, { method: "POST", signal });
export const getSeries = (id, query, signal) => dataOf(`/api/backtests/${enc(id)}/series`, { query, signal });
export const getTearSheet = (id, signal) => preloadedData(`/api/backtests/${enc(id)}/tearsheet`, { signal });
export const listFills = (id, query, signal) => dataOf(`/api/backtests/${enc(id)}/fills`, { query, signal });
export const reportUrl = (id) => urlOf(`/api/backtests/${enc(id)}/report.html`);

// Strategies and models
export const listStrategies = (signal) => dataOf("/api/strategies", { signal });
export const checkRules = (json, signal) => dataOf("/api/strategies/check", { method: "POST", json, signal });
export const listModels = (userId, signal) => dataOf(`/api/models/user/${enc(userId)}`, { signal });
export const uploadModel = (fields, options) => sendForm("/api/models/upload", fields, options);
export const deleteModel = (userId, filename) =>
  dataOf(`/api/models/user/${enc(userId)}/model/${enc(filename)}`, { method: "DELETE" });

// Jobs, sweeps and walk-forwards
export const listJobs = (query, signal) => dataOf("/api/jobs", { query, signal });
export const getJob = (id, signal) => dataOf(`/api/jobs/${enc(id)}`, { signal });
/** A stream of the job's states: `progress` events with the job as JSON. */
export const openJobEvents = (id) => new EventSource(urlOf(`/api/jobs/${enc(id)}/events`));
export const cancelJob = (id, userId) => dataOf(`/api/jobs/${enc(id)}`, { method: "DELETE", query: { user_id: userId } });
export const deleteJob = (id, userId) =>
  dataOf(`/api/jobs/${enc(id)}`, { method: "DELETE", query: { user_id: userId, delete: true } });
export const resumeJob = (id, userId) =>
  dataOf(`/api/jobs/${enc(id)}/resume`, { method: "POST", query: { user_id: userId } });
export const estimateSweep = (json, signal) => dataOf("/api/sweeps/estimate", { method: "POST", json, signal });
export const startSweep = (json) => dataOf("/api/sweeps", { method: "POST", json });
export const getSweep = (id, signal) => preloadedData(`/api/sweeps/${enc(id)}`, { signal });
export const listSweepRows = (id, query, signal) => dataOf(`/api/sweeps/${enc(id)}/rows`, { query, signal });
export const runSweepRow = (id, row, userId) =>
  dataOf(`/api/sweeps/${enc(id)}/rows/${row}/run`, { method: "POST", query: { user_id: userId, rows: false } });
export const sweepRowsUrl = (id, query) => urlOf(`/api/sweeps/${enc(id)}/rows`, query);
export const getHeatMap = (id, query, signal) => dataOf(`/api/sweeps/${enc(id)}/heat-map`, { query, signal });
export const startWalkForward = (json) => dataOf("/api/walk-forwards", { method: "POST", json });
export const getWalkForward = (id, signal) => preloadedData(`/api/walk-forwards/${enc(id)}`, { signal });

// Portfolios
/** Starts a portfolio without waiting for its end: returns its job. */
export const startPortfolio = (json) => dataOf("/api/portfolios", { method: "POST", json: { ...json, wait_seconds: 0 } });
export const getPortfolio = (id, signal) => preloadedData(`/api/portfolios/${enc(id)}`, { signal });
export const listPortfolioEquity = (id, query, signal) => dataOf(`/api/portfolios/${enc(id)}/equity`, { query, signal });
export const portfolioRowsUrl = (id, name, query) => urlOf(`/api/portfolios/${enc(id)}/${name}`, query);

// Data
export const getQuality = (query, signal) => dataOf("/api/data/quality", { query, signal });
export const listDownloads = (signal) => dataOf("/api/data/downloads", { signal });
export const listDatasets = (userId, signal) => dataOf(`/api/data/user/${enc(userId)}`, { signal });
export const uploadBars = (fields, options) => sendForm("/api/data/upload", fields, options);
export const deleteDataset = (userId, name) =>
  dataOf(`/api/data/user/${enc(userId)}/${enc(name)}`, { method: "DELETE" });

// Sign-in
export const getSession = () => dataOf(SESSION_PATH);
export const startSession = (json) => dataOf(SESSION_PATH, { method: "POST", json });
export const deleteSession = () => dataOf(SESSION_PATH, { method: "DELETE" });

/** The service's own description: names, bounds, defaults and meanings of all fields of requests. */
export const getOpenApi = (signal) => send("/openapi.json", { signal });

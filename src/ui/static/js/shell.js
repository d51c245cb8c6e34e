// What all pages share: who the user is, the theme, announcements, and mounting a page into the main part.

import { html, render, useEffect, useState } from "../vendor/preact-htm.mjs";
import { deleteSession } from "./api.js";
import { Dialog, Field } from "./components.js";
import { SignIn, canSignOut, isFixed, loadSession, onSignedOut, signedInUser } from "./session.js";

const USER_KEY = "user_id";
const DEFAULT_USER = "me";
const USER_PATTERN = "[A-Za-z0-9][A-Za-z0-9_.@\\-]{0,63}";
const THEMES = [
  [null, "Theme: as the system", "◐"],
  ["light", "Theme: light", "☀"],
  ["dark", "Theme: dark", "☾"],
];

let memoryUser = null;
const listeners = new Set();

function storedUser() {
  try {
    return localStorage.getItem(USER_KEY);
  } catch {
    return memoryUser; // a browser may forbid storage
  }
}

export function currentUser() {
  return signedInUser() || storedUser() || DEFAULT_USER;
}

function setUser(name) {
  memoryUser = name;
  try {
    localStorage.setItem(USER_KEY, name);
  } catch {
    // It then holds until the page is left.
  }
  for (const listener of listeners) listener();
}

/** The user whose results are shown; the component renders again if it changes. */
export function useUser() {
  const [, setRound] = useState(0);
  useEffect(() => {
    const listener = () => setRound((old) => old + 1);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, []);
  return currentUser();
}

/** Say something to screen readers, without moving the focus. */
export function announce(text) {
  const region = document.getElementById("announcements");
  region.textContent = "";
  requestAnimationFrame(() => {
    region.textContent = text;
  });
}

/** Replace the query of the address, so that a reload and a copied link show the same. */
export function replaceQuery(values) {
  const given = Object.entries(values).filter(([, value]) => value);
  const text = new URLSearchParams(given).toString();
  history.replaceState(null, "", text ? `?${text}` : location.pathname);
}

/** The address of another page. */
export function pageUrl(path) {
  return `${document.documentElement.dataset.root ?? ""}${path}`;
}

function UserForm({ onDone, confirm }) {
  const [name, setName] = useState(currentUser());
  function onSubmit(event) {
    event.preventDefault();
    setUser(name.trim());
    onDone();
  }
  return html`<form class="inline-form" onSubmit=${onSubmit}>
    <${Field} id="user-id" label="User id">
      <input
        id="user-id"
        value=${name}
        required
        pattern=${USER_PATTERN}
        maxlength="64"
        autocomplete="username"
        spellcheck=${false}
        title="1 to 64 characters: letters, digits, _ . @ -"
        onInput=${(event) => setName(event.currentTarget.value)}
      />
    <//>
    <button class="button button-primary">${confirm}</button>
  </form>`;
}

/** What a user who is signed in can do: the id is fixed. */
function SignedIn({ user, onClose }) {
  async function signOut() {
    await deleteSession();
    location.reload();
  }
  return html`<${Dialog} title="Signed in" onClose=${onClose}>
    <p>You are signed in as <b>${user}</b>. Your results, models and datasets are only yours.</p>
    ${canSignOut() && html`<button type="button" class="button button-primary" onClick=${signOut}>Sign out</button>`}
    <button type="button" class="button button-quiet" onClick=${onClose}>Close</button>
  <//>`;
}

function Tools() {
  const user = useUser();
  const [isOpen, setOpen] = useState(false);
  const [theme, setTheme] = useState(document.documentElement.dataset.theme ?? null);
  const at = THEMES.findIndex(([name]) => name === theme);
  const [, label, mark] = THEMES[at];
  function nextTheme() {
    const [name, text] = THEMES[(at + 1) % THEMES.length];
    document.documentElement.setTheme(name);
    setTheme(name);
    announce(text);
  }
  return html`
    <button type="button" class="tool" onClick=${() => setOpen(true)} title=${`Results of the user ${user}`}>
      <span class="visually-hidden">User: </span><span class="tool-text">${user}</span>
    </button>
    <button type="button" class="tool tool-icon" onClick=${nextTheme} aria-label=${label} title=${label}>
      <span aria-hidden="true">${mark}</span>
    </button>
    ${isOpen && isFixed && html`<${SignedIn} user=${user} onClose=${() => setOpen(false)} />`}
    ${isOpen &&
    !isFixed &&
    html`<${Dialog} title="Whose results" onClose=${() => setOpen(false)}>
      <p class="muted">Results, models and datasets belong to a user id. It is no login: anyone may name it.</p>
      <${UserForm} confirm="Use this id" onDone=${() => setOpen(false)} />
      <button type="button" class="button button-quiet" onClick=${() => setOpen(false)}>Cancel</button>
    <//>`}
  `;
}

function FirstVisit() {
  useUser();
  if (isFixed || storedUser()) return null;
  return html`<aside class="first-visit" aria-label="User id">
    <p>Everything you run is stored under a user id. Keep <b>${DEFAULT_USER}</b>, or choose your own.</p>
    <${UserForm} confirm="Keep" onDone=${() => announce("User id kept")} />
  </aside>`;
}

/** Draw a page: its component in the main part, and the tools of the top bar; the sign-in first if one is needed. */
export async function mount(component) {
  const main = document.getElementById("main");
  const show = (content) => {
    render(null, main);
    main.replaceChildren();
    render(content, main);
  };
  if (isFixed && !(await isKnown((error) => show(html`<${SignIn} error=${error} />`)))) return;
  mountTools();
  show(html`<${FirstVisit} /><${component} />`);
}

/** Only the tools: for pages whose main part a vendor's script fills. */
export async function mountTools() {
  if (isFixed) await loadSession();
  if (!isFixed || signedInUser()) render(html`<${Tools} />`, document.getElementById("tools"));
}

/** Whether the service knows the user; otherwise, and when the session ends, the sign-in is shown. */
async function isKnown(showSignIn) {
  onSignedOut(() => showSignIn(null));
  try {
    await loadSession();
  } catch (error) {
    showSignIn(error.message);
    return false;
  }
  if (!signedInUser()) showSignIn(null);
  return Boolean(signedInUser());
}

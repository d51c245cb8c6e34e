// Who is signed in. No secret is kept here: the session is a cookie that scripts cannot read.

import { SIGNED_OUT, getSession, startSession } from "./api.js";
import { Field } from "./components.js";
import { html, useState } from "../vendor/preact-htm.mjs";

/** How the service knows who asks: none, header, jwt or keys. With none the user id is the user's own choice. */
const auth = document.documentElement.dataset.auth ?? "none";
export const isFixed = auth !== "none";

let session = null;

/** The user that the service knows; null without identities, and before signing in. */
export const signedInUser = () => session?.user_id ?? null;
export const canSignOut = () => Boolean(session?.can_sign_in && session.user_id);

/** Ask once who is signed in. */
export async function loadSession() {
  if (isFixed && session === null) session = await getSession();
}

/** Call a function whenever the service says that the session is over. */
export function onSignedOut(listener) {
  document.addEventListener(SIGNED_OUT, listener);
}

/** The form for a key, which is sent once and forgotten. */
export function SignIn({ error: earlier = null }) {
  const [key, setKey] = useState("");
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState(earlier);
  if (auth !== "keys") {
    return html`<section class="panel sign-in">
      <h1>Not signed in</h1>
      <p>The gateway in front of this service says who you are, and it named nobody. Sign in there, and load this page again.</p>
    </section>`;
  }
  async function onSubmit(event) {
    event.preventDefault();
    setBusy(true);
    try {
      await startSession({ api_key: key.trim() });
      location.reload();
    } catch (failed) {
      setError(failed.message);
      setKey("");
      setBusy(false);
    }
  }
  return html`<section class="panel sign-in">
    <form class="panel-body" onSubmit=${onSubmit}>
      <h1>Sign in</h1>
      <p>This service asks for an API key. Its operator makes one with <code>python run.py keys create</code>.</p>
      <${Field} id="api-key" label="API key" error=${error}>
        <input
          id="api-key"
          type="password"
          value=${key}
          required
          autocomplete="off"
          spellcheck=${false}
          aria-invalid=${error ? "true" : undefined}
          onInput=${(event) => setKey(event.currentTarget.value)}
        />
      <//>
      <button class="button button-primary" disabled=${isBusy}>Sign in</button>
      <p class="small muted">The browser keeps a session for 12 hours, and not the key.</p>
    </form>
  </section>`;
}

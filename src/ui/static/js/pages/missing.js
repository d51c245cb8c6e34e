// What is shown at an address that no page has.

import { html } from "../../vendor/preact-htm.mjs";
import { Empty } from "../components.js";
import { mount, pageUrl } from "../shell.js";

function Missing() {
  return html`<h1>No such page</h1>
    <section class="panel">
      <${Empty} title="Nothing is at this address">
        <p class="mono">${location.pathname}</p>
        <div class="row"><a class="button button-primary" href=${pageUrl("/")}>All runs</a></div>
      <//>
    </section>`;
}

mount(Missing);

import { html } from "../../vendor/preact-htm.mjs";
import { mount } from "../shell.js";

mount(() => html`<h1>…</h1>`);

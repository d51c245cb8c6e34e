// The tear sheet in a file of its own: its data are in the file, and nothing is asked of a service.

import { html, render } from "../../vendor/preact-htm.mjs";
import { Sheet, titleOf } from "../tearsheet/sheet.js";

const data = JSON.parse(document.getElementById("report-data").textContent);
document.title = `${titleOf(data.run)} · Backtesting`;
render(html`<${Sheet} data=${data} source=${null} actions=${null} />`, document.getElementById("main"));

// Swagger UI, of the description that this service gives of itself.

import { urlOf } from "../api.js";
import { mend } from "../mend.js";
import { mountTools } from "../shell.js";

mountTools();
// Examples that scroll must be reached by keyboard.
mend(document.getElementById("main"), [["pre.microlight", "tabindex", "0"]]);
SwaggerUIBundle({
  url: urlOf("/openapi.json"),
  domNode: document.getElementById("main"),
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayOperationId: true,
  validatorUrl: null, // else it sends the document to another host
});

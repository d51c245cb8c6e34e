// Swagger UI, of the description that this service gives of itself.

import { urlOf } from "../api.js";
import { mountTools } from "../shell.js";

mountTools();
SwaggerUIBundle({
  url: urlOf("/openapi.json"),
  domNode: document.getElementById("main"),
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayOperationId: true,
  validatorUrl: null, // else it sends the document to another host
});

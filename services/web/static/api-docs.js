// The description of the HTTP interface, shown by Swagger UI; nothing is loaded from elsewhere.

import { csrf } from "./api.js";

/** @type {any} */ (window).SwaggerUIBundle({
  url: "/api/openapi.json",
  dom_id: "#operations",
  deepLinking: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  syntaxHighlight: { theme: "idea" },
  validatorUrl: null, // the default sends the description to a validator of another server
  /** A demo session writes with its CSRF header. @param {{headers: Record<string, string>, method?: string}} request */
  requestInterceptor: (request) => {
    if (request.method && request.method !== "GET") Object.assign(request.headers, csrf());
    return request;
  },
});

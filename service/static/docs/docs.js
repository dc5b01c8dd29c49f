// Shows openapi.json in Swagger UI. With API keys set, it asks for one first and keeps it in memory alone.
"use strict";

const ask = document.getElementById("ask");
const fault = document.getElementById("fault");
const dark = matchMedia("(prefers-color-scheme: dark)");

function dress() {
  // Swagger UI has dark colours, but never looks at what the user prefers.
  document.documentElement.classList.toggle("dark-mode", dark.matches);
}

function show(description, key) {
  // Relative to this page, so that a path prefix of a proxy is part of it.
  description.servers = [{ url: new URL(".", document.baseURI).pathname.replace(/\/$/, "") || "/" }];
  const browser = SwaggerUIBundle({
    spec: description,
    domNode: document.getElementById("api"),
    docExpansion: "none",
    defaultModelsExpandDepth: -1,
    deepLinking: true,
    displayRequestDuration: true,
    tryItOutEnabled: true,
    validatorUrl: null,
    onComplete: () => key && browser.preauthorizeApiKey("header", key),
  });
}

async function load(key) {
  fault.textContent = "";
  const answer = await fetch("openapi.json", key ? { headers: { Authorization: `Bearer ${key}` } } : {});
  const content = await answer.json();
  if (answer.ok) {
    ask.hidden = true;
    show(content, key);
    return;
  }
  ask.hidden = answer.status !== 401;
  if (key || ask.hidden) {
    fault.textContent = content.detail;
  }
}

function attempt(key) {
  load(key).catch(() => {
    fault.textContent = "The service does not answer.";
  });
}

ask.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(document.getElementById("key").value);
});
dark.addEventListener("change", dress);
dress();
attempt("");

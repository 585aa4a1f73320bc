"use strict";
// Everything is built with createElement and textContent: nothing that the server says is ever read as HTML.
const el = (name, props = {}, ...children) => {
  const node = Object.assign(document.createElement(name), props);
  node.append(...children);
  return node;
};
const byId = (id) => document.getElementById(id);

const resolve = (doc, schema) =>
  schema && schema.$ref ? doc.components.schemas[schema.$ref.split("/").pop()] : schema;

const typeOf = (schema) => {
  if (!schema || schema === true) return "any";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  const parts = schema.anyOf || schema.oneOf;
  if (parts) return parts.map(typeOf).filter((t) => t !== "null").join(" | ");
  if (schema.type === "array") return typeOf(schema.items) + "[]";
  return [].concat(schema.type || "any").filter((t) => t !== "null").join(" | ");
};

const fields = (doc, schema) => {
  const shape = resolve(doc, schema);
  if (!shape || !shape.properties) {
    return el("p", { className: "dim", textContent: typeOf(schema) });
  }
  const rows = Object.entries(shape.properties).map(([name, field]) =>
    el("tr", {},
      el("td", {}, el("code", { textContent: name + ((shape.required || []).includes(name) ? " *" : "") })),
      el("td", {}, el("code", { className: "dim", textContent: typeOf(field) })),
      el("td", { textContent: field.description || (resolve(doc, field) || {}).description || "" })));
  return el("table", {}, ...rows);
};

const tryIt = (path, method, operation) => {
  const inputs = (operation.parameters || []).map((parameter) => {
    const input = el("input", { name: parameter.name, title: parameter.description || "" });
    const row = el("tr", {},
      el("td", {}, el("code", { textContent: parameter.name + (parameter.required ? " *" : "") })),
      el("td", {}, input),
      el("td", { textContent: parameter.description || "" }));
    return { parameter, input, row };
  });
  const json = operation.requestBody && operation.requestBody.content["application/json"];
  const body = json && el("textarea", { value: JSON.stringify(json.example, null, 2), spellcheck: false });
  const answer = el("pre", { hidden: true });
  let abort = null;
  const button = el("button", { type: "button", textContent: "Send" });
  button.onclick = async () => {
    if (abort) { abort.abort(); return; }
    abort = new AbortController();
    button.textContent = "Stop";
    let url = path;
    const query = new URLSearchParams();
    const headers = {};
    for (const { parameter, input } of inputs) {
      if (parameter.in === "path") url = url.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
      else if (input.value && parameter.in === "query") query.append(parameter.name, input.value);
      else if (input.value) headers[parameter.name] = input.value;
    }
    if (query.size) url += "?" + query;
    if (byId("key").value) headers.Authorization = "Bearer " + byId("key").value;
    if (body) headers["Content-Type"] = "application/json";
    answer.hidden = false;
    answer.textContent = `${method.toUpperCase()} ${url}\n\n`;
    try {
      const response = await fetch(url, {
        method: method.toUpperCase(), headers, body: body ? body.value : undefined, signal: abort.signal,
      });
      answer.textContent += `${response.status} ${response.statusText}\n\n`;
      const type = response.headers.get("Content-Type") || "";
      if (type.includes("json") && !type.includes("ndjson")) {
        const text = await response.text();
        try { answer.textContent += JSON.stringify(JSON.parse(text), null, 2); } catch { answer.textContent += text; }
      } else if (response.body) {
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        for (let part = await reader.read(); !part.done; part = await reader.read()) answer.textContent += part.value;
      }
    } catch (error) {
      answer.textContent += String(error);
    }
    abort = null;
    button.textContent = "Send";
  };
  const parts = [];
  if (inputs.length) parts.push(el("table", {}, ...inputs.map((input) => input.row)));
  if (body) parts.push(body);
  parts.push(button, answer);
  return el("div", {}, ...parts);
};

const operationView = (doc, path, method, operation) => {
  const view = el("details", { id: operation.operationId },
    el("summary", {},
      el("span", { className: "method " + method, textContent: method }), " ",
      el("code", { textContent: path }), " ",
      el("span", { className: "dim", textContent: operation.summary })));
  view.dataset.words = `${method} ${path} ${operation.summary} ${operation.operationId}`.toLowerCase();
  // Built when first opened: there are many.
  view.ontoggle = () => {
    if (!view.open || view.dataset.built) return;
    view.dataset.built = "1";
    view.append(tryIt(path, method, operation));
    const json = operation.requestBody && operation.requestBody.content["application/json"];
    if (json) view.append(el("h4", { textContent: "Request" }), fields(doc, json.schema));
    for (const [status, response] of Object.entries(operation.responses)) {
      view.append(el("h4", { textContent: `${status}: ${response.description}` }));
      if (Number(status) < 400) {
        for (const [type, content] of Object.entries(response.content || {})) {
          view.append(el("p", { className: "dim", textContent: type }), fields(doc, content.schema));
        }
      }
    }
  };
  return view;
};

const codes = (doc) => {
  const rows = doc.info.description.split("\n").filter((line) => line.startsWith("| `")).map((line) => {
    const [code, status, title] = line.split("|").slice(1, 4).map((cell) => cell.trim().replaceAll("`", ""));
    return el("tr", { id: code },
      el("td", {}, el("code", { textContent: code })), el("td", { textContent: status }), el("td", { textContent: title }));
  });
  return el("section", {}, el("h2", { textContent: "Error codes" }),
    el("p", { className: "dim", textContent: "`everloop explain CODE` says more." }), el("table", {}, ...rows));
};

const schemas = (doc) => el("section", {}, el("h2", { textContent: "Shapes" }),
  ...Object.entries(doc.components.schemas).map(([name, schema]) => {
    const view = el("details", { id: "shape-" + name }, el("summary", {}, el("code", { textContent: name }), " ",
      el("span", { className: "dim", textContent: schema.description || "" })));
    view.dataset.words = name.toLowerCase();
    view.append(schema.properties ? fields(doc, schema) : el("pre", { textContent: JSON.stringify(schema, null, 2) }));
    return view;
  }));

const show = (doc) => {
  byId("summary").textContent = doc.info.summary;
  const sections = doc.tags.map((tag) => {
    const section = el("section", {}, el("h2", { textContent: tag.name }), el("p", { className: "dim", textContent: tag.description }));
    for (const [path, methods] of Object.entries(doc.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        if (operation.tags.includes(tag.name)) section.append(operationView(doc, path, method, operation));
      }
    }
    return section;
  });
  byId("main").replaceChildren(...sections, codes(doc), schemas(doc));
  byId("search").oninput = (event) => {
    const word = event.target.value.toLowerCase();
    for (const view of document.querySelectorAll("details")) view.hidden = !view.dataset.words.includes(word);
  };
  const target = location.hash && byId(location.hash.slice(1));
  if (target) { target.open = true; target.scrollIntoView(); }
};

fetch("openapi.json").then((response) => response.json()).then(show)
  .catch((error) => { byId("main").textContent = "The document can't be loaded: " + error; });

"use strict";
// Shows /api/openapi.json: tags, routes, parameters, shapes. Everything is set as text, never as markup.

const element = (name, text, ...children) => {
  const node = document.createElement(name);
  if (text) node.textContent = text;
  node.append(...children);
  return node;
};

const shape = (schema, all, depth = 0) => {
  if (!schema) return null;
  if (schema.$ref) return shape(all[schema.$ref.split("/").pop()], all, depth);
  if (depth > 5) return "…";
  const any = schema.anyOf || schema.oneOf;
  if (any) return any.map((one) => shape(one, all, depth + 1)).length === 2 && any.some((one) => one.type === "null")
    ? shape(any.find((one) => one.type !== "null"), all, depth) : any.map((one) => shape(one, all, depth + 1));
  if (schema.type === "array") return [shape(schema.items, all, depth + 1)];
  if (schema.properties) return Object.fromEntries(Object.entries(schema.properties).map(([key, value]) => [key, shape(value, all, depth + 1)]));
  return schema.enum ? schema.enum.join(" | ") : schema.format || schema.type || "anything";
};

const json = (content) => content && (content["application/json"] || content["text/event-stream"]);

const route = (method, path, said, all) => {
  const block = element("details", "", element("summary", "", element("b", method.toUpperCase()), path));
  if (said.description) { const text = element("p", said.description); text.className = "text"; block.append(text); }
  if (said.parameters) {
    const rows = said.parameters.map((one) => element("tr", "", element("td", one.name + (one.required ? " (needed)" : "")),
      element("td", one.in), element("td", one.description || "")));
    block.append(element("table", "", element("tbody", "", ...rows)));
  }
  const body = json(said.requestBody && said.requestBody.content);
  if (body) block.append(element("p", "Takes:"), element("pre", JSON.stringify(shape(body.schema, all), null, 2)));
  for (const [status, answer] of Object.entries(said.responses || {})) {
    const content = json(answer.content);
    if (status.startsWith("2")) block.append(element("p", `Answers ${status}:`), element("pre", content ? JSON.stringify(shape(content.schema, all), null, 2) : "nothing"));
  }
  return block;
};

const show = async () => {
  const place = document.getElementById("routes");
  const answer = await fetch("/api/openapi.json");
  const said = await answer.json();
  const byTag = new Map();
  for (const [path, methods] of Object.entries(said.paths)) for (const [method, one] of Object.entries(methods)) {
    const tag = (one.tags || ["other"])[0];
    byTag.set(tag, [...(byTag.get(tag) || []), route(method, path, one, said.components.schemas)]);
  }
  place.replaceChildren(...[...byTag].flatMap(([tag, blocks]) => [element("h2", tag), ...blocks]));
};

show().catch((error) => { document.getElementById("routes").textContent = `The document could not be read: ${error}`; });

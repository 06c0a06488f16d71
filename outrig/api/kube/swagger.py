"""OpenAPI v2 (Swagger), one document for everything: what tools read that are older than version 3.

In: the documents of version 3. Out: the document. Version 2 knows neither choices of schemas nor several forms of a
body: such a field is of any type, and such a body an object.
https://swagger.io/specification/v2/
"""

from collections.abc import Mapping
from typing import Any, Final

Json = dict[str, Any]

METHODS: Final = ("get", "put", "post", "delete", "patch")
SIGNING_IN: Final = {"BearerToken": {"type": "apiKey", "name": "authorization", "in": "header"}}


def swagger(documents: Mapping[str, Json]) -> Json:
    """All of them as one."""
    parts = list(documents.values())
    schemas = {name: schema for part in parts for name, schema in part["components"]["schemas"].items()}
    return {
        "swagger": "2.0",
        "info": parts[0]["info"],
        "paths": {path: _path(item) for part in parts for path, item in part["paths"].items()},
        "definitions": {name: _schema(schema) for name, schema in schemas.items()},
        "securityDefinitions": SIGNING_IN,
        "security": [{name: [] for name in SIGNING_IN}, {}],
    }


def _schema(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_schema(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    older = {
        word: _members(value) if word == "properties" else _schema(value)
        for word, value in schema.items()
        if word not in ("allOf", "anyOf", "oneOf")
    }
    if older.get("format") == "int-or-string":  # as Kubernetes has it
        older["type"] = "string"
    if isinstance(reference := older.get("$ref"), str):
        older["$ref"] = reference.replace("#/components/schemas/", "#/definitions/")
    for part in schema.get("allOf", ()):  # a reference that has a description of its own
        older.update(_schema(part))
    return older


def _members(properties: Json) -> Json:
    """The names of fields are not words of the schema."""
    return {name: _schema(schema) for name, schema in properties.items()}


def _path(item: Json) -> Json:
    placed = [_parameter(parameter) for parameter in item["parameters"]]
    return {"parameters": placed, **{method: _operation(item[method]) for method in METHODS if method in item}}


def _operation(operation: Json) -> Json:
    body = operation.get("requestBody", {})
    parameters = [*map(_parameter, operation["parameters"]), *([_body(body)] if body else [])]
    responses = operation["responses"]
    return {
        **{word: value for word, value in operation.items() if word != "requestBody"},
        **({"consumes": list(body["content"])} if body else {}),
        "produces": list(dict.fromkeys(media for response in responses.values() for media in response["content"])),
        "parameters": parameters,
        "responses": {code: _response(response) for code, response in responses.items()},
    }


def _parameter(parameter: Json) -> Json:
    return {**{word: value for word, value in parameter.items() if word != "schema"}, **parameter["schema"]}


def _body(body: Json) -> Json:
    return {"name": "body", "in": "body", "required": body.get("required", False), "schema": _one_of(body["content"])}


def _response(response: Json) -> Json:
    return {"description": response["description"], "schema": _one_of(response["content"])}


def _one_of(content: Json) -> Json:
    """The schema of all forms, if they have the same."""
    schemas = [form["schema"] for form in content.values()]
    same = all(schema == schemas[0] for schema in schemas) and "anyOf" not in schemas[0]
    return _schema(schemas[0]) if same else {"type": "object"}

"""The OpenAPI document of the gateway, made from the descriptors of the API.

What the protos' comments say comes from ``comments.json``, since descriptors have no comments at
run time; ``python proto/generate.py`` writes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from gateway.headers import TIMEOUT
from gateway.methods import Method, is_list
from gateway.problems import MEDIA_TYPE

COMMENTS: dict[str, str] = json.loads(Path(__file__).with_name("comments.json").read_text())
"""What the protos say of a service, call, message, field or value, by its full name."""

Schema = dict[str, Any]

SCALARS: dict[int, Schema] = {
    FieldDescriptor.CPPTYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.CPPTYPE_UINT32: {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
    # As texts, since JavaScript rounds them; taken as numbers, too.
    FieldDescriptor.CPPTYPE_INT64: {"type": ["string", "integer"], "format": "int64"},
    FieldDescriptor.CPPTYPE_UINT64: {"type": ["string", "integer"], "format": "uint64"},
    FieldDescriptor.CPPTYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptor.CPPTYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_STRING: {"type": "string"},
}

PROBLEM: Schema = {
    "type": "object",
    "description": "Why there is no answer (RFC 9457).",
    "properties": {
        "type": {"type": "string", "const": "about:blank"},
        "title": {"type": "string", "description": "What the status means."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "What is wrong, and what to do."},
        "code": {"type": "string", "description": "The name of the google.rpc code."},
        "field_violations": {
            "type": "array",
            "description": "What is wrong with single fields.",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "description": {"type": "string"}},
                "required": ["field", "description"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "code"],
}

DEADLINE: Schema = {
    "name": "Grpc-Timeout",
    "in": "header",
    "description": "Until when the caller waits, such as 250m: 250 milliseconds.",
    "schema": {"type": "string", "pattern": "^[0-9]{1,8}[HMSmun]$"},
}
assert DEADLINE["name"].lower() == TIMEOUT


def document(methods: Sequence[Method], title: str, version: str) -> Schema:
    """Return the document."""
    asked = _with_parts(method.descriptor.input_type for method in methods)
    told = _with_parts(method.descriptor.output_type for method in methods)
    messages = {
        name: _message(kind, taken=name in asked) for name, kind in sorted((told | asked).items())
    }
    services = {method.service.name: method.service for method in methods}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": version,
            "description": "The gRPC API as JSON. Every call is a POST; what it does is the same.",
        },
        "tags": [
            {"name": name, "description": COMMENTS[service.full_name]}
            for name, service in services.items()
        ],
        "security": [{}, {"token": []}],
        "paths": {method.path: {"post": _operation(method)} for method in methods},
        "components": {
            "schemas": {"Problem": PROBLEM} | messages,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(method: Method) -> Schema:
    comment = COMMENTS[method.descriptor.full_name]
    return {
        "operationId": method.name,
        "tags": [method.service.name],
        "summary": comment.partition(". ")[0].rstrip("."),
        "description": comment,
        "parameters": [DEADLINE],
        "requestBody": {"content": {"application/json": _content(method.descriptor.input_type)}},
        "responses": {
            "200": {
                "description": COMMENTS[method.descriptor.output_type.full_name],
                "content": {"application/json": _content(method.descriptor.output_type)},
            },
            "default": {
                "description": "No answer.",
                "content": {MEDIA_TYPE: {"schema": _reference("Problem")}},
            },
        },
    }


def _content(message: Descriptor) -> Schema:
    return {"schema": _reference(message.name)}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _with_parts(messages: Iterator[Descriptor]) -> dict[str, Descriptor]:
    """Return messages and all that they are made of, by their names."""
    found: dict[str, Descriptor] = {}
    waiting = list(messages)
    while waiting:
        message = waiting.pop()
        if message.GetOptions().map_entry or message.name in found:
            continue
        found[message.name] = message
        waiting += [field.message_type for field in message.fields if field.message_type]
    return found


def _message(message: Descriptor, taken: bool) -> Schema:
    """Return the schema of a message; all fields of one that is only answered are there."""
    schema: Schema = {
        "type": "object",
        "description": COMMENTS[message.full_name],
        "properties": {field.name: _described(field) for field in message.fields},
    }
    if taken:
        return schema | {"additionalProperties": False}
    return schema | {"required": [field.name for field in message.fields if not field.has_presence]}


def _described(field: FieldDescriptor) -> Schema:
    return _field(field) | {"description": COMMENTS[field.full_name]}


def _field(field: FieldDescriptor) -> Schema:
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        return {"type": "object", "additionalProperties": _one(message.fields_by_name["value"])}
    if is_list(field):
        return {"type": "array", "items": _one(field)}
    return _one(field)


def _one(field: FieldDescriptor) -> Schema:
    """Return the schema of one value of a field."""
    if field.message_type is not None:
        return _reference(field.message_type.name)
    if field.enum_type is not None:
        return _enum(field.enum_type)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return {"type": "string", "contentEncoding": "base64"}
    return dict(SCALARS[field.cpp_type])


def _enum(enum: EnumDescriptor) -> Schema:
    return {"type": "string", "enum": [value.name for value in enum.values]}

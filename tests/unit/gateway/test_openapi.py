"""The OpenAPI document and its page: what is there, and that it says what the protos say."""

import importlib.util

import pytest

from cli.stack.layout import PROJECT
from gateway import openapi
from gateway.methods import METHODS

DOCUMENT = openapi.document(METHODS, "nextclick", "0")
SCHEMAS = DOCUMENT["components"]["schemas"]


def test_the_comments_are_those_of_the_protos():
    """The page would tell limits of yesterday."""
    file = PROJECT / "proto" / "generate.py"
    spec = importlib.util.spec_from_file_location("generate_stubs", file)
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    fresh = generate.comments(generate.descriptors())
    assert generate.COMMENTS.read_text() == fresh, "run `python proto/generate.py` and commit"


def test_every_call_is_described():
    """What is not in the document, no client is generated for."""
    assert set(DOCUMENT["paths"]) == {method.path for method in METHODS}
    for method in METHODS:
        operation = DOCUMENT["paths"][method.path]["post"]
        asked = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        told = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
        assert asked.rpartition("/")[2] == method.descriptor.input_type.name
        assert told.rpartition("/")[2] == method.descriptor.output_type.name


def references(schema):
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].removeprefix("#/components/schemas/")
        for value in schema.values():
            yield from references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from references(value)


def test_what_is_referred_to_is_there():
    """A generator of clients would stop."""
    assert set(references(DOCUMENT)) <= set(SCHEMAS)


def test_fields_say_what_they_are():
    """Limits, units, and which of a list may be null are in the comments of the protos."""
    request = SCHEMAS["RecommendRequest"]
    assert request["additionalProperties"] is False
    assert request["properties"]["page_size"] == {
        "type": "integer",
        "minimum": 0,
        "maximum": 2**32 - 1,
        "description": "How many items to answer with, 1..500; 0 means 20.",
    }
    response = SCHEMAS["RecommendResponse"]
    assert "items" in response["required"]
    assert response["properties"]["source"]["enum"][2] == "ANSWER_SOURCE_POPULAR"
    assert "next_click_probability" not in SCHEMAS["ScoredItem"]["required"]
    event = SCHEMAS["Event"]["properties"]
    assert event["timestamp_ms"]["type"] == ["string", "integer"]
    assert event["properties"]["additionalProperties"] == {"type": "string"}
    assert "required" not in SCHEMAS["Item"]  # it is asked, too


@pytest.mark.parametrize(
    ("path", "kind"), [("/openapi.json", "application/json"), ("/docs", "text/html; charset=utf-8")]
)
def test_the_document_and_its_page_are_served(rest, path, kind):
    """Where people look for them."""
    answer = rest.ask("GET", path)
    assert (answer.status, answer.headers["content-type"]) == (200, kind)
    assert b"nextclick" in answer.body

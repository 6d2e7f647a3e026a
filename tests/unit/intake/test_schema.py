"""The generated JSON Schemas are current, and the specs of the repository fit them."""

from __future__ import annotations

import json

import jsonschema
import pytest
import yaml

from prodsys.intake.schema import MODELS, build_schema, stale_schemas, write_schemas
from tests.unit.intake.corpus import SPECS


def test_no_schema_of_the_repository_is_stale():
    assert stale_schemas(SPECS / "schema") == [], "run: prodsys spec schema"
    assert {path.stem for path in (SPECS / "schema").glob("*.json")} == MODELS.keys()


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("request", "requests/**/*.yaml"),
        ("chain", "chains/*.yaml"),
        ("profile", "profiles/*.yaml"),
        ("software", "software.yaml"),
        ("partitions", "partitions.yaml"),
        ("sites", "sites.yaml"),
        ("policy", "policy.yaml"),
    ],
)
def test_the_specs_fit_their_schema(name, pattern):
    schema = json.loads((SPECS / "schema" / f"{name}.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    paths = list(SPECS.glob(pattern))
    assert paths
    for path in paths:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        jsonschema.validate(data, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**data, "unheard": 1}, schema)


def test_stale_schemas_are_found_and_written_again(tmp_path):
    assert len(write_schemas(tmp_path)) == len(MODELS)
    assert write_schemas(tmp_path) == []
    (tmp_path / "request.json").write_text("{}")
    assert [path.name for path in stale_schemas(tmp_path)] == ["request.json"]


def test_a_campaign_need_not_be_written():
    assert "campaign" not in build_schema("request")["required"]
    assert "stage" in build_schema("request")["required"]

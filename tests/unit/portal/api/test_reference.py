from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from matou.portal.api.operations import by_subject, entities_of
from matou.portal.api.reference import main, reference
from matou.portal.api.routes import api as routes

if TYPE_CHECKING:
    import pytest
    from django.test import Client

    from tests.unit.portal.api.conftest import Api

PAGE = Path(__file__).parents[4] / "docs" / "rest-api.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == reference(), "run: python -m matou.portal.api.reference > docs/rest-api.md"


def test_the_command_prints_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "matou.portal.api.reference"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == reference()
    assert main(["x"]) == 2
    assert "usage" in capsys.readouterr().err


def test_every_operation_and_every_parameter_is_named_and_explained() -> None:
    document = routes.get_openapi_schema()
    operations_part, _, entities_part = PAGE.read_text("utf-8").partition("## What answers hold")
    sections = {part.partition("`\n")[0]: part for part in operations_part.split("### `")[1:]}
    named = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            section = sections.pop(f"{method.upper()} {path}")
            names = [parameter["name"] for parameter in operation["parameters"]]
            if "requestBody" in operation:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                names += document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]["properties"]
            for name in names:
                assert f"| `{name}` |" in section, f"{method} {path}: {name}"
                named += 1
    assert sections == {}
    for entity, fields in entities_of(dict(document)).items():
        section = entities_part.partition(f"### {entity}\n")[2].partition("###")[0]
        assert fields
        for field in fields:
            assert f"| `{field.name}` |" in section, f"{entity}: {field.name}"
    assert named > 250
    for operations in by_subject(dict(document)).values():
        for operation in operations:
            assert operation.description.endswith("."), operation.name
            for argument in operation.arguments:
                assert argument.meaning.endswith("."), f"{operation.name}: {argument.name}"
                assert argument.kind != "any", f"{operation.name}: {argument.name}"


def test_operations_have_names_of_their_own() -> None:
    names = [operation.name for operations in by_subject(dict(routes.get_openapi_schema())).values()
             for operation in operations]  # fmt: skip
    assert len(names) == len(set(names)) > 70


def test_the_document_and_the_page_of_a_portal(api: Api) -> None:
    document = api.send("GET", "/openapi.json")
    assert document.status == 200
    assert document.json["openapi"].startswith("3.1")
    assert "/api/v4/projects/{project_id}/job_tokens" in document.json["paths"]
    end = document.json["paths"]["/api/v4/projects/{project_id}/job_tokens/self"]["delete"]
    assert {"JobToken": []} in end["security"]
    assert "4XX" in end["responses"]


def references(part: object) -> list[str]:
    if isinstance(part, dict):
        return [part["$ref"]] if "$ref" in part else [found for value in part.values() for found in references(value)]
    return [found for item in part for found in references(item)] if isinstance(part, list) else []


def test_the_document_is_whole(api: Api) -> None:
    document = api.send("GET", "/openapi.json").json
    schemas = document["components"]["schemas"]
    found = set(references(document))
    assert len(found) > 30
    assert {reference.rpartition("/")[2] for reference in found} <= schemas.keys()
    bodies = {
        operation["operationId"]: operation["requestBody"]
        for operations in document["paths"].values()
        for operation in operations.values()
        if "requestBody" in operation
    }
    assert bodies["create_group"]["required"] is True
    assert bodies["create_job_token"]["required"] is False
    assert bodies["create_group"]["content"].keys() == {
        "application/json", "application/x-www-form-urlencoded", "multipart/form-data",
    }  # fmt: skip


def test_the_page_for_people(client: Client) -> None:
    response = client.get("/help/api")
    text = response.content.decode()
    assert response.status_code == 200
    assert "<script" not in text
    for operations in by_subject(dict(routes.get_openapi_schema())).values():
        for operation in operations:
            assert f'id="{operation.name}"' in text

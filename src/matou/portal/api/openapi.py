"""The API object: django-ninja's, with an OpenAPI document that tells all body formats and ways to authenticate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ninja import NinjaAPI

if TYPE_CHECKING:
    from ninja.openapi.schema import OpenAPISchema
    from ninja.operation import Operation

SECURITY_SCHEMES = {
    "PrivateToken": {
        "type": "apiKey",
        "in": "header",
        "name": "PRIVATE-TOKEN",
        "description": "A personal, project or group access token; also as the parameter `private_token`.",
    },
    "Bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token, or a token of `/oauth/token`.",
    },
    "JobToken": {
        "type": "apiKey",
        "in": "header",
        "name": "JOB-TOKEN",
        "description": "A CI job's token, where an operation takes one; also as the parameter `job_token`.",
    },
}
PATH_PARAMETERS = {
    "project_id": "The project's number, or its URL-encoded full path.",
    "group_id": "The group's number, or its URL-encoded full path.",
    "source_id": "The number, or the URL-encoded full path.",
    "namespace_id": "The namespace's number, or its URL-encoded full path.",
    "namespace_path": "The path, without that of the parent.",
    "user_id": "The user's number.",
    "user_reference": "The user's number or user name.",
    "token_id": "The token's number.",
}
REFUSAL = {
    "description": "Refused.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {
                    "message": {
                        "anyOf": [{"type": "string"}, {"type": "object"}],
                        "description": "What is not there or not allowed; or what is wrong, by field.",
                    },
                    "error": {"type": "string", "description": "What is wrong with the arguments or credentials."},
                    "error_description": {"type": "string"},
                    "scope": {"type": "string", "description": "The scopes of which the token needs one."},
                },
            }
        }
    },
}
BODY_TYPES = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")


class GitLabApi(NinjaAPI):
    """A NinjaAPI that describes what authentication.py and arguments.py accept."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._documents: dict[str | None, OpenAPISchema] = {}

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        """The OpenAPI document (3.1); made once, as that takes most of a second."""
        if not path_params and path_prefix in self._documents:
            return self._documents[path_prefix]
        document = self._describe(path_prefix, path_params)
        if not path_params:
            self._documents[path_prefix] = document
        return document

    def _describe(self, path_prefix: str | None, path_params: dict[str, Any] | None) -> OpenAPISchema:
        document = super().get_openapi_schema(path_prefix=path_prefix, path_params=path_params)
        document["components"]["securitySchemes"] = SECURITY_SCHEMES
        for operations in document["paths"].values():
            for operation in operations.values():
                ways = operation.pop("security", [])
                operation["security"] = [option for way in ways for name in way for option in _options(name)]
                operation["responses"]["4XX"] = REFUSAL
                for parameter in operation["parameters"]:
                    if parameter["in"] == "path":
                        parameter["description"] = PATH_PARAMETERS[parameter["name"]]
                if "requestBody" in operation:
                    content = operation["requestBody"]["content"]
                    schema = content["application/json"]
                    operation["requestBody"]["content"] = dict.fromkeys(BODY_TYPES, schema)
                    model = document["components"]["schemas"][schema["schema"]["$ref"].rsplit("/", 1)[-1]]
                    operation["requestBody"]["required"] = bool(model.get("required"))
        return document

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """The function's name: short, and unique because a test says so."""
        return operation.view_func.__name__


def _options(name: str) -> list[dict[str, list[str]]]:
    """What an authentication class of authentication.py accepts, as OpenAPI's alternatives."""
    options: list[dict[str, list[str]]] = [{"PrivateToken": []}, {"Bearer": []}]
    if name.startswith("Job"):
        options.append({"JobToken": []})
    if name.endswith("OrAnonymous"):
        options.append({})
    return options

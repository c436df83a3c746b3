"""Arguments of a request, gathered as GitLab's API framework (Grape) does.

Query string and body make one set of names, whatever the verb, and the body may be JSON, a form or multipart; it wins
over the query. Names in forms nest as Rack's do: ``a[b]=1`` is ``{"a": {"b": "1"}}`` and ``a[]=1&a[]=2`` is
``{"a": ["1", "2"]}``.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar, get_args

from django.core.exceptions import BadRequest
from django.http import RawPostDataException
from django.http.multipartparser import MultiPartParserError
from ninja.params.models import Body, ParamModel, Query
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from matou.portal.api.errors import ApiError, bad_argument

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from django.http import HttpRequest
    from ninja import NinjaAPI
    from pydantic_core import ErrorDetails

# Deeper than any parameter of this API; it bounds the work that a hostile body can ask for.
DEEPEST_NESTING = 32
LARGEST_ID = 2**63 - 1
LONGEST_LIST = 1000

BAD_BODY = (
    "Problem:\n  message body does not match declared format\nResolution:\n  when specifying application/json as"
    " content-type, you must pass valid application/json in the request's 'body' "
)

Id = Annotated[int, Field(ge=0, le=LARGEST_ID)]
"""A numeric id as a parameter."""


def _split_commas(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, dict):  # a[0]=x&a[1]=y
        return list(value.values())
    return value


def _split_list(value: object) -> object:
    return [value] if isinstance(value, int) else _split_commas(value)


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 4 else value  # noqa: PLR2004 -- roles have two digits


Names = Annotated[
    list[Annotated[str, Field(max_length=255)]], BeforeValidator(_split_commas), Field(max_length=LONGEST_LIST)
]
"""A list of words: a JSON array, ``name[]=`` repeated, or words separated by commas."""

Ids = Annotated[list[Id], BeforeValidator(_split_list), Field(max_length=LONGEST_LIST)]
"""A list of ids, in the same forms."""


def _in_utc(value: dt.datetime) -> dt.datetime:
    return value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)


Moment = Annotated[dt.datetime, AfterValidator(_in_utc)]
"""A date, or a date and time; UTC unless it says otherwise."""

RoleLevel = Annotated[Literal[10, 15, 20, 30, 40, 50], BeforeValidator(_number)]
"""A role as a parameter."""


def some_of(argument: str, known: frozenset[str]) -> AfterValidator:
    """A check of a list argument: only words out of ``known``."""

    def check(words: list[str]) -> list[str]:
        if not known >= set(words):
            raise ValueError(f"{argument} does not have a valid value; expected some of {', '.join(sorted(known))}")
        return words

    return AfterValidator(check)


def parse_pairs(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Nests names with brackets as Rack does.

    Args:
        pairs: Names and values in the order sent.

    Returns:
        The nested parameters; of a name given twice the last value counts.

    Raises:
        ApiError: A name is used both as a value and as a container, or nests too deep (400).
    """
    result: dict[str, Any] = {}
    for name, value in pairs:
        head, *rest = _parts(name)
        _put(result, head, rest, value, name)
    return result


def _parts(name: str) -> list[str]:
    match = re.fullmatch(r"([^\[\]]+)((?:\[[^\[\]]*\])*)", name)
    if match is None:
        return [name]
    parts = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
    if len(parts) > DEEPEST_NESTING:
        raise bad_argument(f"a parameter's name is nested deeper than {DEEPEST_NESTING} levels")
    return parts


def _put(container: dict[str, Any], key: str, rest: list[str], value: object, name: str) -> None:
    if not rest:
        container[key] = value
        return
    if rest[0] == "":
        items = container.setdefault(key, [])
        if not isinstance(items, list):
            raise bad_argument(f"{name} is invalid")
        if len(rest) == 1:
            items.append(value)
            return
        inner: dict[str, Any]
        if items and isinstance(items[-1], dict) and rest[1] not in items[-1]:
            inner = items[-1]
        else:
            inner = {}
            items.append(inner)
        _put(inner, rest[1], rest[2:], value, name)
        return
    child = container.setdefault(key, {})
    if not isinstance(child, dict):
        raise bad_argument(f"{name} is invalid")
    _put(child, rest[0], rest[1:], value, name)


def _check_document(value: object, depth: int = 0) -> None:
    """Refuses what no parameter may hold: NUL characters, lone surrogates, and deep nesting."""
    if depth > DEEPEST_NESTING:
        raise bad_argument(f"the parameters are nested deeper than {DEEPEST_NESTING} levels")
    if isinstance(value, str):
        if "\0" in value:
            raise bad_argument("string contains null byte")
        if not value.isprintable() and any("\ud800" <= character <= "\udfff" for character in value):
            raise bad_argument("string contains an unpaired surrogate")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_document(key, depth)
            _check_document(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_document(item, depth + 1)


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is no JSON")


def _body(request: HttpRequest) -> dict[str, Any]:
    media_type = (request.content_type or "").lower()
    if media_type in {"multipart/form-data", "application/x-www-form-urlencoded"}:
        if request.method == "POST":
            form, files = request.POST, request.FILES
        else:
            # Django reads forms of POST requests only; GitLab's clients send them with PUT, PATCH and DELETE too.
            verb, request.method = request.method, "POST"
            try:
                request._load_post_and_files()  # noqa: SLF001 -- Django has no public way
                form, files = request.POST, request.FILES
            finally:
                request.method = verb
        pairs = [(name, value) for name, values in form.lists() for value in values]
        return parse_pairs([*pairs, *((name, item) for name, items in files.lists() for item in items)])
    if not request.body:
        return {}
    if media_type and media_type != "application/json" and not media_type.endswith("+json"):
        raise ApiError(415, {"error": "The provided content-type '" + media_type + "' is not supported."})
    try:
        document = json.loads(request.body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise bad_argument(BAD_BODY) from error
    if not isinstance(document, dict):
        raise bad_argument(BAD_BODY)
    return document


def gather(request: HttpRequest) -> dict[str, Any]:
    """All arguments of a request.

    Returns:
        Query and body as one nested mapping.

    Raises:
        ApiError: The body is not what its content type says, or is hostile (400, 415).
        RequestDataTooBig, TooManyFieldsSent: Django's limits are exceeded.
    """
    query = parse_pairs((name, value) for name, values in request.GET.lists() for value in values)
    try:
        arguments = query | _body(request)
    except (BadRequest, MultiPartParserError, RawPostDataException) as error:
        raise bad_argument(BAD_BODY) from error
    _check_document(arguments)
    return arguments


class Arguments(BaseModel):
    """Base of every operation's arguments. Unknown names are ignored, as in GitLab."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True, populate_by_name=True)

    at_least_one: ClassVar[tuple[str, ...]] = ()
    """Names of which at least one must be given."""

    @model_validator(mode="before")
    @classmethod
    def _empty_is_absent(cls, data: Any) -> Any:
        """Takes an empty string for null where text is not wanted: HTML forms send them."""
        if not isinstance(data, dict):
            return data
        blank = {
            name
            for name, value in data.items()
            if value == "" and name in cls.model_fields and not _takes_text(cls.model_fields[name].annotation)
        }
        return {name: None if name in blank else value for name, value in data.items()}

    def given(self) -> dict[str, Any]:
        """The arguments that the request has, as attributes and values."""
        return {name: getattr(self, name) for name in self.model_fields_set}


def _takes_text(annotation: object) -> bool:
    if annotation is str:
        return True
    return any(_takes_text(part) for part in get_args(annotation)) or any(
        isinstance(part, str) for part in get_args(annotation)
    )


def _name(location: tuple[str, ...]) -> str:
    head, *rest = location
    return head + "".join(f"[{part}]" for part in rest)


# What is said of a value that pydantic refuses; anything else "is invalid".
_PROBLEMS: Mapping[str, str] = {
    "missing": "is missing",
    "literal_error": "does not have a valid value",
    "enum": "does not have a valid value",
    "string_too_short": "is empty",
    "too_short": "is empty",
    "string_too_long": "is too long",
    "too_long": "is too long",
    "greater_than_equal": "does not have a valid value",
    "greater_than": "does not have a valid value",
    "less_than_equal": "does not have a valid value",
}


def explain(problems: Iterable[ErrorDetails]) -> str:
    """Grape's sentence for what pydantic found, for example ``name is missing, level is invalid``."""
    texts: dict[str, None] = {}
    for problem in problems:
        location = tuple(part for part in problem["loc"][1:] if isinstance(part, str) and "[" not in part)
        if problem["type"] == "value_error":
            texts[str(problem["ctx"]["error"])] = None
        else:
            texts[f"{_name(location)} {_PROBLEMS.get(problem['type'], 'is invalid')}"] = None
    return ", ".join(texts)


class GatheredModel(ParamModel):
    """Feeds the gathered arguments, which authentication has left on the request, to the operation's one model."""

    @classmethod
    def get_request_data(cls, request: HttpRequest, api: NinjaAPI, path_params: dict[str, Any]) -> dict[str, Any]:
        """The arguments under the name of the operation's parameter."""
        del api, path_params
        (field,) = cls.model_fields
        arguments: dict[str, Any] = request.auth.arguments  # type: ignore[attr-defined] # django-ninja's attribute
        return {field: arguments}

    @classmethod
    def resolve(cls, request: HttpRequest, api: NinjaAPI, path_params: dict[str, Any]) -> GatheredModel:
        """Validates the arguments; raises ApiError (400) with Grape's words for what is wrong with them."""
        data = cls.get_request_data(request, api, path_params)
        try:
            values = cls.model_validate(data, context={"request": request})
        except ValidationError as error:
            raise bad_argument(explain(error.errors(include_url=False))) from error
        ((_, arguments),) = values
        names = arguments.at_least_one
        if names and not arguments.model_fields_set.intersection(names):
            raise bad_argument(f"{', '.join(names)} are missing, at least one parameter must be provided")
        return values


class QuerySource(Query):  # type: ignore[misc] # django-ninja builds on pydantic's final FieldInfo
    """Documents the arguments as query parameters."""

    _model = GatheredModel  # type: ignore[assignment] # its resolve() differs, which is the point

    @classmethod
    def _param_source(cls) -> str:
        return "query"


class BodySource(Body):  # type: ignore[misc] # as above
    """Documents the arguments as the body."""

    _model = GatheredModel  # type: ignore[assignment] # its resolve() differs, which is the point

    @classmethod
    def _param_source(cls) -> str:
        return "body"


ArgumentsT = TypeVar("ArgumentsT", bound=Arguments)

FromQuery = Annotated[ArgumentsT, QuerySource(...)]
"""Arguments of an operation that reads or deletes."""

FromBody = Annotated[ArgumentsT, BodySource(...)]
"""Arguments of an operation that writes."""

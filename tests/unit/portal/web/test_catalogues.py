from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from django.test import Client

from tests.unit.portal.web import catalogues

if TYPE_CHECKING:
    from tests.translations.catalogue import Catalogue

HAN = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(params=sorted(catalogues.CATALOGUES))
def catalogue(request: pytest.FixtureRequest) -> Catalogue:
    return catalogues.CATALOGUES[request.param]


def test_every_text_is_translated_and_none_is_left_over(catalogue: Catalogue) -> None:
    assert {entry.msgid for entry in catalogue.read()} == set(catalogue.wanted()), "run 'make catalogues'"
    assert [entry.msgid for entry in catalogue.read() if not entry.msgstr or entry.fuzzy] == []


def test_the_compiled_catalogue_is_the_one_that_people_edit(catalogue: Catalogue) -> None:
    assert catalogue.mo.read_bytes() == catalogue.compiled(), "run 'make catalogues'"


@pytest.mark.parametrize("path", ["/", "/help/authentication", "/no-such-page"])
@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-hans"),
        ("zh-Hans", "zh-hans"),
        ("zh", "zh-hans"),
        ("de-DE,de;q=0.9", "en"),
        ("en,zh-CN;q=0.5", "en"),
    ],
)
@pytest.mark.django_db
def test_pages_are_in_the_readers_language(path: str, accepted: str, language: str) -> None:
    response = Client().get(path, headers={"Accept-Language": accepted, "Accept": "text/html"})
    text = re.sub(r"<[^>]*>", " ", response.text)
    assert f'<html lang="{language}">' in response.text
    assert bool(HAN.search(text)) is (language == "zh-hans")
    if language == "zh-hans":
        plain = re.sub(r"<(code|pre)\b.*?</\1>", " ", response.text, flags=re.DOTALL)
        plain = re.sub(r"<[^>]*>", " ", plain)
        assert not re.search(r"\b[a-z]+ [a-z]+ [a-z]+ [a-z]+\b", plain), "a sentence is in English"

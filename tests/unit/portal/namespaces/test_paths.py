from __future__ import annotations

import pytest

from matou.portal.namespaces.paths import (
    GROUP_NAME_MESSAGE,
    PATH_MESSAGE,
    PROJECT_NAME_MESSAGE,
    path_from_name,
    problem_of_full_path,
    problem_of_group_name,
    problem_of_path,
    problem_of_project_name,
)


@pytest.mark.parametrize("path", ["a", "A", "7", "web-shop", "Web.Shop_2", "x" * 255, "github", "attic"])
def test_paths(path: str) -> None:
    assert problem_of_path(path, at_top=True) is None
    assert problem_of_path(path, at_top=False) is None


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("", "can't be blank"),
        ("x" * 256, "is too long (maximum is 255 characters)"),
        ("-a", PATH_MESSAGE),
        ("a-", PATH_MESSAGE),
        (".a", PATH_MESSAGE),
        ("_a", PATH_MESSAGE),
        ("a--b", PATH_MESSAGE),
        ("a._b", PATH_MESSAGE),
        ("a..b", PATH_MESSAGE),
        ("..", PATH_MESSAGE),
        ("a/b", PATH_MESSAGE),
        ("a b", PATH_MESSAGE),
        ("a\n", PATH_MESSAGE),
        ("a%2Fb", PATH_MESSAGE),
        ("码头", PATH_MESSAGE),
        ("é", PATH_MESSAGE),
        ("\u0661", PATH_MESSAGE),
        ("a.git", PATH_MESSAGE),
        ("a.ATOM", PATH_MESSAGE),
    ],
)
def test_refused_paths(path: str, problem: str) -> None:
    assert problem_of_path(path, at_top=True) == problem
    assert problem_of_path(path, at_top=False) == problem


@pytest.mark.parametrize(
    ("path", "at_top", "refused"),
    [
        ("api", True, True),
        ("API", True, True),
        ("v2", True, True),
        ("api", False, False),
        ("tree", True, False),
        ("tree", False, True),
        ("Blob", False, True),
    ],
)
def test_reserved_paths(path: str, at_top: bool, refused: bool) -> None:
    assert problem_of_path(path, at_top=at_top) == (f"{path} is a reserved name" if refused else None)


def test_full_paths_fit_into_names_of_images() -> None:
    assert problem_of_full_path("a/" * 127 + "a") is None
    problem = problem_of_full_path("a/" * 128)
    assert problem is not None
    assert "256 characters" in problem


@pytest.mark.parametrize("name", ["Web shop", "码头", "_x", "a - b", "a\u2014b", "🚢 Wharf", "x" * 255, "7"])
def test_names(name: str) -> None:
    assert problem_of_group_name(name) is None
    assert problem_of_project_name(name) is None


@pytest.mark.parametrize(
    ("name", "group", "project"),
    [
        ("", "can't be blank", "can't be blank"),
        ("  ", "can't be blank", "can't be blank"),
        ("x" * 256, "is too long (maximum is 255 characters)", "is too long (maximum is 255 characters)"),
        ("a (b)", None, PROJECT_NAME_MESSAGE),
        ("c++", GROUP_NAME_MESSAGE, None),
        (" a", GROUP_NAME_MESSAGE, PROJECT_NAME_MESSAGE),
        ("-a", GROUP_NAME_MESSAGE, PROJECT_NAME_MESSAGE),
        ("a/b", GROUP_NAME_MESSAGE, PROJECT_NAME_MESSAGE),
        ("<b>", GROUP_NAME_MESSAGE, PROJECT_NAME_MESSAGE),
        ("a\nb", GROUP_NAME_MESSAGE, PROJECT_NAME_MESSAGE),
    ],
)
def test_refused_names(name: str, group: str | None, project: str | None) -> None:
    assert problem_of_group_name(name) == group
    assert problem_of_project_name(name) == project


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("shop", "shop"),
        ("MyShop", "MyShop"),
        ("My Shop", "my-shop"),
        ("Café -- Größe", "cafe-groe"),
        ("c++", "c"),
        ("码头", ""),
        ("tree", "tree"),
        ("a " * 200, ("a-" * 128)[:255].rstrip("-")),
    ],
)
def test_paths_from_names(name: str, path: str) -> None:
    assert path_from_name(name) == path

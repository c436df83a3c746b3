from __future__ import annotations

import time

import pytest

from matou.config.findings import ConfigurationError, Findings, Origin
from matou.config.yaml_lines import Mapping, Node, Scalar, Sequence, read_yaml


def read(text: str | bytes, findings: Findings | None = None) -> Node:
    data = text if isinstance(text, bytes) else text.encode()
    return read_yaml(data, Origin("f", 1), findings or Findings())


def plain(node: Node) -> object:
    match node:
        case Mapping():
            return {key: plain(value) for key, value in node.entries.items()}
        case Sequence():
            return [plain(item) for item in node.items]
        case Scalar():
            return None if node.tag == "null" else node.text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# nothing\n", None),
        ("a: 1\nb: [x, 'y']\n", {"a": "1", "b": ["x", "y"]}),
        ("a: &x {b: 1}\nc: *x\n", {"a": {"b": "1"}, "c": {"b": "1"}}),
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, b: 3}\n", {"a": {"b": "1", "c": "2"}, "d": {"b": "3", "c": "2"}}),
        (
            "a: &x {b: 1}\ne: &y {b: 2, c: 2}\nd: {<<: [*x, *y]}\n",
            {"a": {"b": "1"}, "e": {"b": "2", "c": "2"}, "d": {"b": "1", "c": "2"}},
        ),
        ("1: a\ntrue: b\n", {"1": "a", "true": "b"}),
        ("a: !!str 1\n", {"a": "1"}),
        ("\ufeffa: 1\n", {"a": "1"}),
        ("a: |\n  b\n  c\n", {"a": "b\nc\n"}),
    ],
)
def test_reads(text: str, value: object) -> None:
    assert plain(read(text)) == value


def test_utf16_is_read() -> None:
    assert plain(read("a: ü\n".encode("utf-16"))) == {"a": "ü"}


def test_lines_are_kept() -> None:
    node = read("a: 1\n\nb:\n  - x\n  - y: 2\n")
    assert isinstance(node, Mapping)
    assert [str(node.key_origins[key]) for key in ("a", "b")] == ["f:1", "f:3"]
    items = node.entries["b"]
    assert isinstance(items, Sequence)
    assert [str(item.origin) for item in items.items] == ["f:4", "f:5"]


def test_a_repeated_key_is_warned_of_and_the_last_counts() -> None:
    findings = Findings()
    assert plain(read("a: 1\na: 2\n", findings)) == {"a": "2"}
    assert [str(each) for each in findings.warnings] == [
        "f:2: the key 'a' is repeated; its earlier value on line 1 is not used"
    ]


def test_a_second_document_is_warned_of() -> None:
    findings = Findings()
    assert plain(read("a: 1\n---\nb: 2\n", findings)) == {"a": "1"}
    assert [str(each) for each in findings.warnings] == [
        "f:2: what follows is another YAML document, which is not read"
    ]


def test_an_alias_is_a_copy() -> None:
    node = read("a: &x {b: 1}\nc: *x\n")
    assert isinstance(node, Mapping)
    assert node.entries["a"] is not node.entries["c"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\n b: 2\n", "f:2: is not valid YAML: mapping values are not allowed here, in column 3"),
        (
            "a: 'b\n",
            "f:2: is not valid YAML: while scanning a quoted scalar found unexpected end of stream, in column 1",
        ),
        ("a: *x\n", "f:1: an alias (*) has no anchor (&) above; put quotes around a text that begins with *"),
        ("a: &x [*x]\n", "f:1: an alias (*) stands for something that it is a part of; remove it"),
        (
            "a: !secret 1\n",
            "f:1: a value has a tag (!), which is not used here; put quotes around a text that begins with !",
        ),
        (
            "a: !!python/object:os.system 1\n",
            "f:1: a value has a tag (!), which is not used here; put quotes around a text that begins with !",
        ),
        ("[a]: 1\n", "f:1: a list or a map is used as a key; expected a name"),
        ("a: {<<: 1}\n", "f:1: << merges something that has no keys; expected an alias of a map"),
        (
            b"a: 1\nb: \xff\n",
            "f:2: is no UTF-8 text: invalid start byte; expected UTF-8 or UTF-16",
        ),
        (
            "a: 1\nb: \x00\n",
            "f:2: has the control character U+0000; expected text",
        ),
        ("a: " + "[" * 70, "f:1: is nested more than 64 levels deep"),
        ("x" * (1 << 20) + "y", "f:1: is larger than 1048576 bytes; this is no registry configuration"),
    ],
)
def test_refuses(text: str | bytes, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    assert str(caught.value) == problem


def test_no_bomb_of_aliases() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    started = time.process_time()
    with pytest.raises(ConfigurationError, match="holds more than 20000 values"):
        read("\n".join(lines))
    assert time.process_time() - started < 30  # it would be 10**12 values


def test_deep_nesting_does_not_reach_pythons_limit() -> None:
    with pytest.raises(ConfigurationError, match="levels deep"):
        read("{a: " * 100_000)


@pytest.mark.parametrize(
    "text", ["*hunter2", "!hunter2", "!hunter2!x", "%hunter2", "&hunter2 [", "'hunter2", '"hunter2', "{hunter2"]
)
def test_no_message_repeats_what_may_be_a_secret(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_yaml(text.encode(), Origin("environment variable REGISTRY_HTTP_SECRET"), Findings())
    assert "hunter2" not in str(caught.value)
    assert str(caught.value).startswith("environment variable REGISTRY_HTTP_SECRET: ")

from __future__ import annotations

import json

import pytest

from bench.results import ENTRIES, P99, PEAK, PER_CORE, Case, Results, paired_ratios, ratio
from bench.targets import REFERENCE, Verdict, targets, verdicts

GET = Case("manifests", "GET by tag", "token")


def test_ratio_above_one_is_better_whichever_way_the_metric_goes() -> None:
    assert ratio(200, 100, higher_is_better=True) == 2
    assert ratio(100, 200, higher_is_better=False) == 2


@pytest.mark.parametrize(("subject", "peer"), [(0, 5), (5, 0), (-1, 5)])
def test_no_ratio_with_zero(subject: float, peer: float) -> None:
    assert ratio(subject, peer, higher_is_better=True) is None


def test_ratios_are_of_the_same_round() -> None:
    assert paired_ratios([100, 10], [50, 5], higher_is_better=True) == [2, 2]


def test_ratio_of_medians_where_a_round_is_missing() -> None:
    assert paired_ratios([100, 300, 200], [100], higher_is_better=True) == [2]


def results() -> Results:
    found = Results()
    for ours, theirs in ((130.0, 10.0), (260.0, 10.0), (140.0, 10.0)):
        found.add(GET, "matou", {PER_CORE: ours, P99: 2.0, ENTRIES: 100})
        found.add(GET, REFERENCE, {PER_CORE: theirs, P99: 8.0, ENTRIES: 5000})
    return found


def test_median_and_spread_of_ratios() -> None:
    found = {item.metric: item for item in results().ratios()}
    assert (found[PER_CORE].value, found[PER_CORE].low, found[PER_CORE].high) == (14, 13, 26)
    assert found[P99].value == 4
    assert ENTRIES not in found


def test_no_ratio_without_the_subject() -> None:
    found = Results()
    found.add(GET, REFERENCE, {PER_CORE: 1})
    found.add(GET, "other", {PER_CORE: 1})
    assert list(found.ratios()) == []


def test_json_round_trip() -> None:
    before = results()
    before.problems.append("disk full")
    document = json.loads(json.dumps(before.as_json()))
    assert document["figures"][0]["servers"]["matou"] == {
        "median": 140.0,
        "min": 130.0,
        "max": 260.0,
        "values": [130.0, 260.0, 140.0],
    }
    assert Results.from_json(document).as_json() == before.as_json()


def test_targets_are_judged_against_the_reference() -> None:
    judged = {verdict.target.metric: verdict for verdict in verdicts(results())}
    assert judged[PER_CORE].measured == 14
    assert judged[PER_CORE].met
    assert judged[P99].met
    assert set(judged) == {PER_CORE, P99}


def test_a_missed_ratio_and_a_missed_bound() -> None:
    by_metric = {target.metric: target for target in targets()}
    assert not Verdict(by_metric[PER_CORE], 11.9).met
    assert Verdict(by_metric[PEAK], 199).met
    assert not Verdict(by_metric[PEAK], 200).met


def test_every_target_names_a_case_once() -> None:
    keys = [(target.case, target.metric) for target in targets()]
    assert len(keys) == len(set(keys))

"""All pairs against one by one, watch lists against counting by hand, turned pictures, tables."""

import random
from itertools import combinations

import numpy as np
import pytest

from face_pipeline.evaluation.folders import Picture
from face_pipeline.evaluation.identification import gallery_figures
from face_pipeline.evaluation.notice import notes
from face_pipeline.evaluation.pairing import ROWS_AT_ONCE, WORST_MAX, Ranking, everybody_compared
from face_pipeline.evaluation.pictures import Shot, turned
from face_pipeline.evaluation.rates import Share, Trials, histogram
from face_pipeline.evaluation.tables import tables
from face_pipeline.evaluation.verification import AtFar, Figures, SystemFigures
from face_pipeline.evaluation.watchlist import Search, Split, split
from face_pipeline.frames import Embedding


def people(count: int, pictures_each: int = 1) -> list[Picture]:
    return [
        Picture(file=f"{person}_{number}.jpg", person=f"p{person}")
        for person in range(count)
        for number in range(pictures_each)
    ]


def some_embeddings(pictures: list[Picture], seed: int = 1) -> dict[Shot, Embedding]:
    raw = np.random.default_rng(seed).normal(size=(len(pictures), 16))
    unit = np.asarray(raw / np.linalg.norm(raw, axis=1, keepdims=True), np.float32)
    return {Shot(file=picture.file): row for picture, row in zip(pictures, unit, strict=True)}


def test_all_pairs_in_blocks_are_the_same_as_one_by_one() -> None:
    pictures = people(ROWS_AT_ONCE // 2 + 20, pictures_each=2)
    found = some_embeddings(pictures)
    del found[Shot(file="3_1.jpg")]
    ranking = Ranking(sign=-1)

    trials = everybody_compared(pictures, found, ranking)

    seen = [picture for picture in pictures if picture.file != "3_1.jpg"]
    matrix = np.stack([found[Shot(file=picture.file)] for picture in seen])
    alike = matrix @ matrix.T
    scored = {
        (seen[one].file, seen[other].file): float(alike[one, other])
        for one, other in combinations(range(len(seen)), 2)
        if seen[one].person != seen[other].person
    }
    # The picture that is missing would have been compared with all but itself and its own person's other one.
    assert (len(trials), trials.unscored) == (len(scored) + len(pictures) - 2, len(pictures) - 2)
    assert trials.scores == pytest.approx(np.sort(list(scored.values())), abs=1e-6)
    worst = ranking.worst(threshold=0.5)
    best = sorted(scored, key=lambda pair: -scored[pair])[:WORST_MAX]
    assert {(one.file_a, one.file_b) for one in worst} == set(best)
    assert all(one.wrong is (one.similarity is not None and one.similarity >= 0.5) for one in worst)


def test_a_watch_list_keeps_enrolled_people_and_strangers_apart_and_is_drawn_by_the_seed() -> None:
    pictures = [*people(30, pictures_each=2), Picture(file="single.jpg", person="once")]

    roles, again, other = (split(pictures, share=0.5, draw=random.Random(seed)) for seed in (1, 1, 2))  # noqa: S311 - repeatable

    enrolled = {picture.person for picture in roles.enrolled}
    assert len(roles.enrolled) == len(enrolled) == 16
    assert {picture.person for picture in roles.mated} <= enrolled
    assert {picture.person for picture in roles.strangers}.isdisjoint(enrolled)
    assert {picture.file for picture in roles.mated}.isdisjoint(picture.file for picture in roles.enrolled)
    assert len(roles.enrolled) + len(roles.mated) + len(roles.strangers) == len(pictures)
    assert roles == again
    assert roles != other


def test_identification_is_counted_as_by_hand() -> None:
    anna, bert, zoe = (Picture(file=f"{name}.jpg", person=name) for name in ("anna", "bert", "zoe"))
    roles = Split(enrolled=(anna, bert), mated=(anna, bert), strangers=(zoe,))
    searches = [
        Search(picture=anna, named="anna", similarity=0.8, margin=0.5, candidates=("anna",)),
        Search(picture=anna, named="anna", similarity=0.6, margin=0.05, candidates=("anna", "bert")),
        Search(picture=anna, named="anna", similarity=0.4, margin=0.3),  # below the threshold
        Search(picture=bert, named="anna", similarity=0.7, margin=0.02, candidates=("anna", "bert")),  # second only
        Search(picture=bert),  # no face
        Search(picture=zoe, named="bert", similarity=0.55, margin=0.2, candidates=("bert",)),
        Search(picture=zoe, named="bert", similarity=0.3, margin=0.1),
        Search(picture=zoe),
        Search(picture=zoe, named="anna", similarity=0.2, margin=0.1),
    ]

    figures = gallery_figures(2, searches, roles, (0.25,), 0.5)

    def counted(share: Share) -> tuple[int, int]:
        return share.count, share.of

    assert figures.at_policy is not None
    assert figures.decided is not None
    assert counted(figures.rank_1) == (3, 5)
    assert counted(figures.at_policy.fnir) == (3, 5)
    assert counted(figures.at_policy.fpir) == (1, 4)
    assert counted(figures.decided.found) == (3, 5)
    assert counted(figures.decided.ambiguous) == (2, 3)
    assert counted(figures.decided.strangers_asked) == (1, 4)
    assert (figures.at_fpir[0].threshold, counted(figures.at_fpir[0].fnir)) == (0.3001, (2, 5))


def test_a_turned_picture_keeps_its_corners_and_its_middle() -> None:
    picture = np.zeros((100, 60, 3), np.uint8)
    picture[45:55, 25:35] = 255
    picture[:2, :2] = picture[-2:, -2:] = 200

    whole = turned(picture, 30)
    right = turned(picture, 90)

    assert whole.shape[:2] == (117, 102)
    assert whole[58, 51].tolist() == [255, 255, 255]
    assert int(whole.astype(int).sum()) == pytest.approx(int(picture.astype(int).sum()), rel=0.05)
    assert right.shape[:2] == (60, 100)
    assert right[0, -1].tolist() == [200, 200, 200]  # clockwise: what was upper left is upper right


def test_a_rate_that_is_shown_stands_in_the_table_with_its_threshold() -> None:
    right, wrong = Trials.of([0.9] * 9 + [0.1]), Trials.of([0.2] * 297 + [0.5] * 3)
    at_far = AtFar(far=0.01, threshold=0.2001, tar=right.accepted(0.2001), far_seen=wrong.accepted(0.2001))
    system = SystemFigures(
        name="default",
        models={},
        no_face=Share.counted(0, 20),
        unreadable=2,
        policy_applies=False,
        at_policy=(),
        at_far=(at_far,),
        equal_error=None,
        impostor_highest=0.5,
        deciding_threshold=0.2001,
        genuine=histogram(right, start=-1, stop=1, bands=4),
        impostor=histogram(wrong, start=-1, stop=1, bands=4),
        curve=(),
        worst_genuine=(),
        worst_impostor=(),
    )
    figures = Figures(
        pictures=20,
        persons=None,
        genuine_pairs=10,
        impostor_pairs=300,
        simulated_pictures=0,
        rolled_pictures=0,
        fars_not_shown=(0.001,),
        systems=(system,),
    )

    rows = {row[0]: row[1] for row in tables(figures)[0].rows}

    assert rows["TAR at FAR ≤ 1e-2"] == "90.00 % (9 of 10) [55.50 %, 99.75 %], at 0.2001"
    assert rows["Files that are no picture"] == "2"
    assert not [name for name in rows if name.startswith(("FRR", "FAR"))]  # the policy was made for another model
    assert "FAR 1e-3 is not shown: 300 trials" in notes(figures)[-1]

"""What recognises a frame that is shown again, and only that?"""

from collections.abc import Callable
from functools import cache
from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_pipeline import FacePolicy
from face_pipeline.frames import Image, Points
from face_pipeline.liveness.replay import PRINT_BYTES, Recognised, ReplayMemory, ReplaySearch, frame_print

POLICY = FacePolicy()
NEAR = POLICY.replay_distance_max
HEIGHT, WIDTH = 480, 640


@cache
def scenery() -> Image:
    """A wall with some structure, the same on each visit."""
    noise = np.random.default_rng(1).integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)


@cache
def head() -> Image:
    """Something with the structure of a face: no face is needed to make a print."""
    noise = np.random.default_rng(2).integers(40, 216, (30, 24, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (190, 240), interpolation=cv2.INTER_CUBIC), np.uint8)


def seen(across: float = 0.0, down: float = 0.0, size: float = 1.0, noise_seed: int = 3) -> tuple[Image, Points]:
    """Return the head before the wall, moved by so many pixels, and where its points are."""
    x, y = 225 + across, 120 + down
    placed = np.array([[size, 0, x], [0, size, y]], np.float32)
    over = cv2.warpAffine(head(), placed, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
    mask = cv2.warpAffine(np.full(head().shape, 255, np.uint8), placed, (WIDTH, HEIGHT))
    sensor = np.random.default_rng(noise_seed).normal(0, 1.6, scenery().shape)
    image = np.clip(np.where(mask > 127, over, scenery()) + sensor, 0, 255).astype(np.uint8)
    points = np.array([[55, 90], [135, 90], [95, 135], [65, 180], [125, 180]], np.float32) * size + (x, y)
    return image, points.astype(np.float32)


def bits_apart(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def as_jpeg(quality: int) -> Callable[[Image], Image]:
    def encoded(image: Image) -> Image:
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)

    return encoded


def scaled(factor: float) -> Callable[[Image], Image]:
    return lambda image: np.asarray(
        cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8
    )


def lit(factor: float) -> Callable[[Image], Image]:
    return lambda image: np.clip(image * np.float32(factor), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "changed",
    [
        as_jpeg(60),
        as_jpeg(95),
        scaled(0.75),
        scaled(1.2),
        lit(0.8),
        lit(1.2),
        lambda image: as_jpeg(60)(lit(1.1)(image)),
    ],
    ids=["quality 60", "quality 95", "smaller", "larger", "darker", "brighter", "brighter and encoded"],
)
def test_a_frame_is_recognised_however_it_is_encoded_scaled_or_lit(changed: Callable[[Image], Image]) -> None:
    image, points = seen()
    again = changed(image)
    found_again = points * (again.shape[1] / WIDTH) + 0.6  # the detector finds the points a little elsewhere

    assert bits_apart(frame_print(image, points), frame_print(again, found_again.astype(np.float32))) <= NEAR


@pytest.mark.parametrize(
    "stance",
    [{"across": 6.0}, {"down": -6.0}, {"size": 1.06}, {"across": 25.0, "size": 0.9}],
    ids=["a finger's breadth aside", "a little lower", "a little nearer", "elsewhere"],
)
def test_the_same_person_on_another_visit_is_not_a_replay(stance: dict[str, float]) -> None:
    first, then = frame_print(*seen()), frame_print(*seen(**stance, noise_seed=4))

    assert bits_apart(first, then) > 1.3 * NEAR


def test_prints_of_different_pictures_differ_in_half_of_their_bits() -> None:
    rng = np.random.default_rng(5)
    points = seen()[1]
    pictures = [
        np.asarray(cv2.resize(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8), (WIDTH, HEIGHT)), np.uint8)
        for _ in range(6)
    ]
    prints = [frame_print(picture, points) for picture in pictures]

    assert all(len(each) == PRINT_BYTES for each in prints)
    assert all(90 < bits_apart(one, other) < 166 for one, other in combinations(prints, 2))


def test_prints_that_databases_hold_are_still_recognised() -> None:
    # Of this very frame, as prints were made when the first were kept.
    kept = bytes.fromhex("79b86cde26f09dff1368fd02962ec7d2122039dbc61b24aa9a9092ec332d9239")

    assert bits_apart(frame_print(*seen()), kept) <= NEAR // 3  # what a change of encoding adds must find room as well


# The memory.


def prints_of(seed: int, number: int = 10) -> list[bytes]:
    rng = np.random.default_rng(seed)
    return [rng.bytes(PRINT_BYTES) for _ in range(number)]


def a_little_changed(print_: bytes, bits: int = NEAR) -> bytes:
    flipped = np.unpackbits(np.frombuffer(print_, np.uint8))
    flipped[np.random.default_rng(9).permutation(len(flipped))[:bits]] ^= 1
    return np.packbits(flipped).tobytes()


def a_memory(prints_max: int = 1_000) -> ReplayMemory:
    return ReplayMemory(prints_max=prints_max, distance_max=NEAR)


def test_frames_of_an_earlier_session_are_recognised_and_the_session_named() -> None:
    memory = a_memory()
    memory.remember("other", prints_of(1))
    memory.remember("earlier", prints_of(2))

    again = memory.recognise("now", [*prints_of(3, 5), *map(a_little_changed, prints_of(2, 4))])

    assert (again.frames, again.session_id) == (4, "earlier")


def test_what_differs_by_one_bit_more_is_another_frame() -> None:
    memory = a_memory()
    memory.remember("earlier", prints_of(2))

    assert memory.recognise("now", [a_little_changed(each, NEAR + 1) for each in prints_of(2)]).frames == 0


def test_a_session_does_not_recognise_itself() -> None:
    memory = a_memory()

    assert memory.recognise("now", prints_of(1) * 2).frames == 0


def test_of_two_sessions_that_show_the_same_at_once_the_second_is_the_replay() -> None:
    memory = a_memory()

    found = [memory.recognise(session_id, prints_of(1)).frames for session_id in ("one", "two")]

    assert found == [0, 10]


def test_one_remembered_picture_speaks_for_one_frame_however_often_it_is_shown() -> None:
    memory = a_memory()
    memory.remember("earlier", prints_of(1, 1))

    assert memory.recognise("now", prints_of(1, 1) * 8).frames == 4  # half of all that were seen before


def test_frames_put_together_from_many_sessions_count_half() -> None:
    memory = a_memory()
    for seed in range(8):
        memory.remember(f"earlier {seed}", prints_of(seed, 1))

    assert memory.recognise("now", [prints_of(seed, 1)[0] for seed in range(8)]).frames == 4


@given(st.lists(st.sampled_from(["look", "remember"]), max_size=30), st.integers(1, 3))
def test_a_search_that_was_begun_early_finds_what_one_at_the_end_does(steps: list[str], changes: int) -> None:
    """However many sessions come meanwhile, and however many of them have to make room."""
    shown = [a_little_changed(each, bits) for bits in range(changes) for each in prints_of(0, 6)]
    early, late = a_memory(prints_max=40), a_memory(prints_max=40)
    search, looked_for = ReplaySearch(early), iter(shown)
    for number, step in enumerate(steps):
        if step == "look":
            search.look_for(next(looked_for, shown[0]))
        else:
            for memory in (early, late):
                memory.remember(f"session {number}", prints_of(number % 3, 5) + shown[number % 6 : number % 6 + 2])

    assert early.recognise("now", shown, search) == late.recognise("now", shown)


def test_a_session_that_was_remembered_during_the_search_is_found() -> None:
    memory = a_memory()
    search = ReplaySearch(memory)
    for each in prints_of(1):
        search.look_for(each)
    memory.remember("meanwhile", prints_of(1))

    assert memory.recognise("now", prints_of(1), search) == Recognised(frames=10, session_id="meanwhile")


def test_i11_the_memory_is_bounded_and_gives_up_the_oldest() -> None:
    memory = a_memory(prints_max=20)
    for seed in range(3):
        memory.remember(f"session {seed}", prints_of(seed))

    assert len(memory) == 20
    assert memory.recognise("the oldest again", prints_of(0)).frames == 0
    assert memory.recognise("the newest again", prints_of(2)).frames == 10
    assert len(memory) == 20


def test_a_session_that_is_told_twice_is_remembered_once() -> None:
    memory = a_memory()
    memory.remember("earlier", prints_of(1))
    memory.remember("earlier", prints_of(1))

    assert len(memory) == 10

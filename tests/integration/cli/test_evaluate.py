"""`shualian evaluate` on a tiny folder of the two installed portraits: real models, made-up labels."""

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from face_pipeline import load_manifest, portrait
from face_pipeline.evaluation.tables import percent
from server.cli import run
from server.commands.mistakes import ExitCode
from tests.integration.cli.conftest import Ask
from tests.support.models import installed_models_dir

PEOPLE = {"hopper": "grace_hopper", "collins": "astronaut"}
LIGHTS = (1.0, 0.8, 1.15)
ANY_NAME = "打印 $x_ <b>"


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two people in three lights each, a gray picture, and labels of every kind."""
    folder = tmp_path_factory.mktemp("faces")
    files = [(f"{person}_{number}.jpg", person) for person in PEOPLE for number in range(len(LIGHTS))]
    for person, name in PEOPLE.items():
        picture = head(name)
        for number, light in enumerate(LIGHTS):
            lit = np.clip(picture * light, 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / f"{person}_{number}.jpg"), lit)
    cv2.imwrite(str(folder / "wall.jpg"), np.full((240, 240, 3), 128, np.uint8))
    label(folder, "verification_images.csv", "file,person", *(f"{file},{person}" for file, person in files))
    genuine = [f"{person}_0.jpg,{person}_{number}.jpg,1" for person in PEOPLE for number in (1, 2)]
    impostor = [f"hopper_{one}.jpg,collins_{other}.jpg,0" for one in range(3) for other in range(3)]
    label(folder, "verification_pairs.csv", "file_a,file_b,same", *genuine, *impostor, "hopper_0.jpg,wall.jpg,1")
    label(
        folder,
        "liveness_labels.csv",
        "file,live,kind,instrument",
        "hopper_0.jpg,1,photo,",
        "collins_0.jpg,1,photo,",
        "wall.jpg,1,photo,",
        "hopper_1.jpg,0,SIMULATED_print,print",
        "collins_1.jpg,0,real_print,print",
        f"collins_2.jpg,0,real_screen,{ANY_NAME}",
    )
    return folder


def head(name: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the head of an installed portrait with something around it."""
    listed = {file.name: file for file in load_manifest().portraits}[name]
    x, y, width, height = listed.face
    image = cv2.imread(str(portrait(installed_models_dir(), name)))
    assert image is not None
    cut = image[max(y - height // 2, 0) : y + 2 * height, max(x - width, 0) : x + 2 * width]
    return np.asarray(cv2.resize(cut, (300, 300 * cut.shape[0] // cut.shape[1])), np.uint8)


def label(folder: Path, name: str, *lines: str) -> None:
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


class Page(HTMLParser):
    """Gathers the texts of a page: paragraphs, cells, and where it would reach for something outside."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.reaches: list[str] = []
        self.tags: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag, and what it names."""
        self.tags.append(tag)
        self.reaches += [value for name, value in attrs if name in {"src", "href", "xlink:href"} and value]

    def handle_data(self, data: str) -> None:
        """Note a text."""
        if data.strip():
            self.texts.append(data.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one evaluation printed and wrote."""

    out: str
    html: str
    page: Page
    document: Any
    mode: int


Evaluate = Callable[..., Answer]


@pytest.fixture(scope="module")
def evaluate(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluate:
    """Return a function that measures the folder, once for the same question."""

    @cache
    def evaluating(kind: str, *options: str) -> Answer:
        file = tmp_path_factory.mktemp("report") / "out.html"
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = run(["evaluate", kind, str(faces), "--report", str(file), *options])
        assert code == 0
        html = file.read_text("utf-8")
        document = json.loads(file.with_suffix(".json").read_text("utf-8"))
        return Answer(
            out=printed.getvalue(), html=html, page=Page(html), document=document, mode=file.stat().st_mode & 0o777
        )

    return evaluating


@pytest.fixture(scope="module")
def beside_own(evaluate: Evaluate, tmp_path_factory: pytest.TempPathFactory) -> Answer:
    """Return liveness of the default and of a user's own model, which is the same file under another name."""
    liveness = {file.job.value: file for file in load_manifest().models}["liveness"]
    own = tmp_path_factory.mktemp("own") / "own.toml"
    own.write_text(
        f'[[file]]\njob = "liveness"\nname = "mine"\npath = "{liveness.path_in(installed_models_dir())}"\n'
        f'sha256 = "{liveness.installed_sha256}"\n',
        encoding="utf-8",
    )
    return evaluate("liveness", "--model", str(own))


def test_verification_tells_two_people_apart_and_the_page_says_what_the_json_says(evaluate: Evaluate) -> None:
    answer = evaluate("verification")
    page, document = answer.page, answer.document

    [system] = document["figures"]["systems"]
    to_pay = system["at_policy"][0]
    assert (document["figures"]["genuine_pairs"], document["figures"]["impostor_pairs"]) == (5, 9)
    assert to_pay["far"] | {"high": 0} == {"count": 0, "of": 9, "rate": 0.0, "low": 0.0, "high": 0}
    assert (to_pay["frr"]["count"], system["no_face"]["count"]) == (1, 1)  # the wall shows nobody
    for share in (to_pay["far"], to_pay["frr"], system["no_face"]):
        counted = f"({share['count']} of {share['of']}) [{percent(share['low'])}, {percent(share['high'])}]"
        told = f"{percent(share['rate'])} {counted}"
        assert told in page.texts
        assert told in answer.out
    assert f"FRR at {to_pay['threshold']:g}, to pay" in page.texts
    assert any("verification_pairs" not in text and "wall.jpg" in text for text in page.texts)


def test_a_false_accept_rate_that_nine_pairs_cannot_show_is_not_printed(evaluate: Evaluate) -> None:
    answer = evaluate("verification")
    page, document = answer.page, answer.document

    assert document["figures"]["fars_not_shown"] == [0.01, 0.001, 0.0001]
    assert document["figures"]["systems"][0]["at_far"] == []
    assert not any("TAR at" in text for text in [*page.texts, answer.out])
    assert any("FAR 1e-2, 1e-3, 1e-4 is not shown: 9 trials" in text for text in page.texts)


def test_the_page_reaches_for_nothing_and_holds_no_picture(evaluate: Evaluate) -> None:
    answer = evaluate("verification")

    assert not {"img", "image", "script", "link", "iframe"} & set(answer.page.tags)
    assert all(place.startswith("#") for place in answer.page.reaches)  # parts of a drawing
    assert "svg" in answer.page.tags
    assert "base64" not in answer.html


def test_the_same_seed_gives_the_same_bytes_however_many_threads_work(evaluate: Evaluate) -> None:
    one, other = evaluate("verification", "--threads", "1"), evaluate("verification")

    assert (one.html, one.document) == (other.html, other.document)


def test_faces_are_shown_only_when_asked_for_and_the_page_says_that_it_is_personal(evaluate: Evaluate) -> None:
    answer = evaluate("verification", "--rolled", "30", "--all-pairs", "--with-faces")

    assert answer.page.tags.count("img") > 0
    assert all(place.startswith(("#", "data:image/jpeg;base64,")) for place in answer.page.reaches)
    assert any("personal data: keep it where" in text for text in answer.page.texts)
    assert "personal data" in answer.out
    assert answer.mode == 0o600
    assert "base64" not in json.dumps(answer.document)


def test_rolled_pictures_are_called_simulated(evaluate: Evaluate) -> None:
    answer = evaluate("verification", "--rolled", "30", "--all-pairs", "--with-faces")

    assert answer.out.startswith("SIMULATED: 5 of 12 pictures are others turned by 30 degrees in software.")
    assert answer.document["figures"]["impostor_pairs"] == 9
    assert answer.document["figures"]["systems"][0]["at_policy"][0]["frr"]["count"] <= 2


def test_the_first_line_of_everything_says_what_is_simulated(beside_own: Answer) -> None:
    expected = "SIMULATED: 1 of 6 pictures: 1 SIMULATED_print. Single pictures, not whole sessions."
    texts = beside_own.page.texts

    assert next(iter(beside_own.document.items())) == ("notice", expected)
    assert beside_own.out.splitlines()[0] == expected
    assert texts[texts.index(expected) + 1] == "Liveness: is this a living person?"


def test_a_real_instrument_is_not_mixed_with_a_simulated_one_of_the_same_name(beside_own: Answer) -> None:
    system, _ = beside_own.document["figures"]["systems"]

    assert [(group["name"], group["simulated"], group["presentations"]) for group in system["instruments"]] == [
        ("print", False, 1),
        ("print", True, 1),
        (ANY_NAME, False, 1),
    ]
    assert (system["bona_fide"]["wrong"]["of"], system["bona_fide"]["no_response"]["count"]) == (2, 1)
    assert {"APCER print", "APCER print, SIMULATED", "BPCER", "ACER"} <= set(beside_own.page.texts)


def test_a_name_of_any_letters_and_signs_is_text_in_tables_and_drawings(beside_own: Answer) -> None:
    assert f"APCER {ANY_NAME}" in beside_own.page.texts
    assert beside_own.html.count("APCER 打印 $x_ &lt;b&gt;") == 2
    assert "b" not in beside_own.page.tags[beside_own.page.tags.index("svg") : beside_own.page.tags.index("figcaption")]


def test_an_own_model_stands_beside_the_default_on_the_same_pictures(beside_own: Answer) -> None:
    default, mine = beside_own.document["figures"]["systems"]

    assert (default["name"], mine["name"]) == ("default", "own")
    assert mine["models"]["liveness"].startswith("mine@")
    assert (default["policy_applies"], mine["policy_applies"]) == (True, False)
    assert mine["instruments"] == default["instruments"]
    assert any("compare own where both make equally many errors" in text for text in beside_own.page.texts)


def test_identification_enrolls_some_and_lets_strangers_knock(evaluate: Evaluate) -> None:
    answer = evaluate("identification", "--seed", "3")

    figures = answer.document["figures"]
    [gallery] = figures["systems"][0]["galleries"]
    assert (figures["persons"], figures["enrolled"], figures["mated"], figures["strangers"]) == (2, 1, 2, 3)
    assert (gallery["rank_1"]["count"], gallery["at_policy"]["fpir"]["count"]) == (2, 0)
    assert figures["fpirs_not_shown"] == [0.1, 0.01, 0.001]
    assert "Rank 1" in answer.page.texts


def test_mistakes_in_labels_are_listed_and_nothing_is_written(ask: Ask, tmp_path: Path) -> None:
    label(tmp_path, "verification_pairs.csv", "file_a,file_b,same", *(f"{n}.jpg,x.jpg,1" for n in range(15)))
    report = tmp_path / "out.html"

    reply = ask("evaluate", "verification", str(tmp_path), "--report", str(report), "--json")

    assert reply.code == ExitCode.REFUSED
    assert "verification_pairs.csv, line 2: there is no picture 0.jpg" in reply.json["error"]["message"]
    assert "and 10 more" in reply.json["error"]["message"]
    assert not report.exists()


def test_faces_without_a_page_and_a_page_of_another_kind_are_usage_errors(ask: Ask, faces: Path) -> None:
    assert ask("evaluate", "liveness", str(faces), "--with-faces").code == ExitCode.USAGE
    assert ask("evaluate", "liveness", str(faces), "--report", "out.pdf").code == ExitCode.USAGE


def test_asking_for_help_waits_for_no_drawing_library() -> None:
    late = {"matplotlib", "jinja2", "faiss"}
    script = f"import sys; from server.cli import run; run(['evaluate', '--help']); print({late} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "set()"

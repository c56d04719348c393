"""What does a fuzzer begin with? Small valid pictures and messages of every kind, made here and now.

python -m tests.fuzz.seeds FOLDER
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from shualian.terminal.v1 import face_pb2, types_pb2

SIDE = 48
BESIDE = (face_pb2.MODALITY_NIR, face_pb2.MODALITY_DEPTH)


def _encoded(suffix: str, picture: np.ndarray, *options: int) -> bytes:
    done, data = cv2.imencode(suffix, picture, list(options))
    if not done:
        raise RuntimeError(suffix)
    return data.tobytes()


def pictures() -> dict[str, bytes]:
    """Return one small picture of each encoding that is taken, and some that are not."""
    ramp = np.linspace(0, 255, SIDE * SIDE).reshape(SIDE, SIDE)
    gray, deep = ramp.astype(np.uint8), (ramp * 8 + 400).astype(np.uint16)
    colour = np.dstack([gray, gray[::-1], gray.T])
    return {
        "colour.jpg": _encoded(".jpg", colour),
        "progressive.jpg": _encoded(".jpg", colour, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "gray.jpg": _encoded(".jpg", gray),
        "colour.png": _encoded(".png", colour),
        "gray.png": _encoded(".png", gray),
        "depth.png": _encoded(".png", deep),
        "depth16colour.png": _encoded(".png", np.dstack([deep] * 3)),
        "alpha.png": _encoded(".png", np.dstack([colour, gray])),
    }


def messages() -> dict[str, bytes]:
    """Return one message of each step that a terminal may send."""
    start = face_pb2.Start(
        purpose=face_pb2.PURPOSE_VERIFY,
        business_type=types_pb2.BUSINESS_TYPE_OUTPATIENT_SETTLEMENT,
        claimed_identity=types_pb2.ClaimedIdentity(id_number="990000195101010011", name="林夏"),
        consent=face_pb2.Consent(granted=True, text_version="2026-1"),
        camera=face_pb2.CameraAbilities(width_px=640, height_px=480, frames_per_second=10, beside_colour=BESIDE),
    )
    start.consent.given_at.GetCurrentTime()
    frame = face_pb2.Frame(
        sequence=1,
        pictures=[
            face_pb2.Picture(
                modality=face_pb2.MODALITY_RGB, encoding=face_pb2.ENCODING_JPEG, data=pictures()["colour.jpg"]
            ),
            face_pb2.Picture(
                modality=face_pb2.MODALITY_DEPTH,
                encoding=face_pb2.ENCODING_PNG_MILLIMETRES,
                data=pictures()["depth.png"],
            ),
        ],
    )
    frame.captured_at.GetCurrentTime()
    content = face_pb2.SealContent(session_id="0192f0c4-0000-7000-8000-000000000000", last_sequence=1, frames=1)
    seal = face_pb2.Seal(content=content.SerializeToString(), signature=bytes(70))
    factor = face_pb2.SecondFactor(kind=face_pb2.SECOND_FACTOR_KIND_ID_NUMBER_LAST_FOUR, value="001X")
    request = face_pb2.AuthenticateRequest
    steps = {
        "start": request(start=start),
        "frame": request(frame=frame),
        "seal": request(seal=seal),
        "second_factor": request(second_factor=factor),
    }
    return {name: step.SerializeToString() for name, step in steps.items()}


def write(folder: Path) -> tuple[Path, Path]:
    """Write a corpus for each target and return the two folders."""
    decoding, conversation = folder / "decoding", folder / "conversation"
    for place in (decoding, conversation):
        place.mkdir(parents=True, exist_ok=True)
    for name, content in pictures().items():
        for first in (*range(4), *range(0x80, 0x84)):
            (decoding / f"{first}-{name}").write_bytes(bytes([first]) + content)
    steps = messages()
    for name, content in steps.items():
        (conversation / name).write_bytes(len(content).to_bytes(2) + content)
    whole = b"".join(len(content).to_bytes(2) + content for content in steps.values())
    (conversation / "whole").write_bytes(whole)
    return decoding, conversation


if __name__ == "__main__":
    write(Path(sys.argv[1]))

"""Does a decoder ever do anything with bytes but decode them or refuse them? Run by libFuzzer through Atheris.

    python -m tests.fuzz.decoding [CORPUS] [-max_total_time=600] [-rss_limit_mb=2048]

The first byte chooses the decoder, and whether the check sums of a PNG are made right, which chance would never do; the
rest is what the terminal sent. Whatever is raised that is no `FrameError` is a
crash: libFuzzer writes the input down and ends with a code other than 0.
"""

import struct
import sys
import zlib

import atheris  # type: ignore[import-untyped]  # it has no types

with atheris.instrument_imports(include=["face_pipeline"]):
    from face_pipeline import FrameError
    from face_pipeline.picture.decode import decode_depth, decode_frame, decode_infrared, decode_portrait
    from face_pipeline.policy import FacePolicy

POLICY = FacePolicy()
DECODERS = (decode_frame, decode_portrait, decode_infrared, decode_depth)
CHECKED = 0x80
SIGNATURE_BYTES = 8
CHUNK = struct.Struct(">I4s")


def checked(png: bytes) -> bytes:
    """Return what may be a PNG with the right check sums."""
    out, at = bytearray(png), SIGNATURE_BYTES
    while at + CHUNK.size <= len(out):
        length, _ = CHUNK.unpack_from(out, at)
        end = at + CHUNK.size + length
        if end + 4 > len(out):
            break
        struct.pack_into(">I", out, end, zlib.crc32(out[at + 4 : end]))
        at = end + 4
    return bytes(out)


def decode(content: bytes) -> None:
    """Decode what the first byte says."""
    if not content:
        return
    decoder = DECODERS[content[0] % len(DECODERS)]
    sent = checked(content[1:]) if content[0] & CHECKED else content[1:]
    try:
        picture = decoder(sent, POLICY)
    except FrameError:
        return
    if picture.size > 4 * POLICY.frame_pixels_max:
        msg = f"{decoder.__name__} gave {picture.shape} over its bound"
        raise AssertionError(msg)


def main() -> None:
    """Fuzz until told to stop."""
    atheris.Setup(sys.argv, decode)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""How do bytes become pixels without trusting them? The header is read first; nothing over the bounds is decoded."""

import struct
import zlib
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from simplejpeg import decode_jpeg, decode_jpeg_header  # type: ignore[attr-defined] # its __all__ lists objects, not names

from face_pipeline.errors import FrameTooLargeError, FrameUndecodableError
from face_pipeline.frames import DepthMap, Gray, Image
from face_pipeline.policy import FacePolicy

PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
PNG_HEADER: Final = struct.Struct(">8s4x4sII")  # signature, length, "IHDR", width, height
PNG_IHDR_LENGTH: Final = 13  # bytes; PNG specification 11.2.2
PNG_CHUNK: Final = struct.Struct(">I4s")  # length, kind; then so many bytes, and a check sum
PNG_CHECK: Final = struct.Struct(">I")
PNG_PIXELS: Final = (b"IDAT", b"IEND")
PNG_COLOURS: Final = (b"PLTE", b"tRNS", *PNG_PIXELS)
PNG_CHUNKS_MAX: Final = 4096  # pieces of 8 KiB, as libpng writes them, are 32 MiB
DEPTH_HEADER: Final = struct.Struct(">8sI4sIIBBBBB")  # ... bits, colour type, compression, filter, interlace
DEPTH_FORM: Final = (16, 0, 0, 0, 0)  # 16 bits of gray, deflate, the five filters, not interlaced
SIDE_MIN: Final = 32  # pixels; below this no face can be in the picture
SHAPE_MAX: Final = 4  # times longer than wide; no camera takes such strips, and scaled down nothing is left of them
JPEG_SCAN: Final = 0xFF, 0xDA  # how each scan of a JPEG begins; such bytes are never in what lies between
JPEG_SCANS_MAX: Final = 32  # encoders make 1, progressive ones about 10; an empty scan of 20 bytes costs 4 ms at 8 MP


def decode_frame(jpeg: bytes, policy: FacePolicy) -> Image:
    """Return the picture of one frame, scaled down while decoding where it is larger than needed.

    It has a fourth channel that nobody reads: OpenCV turns and scales four bytes a pixel in up to half of the time that
    it takes for three, to the same values.

    Raises:
        FrameTooLargeError: too many bytes or pixels; nothing was decoded.
        FrameUndecodableError: no JPEG, or not a whole one.
    """
    _bound(len(jpeg), policy.frame_bytes_max, "bytes")
    width, height = _jpeg_size(jpeg, policy)
    shorter = policy.decode_side_min * min(width, height) // max(width, height)
    scale_to = (shorter, policy.decode_side_min) if height > width else (policy.decode_side_min, shorter)
    return _jpeg(jpeg, min_width=scale_to[0], min_height=scale_to[1], form="BGRA")


def decode_portrait(content: bytes, policy: FacePolicy) -> Image:
    """Return a portrait, JPEG or PNG, at its full size.

    Raises:
        FrameTooLargeError: too many pixels, or more bytes than those pixels could need.
        FrameUndecodableError: neither JPEG nor PNG, or not a whole one.
    """
    _bound(len(content), 4 * policy.frame_bytes_max, "bytes")
    if not content.startswith(PNG_SIGNATURE):
        _jpeg_size(content, policy)
        return _jpeg(content, min_width=0, min_height=0)
    if len(content) < PNG_HEADER.size:
        raise FrameUndecodableError(detail="the PNG is not complete")
    _, chunk, width, height = PNG_HEADER.unpack_from(content)
    if chunk != b"IHDR":
        raise FrameUndecodableError(detail="the PNG has no header")
    _check_size(width, height, policy)
    image = _png(content, cv2.IMREAD_COLOR, kept=PNG_COLOURS)
    return np.asarray(image, np.uint8)


def decode_infrared(jpeg: bytes, policy: FacePolicy) -> Gray:
    """Return the picture of an infrared camera, scaled down while decoding like the colour one.

    Raises:
        FrameTooLargeError: too many bytes or pixels; nothing was decoded.
        FrameUndecodableError: no JPEG, not a whole one, or one in colour.
    """
    _bound(len(jpeg), policy.frame_bytes_max, "bytes")
    width, height = _jpeg_size(jpeg, policy, form="Gray")
    shorter = policy.decode_side_min * min(width, height) // max(width, height)
    scale_to = (shorter, policy.decode_side_min) if height > width else (policy.decode_side_min, shorter)
    return _jpeg(jpeg, min_width=scale_to[0], min_height=scale_to[1], form="GRAY")[:, :, 0]


def decode_depth(png: bytes, policy: FacePolicy) -> DepthMap:
    """Return the distances of a depth camera, at full size.

    Raises:
        FrameTooLargeError: too many bytes or pixels; nothing was decoded.
        FrameUndecodableError: no PNG, not a whole one, or one of another form than a single channel of 16 bits.
    """
    _bound(len(png), policy.frame_bytes_max, "bytes")
    if len(png) < DEPTH_HEADER.size:
        raise FrameUndecodableError(detail="the PNG is not complete")
    signature, length, chunk, width, height, *form = DEPTH_HEADER.unpack_from(png)
    if (signature, length, chunk) != (PNG_SIGNATURE, PNG_IHDR_LENGTH, b"IHDR"):
        raise FrameUndecodableError(detail="depth is no PNG")
    if tuple(form) != DEPTH_FORM:
        raise FrameUndecodableError(detail="depth is not one channel of 16 bits")
    _check_size(width, height, policy)
    image = _png(png, cv2.IMREAD_UNCHANGED, kept=PNG_PIXELS)
    if image.dtype != np.uint16 or image.shape != (height, width):
        raise FrameUndecodableError(detail="the PNG is damaged")
    return np.asarray(image, np.uint16)


def _png(content: bytes, flags: int, *, kept: tuple[bytes, ...]) -> NDArray[np.generic]:
    """Decode those chunks of a PNG whose size is within the bounds."""
    try:
        image = cv2.imdecode(np.frombuffer(_chunks_alone(content, kept), np.uint8), flags)
    except cv2.error as error:
        raise FrameUndecodableError(detail="the PNG is damaged") from error
    if image is None:
        raise FrameUndecodableError(detail="the PNG is damaged")
    return image


def _chunks_alone(png: bytes, wanted: tuple[bytes, ...]) -> bytes:
    """Return a PNG without what is not wanted (times, texts, profiles), once it is whole and undamaged.

    The decoder behind it would read those, print what it dislikes about them, and set memory aside for as many bytes as
    a chunk says it has: four gigabytes for forty.
    """
    at, kept = len(PNG_SIGNATURE), [PNG_SIGNATURE]
    kind = b""
    for _ in range(PNG_CHUNKS_MAX):
        if at + PNG_CHUNK.size + PNG_CHECK.size > len(png) or kind == b"IEND":
            break
        length, kind = PNG_CHUNK.unpack_from(png, at)
        end = at + PNG_CHUNK.size + length
        if end + PNG_CHECK.size > len(png):
            raise FrameUndecodableError(detail="the PNG is not complete")
        if PNG_CHECK.unpack_from(png, end)[0] != zlib.crc32(memoryview(png)[at + 4 : end]):
            raise FrameUndecodableError(detail="the PNG is damaged")
        if kind in wanted or len(kept) == 1:  # the first is the header that was looked at
            kept.append(png[at : end + PNG_CHECK.size])
        at = end + PNG_CHECK.size
    if kind != b"IEND" or at != len(png):
        raise FrameUndecodableError(detail="the PNG is not complete")
    return b"".join(kept)


def _jpeg_size(content: bytes, policy: FacePolicy, *, form: str = "") -> tuple[int, int]:
    """Return width and height as the header has them, once they are within the bounds and of the asked form.

    The number of scans is bounded as well: a decoder goes through the whole picture for each, however little it says.
    """
    _bound(_scans(content), JPEG_SCANS_MAX, "scans")
    try:
        height, width, found, _ = decode_jpeg_header(content)
    except ValueError as error:
        raise FrameUndecodableError(detail="not a picture of an encoding we take") from error
    if form and found != form:
        raise FrameUndecodableError(detail="an infrared picture is in colour")
    size = int(width), int(height)
    _check_size(*size, policy)
    return size


def _scans(jpeg: bytes) -> int:
    """Return how many scans a JPEG begins; `bytes.count` takes four times as long."""
    content = np.frombuffer(jpeg, np.uint8)
    return int(np.count_nonzero((content[:-1] == JPEG_SCAN[0]) & (content[1:] == JPEG_SCAN[1])))


def _jpeg(content: bytes, *, min_width: int, min_height: int, form: Literal["BGR", "BGRA", "GRAY"] = "BGR") -> Image:
    """Decode; with a minimal size the decoder halves the picture as long as it stays above (0: full size)."""
    try:
        # Not the decoder's fast modes: they save a tenth of its time and let 5, not 2, of 40 simulated replays pass.
        image: Image = decode_jpeg(content, colorspace=form, min_width=min_width, min_height=min_height)
    except ValueError as error:
        raise FrameUndecodableError(detail="the JPEG is damaged or not complete") from error
    return image


def _check_size(width: int, height: int, policy: FacePolicy) -> None:
    _bound(width * height, policy.frame_pixels_max, "pixels")
    if min(width, height) < SIDE_MIN:
        raise FrameUndecodableError(detail=f"the picture is smaller than {SIDE_MIN} pixels")
    if max(width, height) > SHAPE_MAX * min(width, height):
        raise FrameUndecodableError(detail="the picture is a strip")


def _bound(size: int, size_max: int, unit: str) -> None:
    if size > size_max:
        raise FrameTooLargeError(size=size, size_max=size_max, unit=unit)

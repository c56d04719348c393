"""Writes the Python stubs in `gen/` from the .proto files, and the image that buf reads.

    python protos/generate.py            rewrite gen/
    python protos/generate.py --check    fail when gen/ is not what the .proto files say
    python protos/generate.py --lint     run buf lint over the contract
    python protos/generate.py --breaking REF   run buf breaking against the contract as it stood at a git ref

The bounds in the .proto files use buf/validate/validate.proto. It is taken from the installed protovalidate package
rather than copied here, so that the rules we compile against are the rules that the checker knows.
"""

import argparse
import filecmp
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import grpc_tools
from google.protobuf import (
    descriptor_pb2,
    duration_pb2,
    field_mask_pb2,
    timestamp_pb2,
)
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb  # its only home; the version is pinned by the lock

PROTOS = Path(__file__).parent
GEN = PROTOS / "gen"
BIN = Path(sys.executable).parent
WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"

BRIDGE = '''\
"""Hands buf/validate/validate.proto, as the installed protovalidate carries it, to protobuf's descriptor pool."""

from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, field_mask_pb2, timestamp_pb2
from protovalidate._gen.buf.validate import validate_pb

_LOADED_FIRST = (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2)
DESCRIPTOR = descriptor_pool.Default().AddSerializedFile(validate_pb.FieldRules.desc().file.proto.to_binary())
'''


class ProtocError(Exception):
    """The compiler refused the contract; it has already printed why."""


def _validate_descriptors(target: Path) -> None:
    """Write validate.proto and all it imports as a descriptor set."""
    imported = [descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2]
    serialized = [module.DESCRIPTOR.serialized_pb for module in imported]
    serialized.append(validate_pb.FieldRules.desc().file.proto.to_binary())
    files = [descriptor_pb2.FileDescriptorProto.FromString(one) for one in serialized]
    target.write_bytes(descriptor_pb2.FileDescriptorSet(file=files).SerializeToString())


def _protoc(root: Path, *outputs: str) -> None:
    """Run protoc over every contract file below `root`."""
    files = sorted(str(path.relative_to(root)) for path in (root / "shualian").rglob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        validate = Path(scratch) / "validate.binpb"
        _validate_descriptors(validate)
        arguments = ["protoc", f"-I{root}", f"-I{WELL_KNOWN}", f"--descriptor_set_in={validate}", *outputs, *files]
        if protoc.main(arguments) != 0:
            raise ProtocError


def write_stubs(target: Path) -> None:
    """Write the stubs, and what makes them packages with types, below `target`."""
    target.mkdir(parents=True, exist_ok=True)
    plugins = (f"--plugin={BIN / f'protoc-gen-{name}'}" for name in ("mypy", "mypy_grpc"))
    outputs = (f"--{name}_out=quiet:{target}" for name in ("mypy", "mypy_grpc"))
    _protoc(PROTOS, f"--python_out={target}", f"--grpc_python_out={target}", *plugins, *outputs)
    bridge = target / "buf" / "validate" / "validate_pb2.py"
    bridge.parent.mkdir(parents=True, exist_ok=True)
    bridge.write_text(BRIDGE)
    for folder in sorted(path for path in target.rglob("*") if path.is_dir() and path.name != "__pycache__"):
        (folder / "__init__.py").write_text("")
    (target / "shualian" / "py.typed").write_text("")


def _files(folder: Path) -> set[str]:
    paths = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)) for path in paths}


def stale_stubs() -> list[str]:
    """Return the files of gen/ that differ from what the contract says, are missing, or are too many."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        write_stubs(fresh)
        there, wanted = _files(GEN), _files(fresh)
        differing = (name for name in there & wanted if not filecmp.cmp(GEN / name, fresh / name, shallow=False))
        return sorted({*(there ^ wanted), *differing})


def _image(root: Path, target: Path) -> Path:
    _protoc(root, f"--descriptor_set_out={target}", "--include_imports", "--include_source_info")
    return target


def _buf(*arguments: str) -> int:
    return subprocess.run([BIN / "buf", *arguments, "--config", PROTOS / "buf.yaml"], check=False).returncode


def lint() -> int:
    """Run buf lint; returns its exit status."""
    with tempfile.TemporaryDirectory() as scratch:
        return _buf("lint", str(_image(PROTOS, Path(scratch) / "now.binpb")))


def breaking(reference: str) -> int:
    """Run buf breaking against the contract at a git reference; returns its exit status."""
    with tempfile.TemporaryDirectory() as scratch:
        before = Path(scratch) / "before"
        command = ["git", "archive", reference, "protos"]
        archive = subprocess.run(command, cwd=PROTOS.parent, check=True, capture_output=True)
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
            tar.extractall(before, filter="data")
        then = _image(before / "protos", Path(scratch) / "then.binpb")
        return _buf("breaking", str(_image(PROTOS, Path(scratch) / "now.binpb")), "--against", str(then))


def main() -> int:
    """Do what the command line asks; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true")
    what.add_argument("--lint", action="store_true")
    what.add_argument("--breaking", metavar="REF")
    arguments = parser.parse_args()
    if arguments.lint:
        return lint()
    if arguments.breaking:
        return breaking(arguments.breaking)
    if arguments.check:
        stale = stale_stubs()
        if stale:
            print("stale stubs, run `make protos`:", *stale, sep="\n  ")
        return 1 if stale else 0
    write_stubs(GEN)
    return 0


if __name__ == "__main__":
    sys.exit(main())

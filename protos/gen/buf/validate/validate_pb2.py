"""Hands buf/validate/validate.proto, as the installed protovalidate carries it, to protobuf's descriptor pool."""

from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, field_mask_pb2, timestamp_pb2
from protovalidate._gen.buf.validate import validate_pb

_LOADED_FIRST = (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2)
DESCRIPTOR = descriptor_pool.Default().AddSerializedFile(validate_pb.FieldRules.desc().file.proto.to_binary())

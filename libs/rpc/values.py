"""How do attributes travel? As google.protobuf.Struct: strings, numbers and booleans by name."""

from collections.abc import Mapping

from google.protobuf import struct_pb2


def struct(data: Mapping[str, str | float | bool]) -> struct_pb2.Struct:
    """Write attributes as a Struct."""
    written = struct_pb2.Struct()
    written.update(data)
    return written

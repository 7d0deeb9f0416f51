"""TensorBoard's event files: records of protocol buffers, each with checksums.

    record  = length (64 bits), crc(length), event, crc(event); little-endian. crc is CRC-32C, rotated right by 15 bits
              and with 0xa282ead8 added, so that a record that holds a checksum is no weaker (TFRecord of TensorFlow)
    Event   = 1: wall_time (double), 2: step (int64), 3: file_version (text) or 5: summary
    summary = 1: value, which is 1: tag (text), 2: simple_value (float)
"""
from __future__ import annotations

import struct

POLYNOMIAL = 0x82F63B78  # Castagnoli's, reflected
VARINT, DOUBLE, BYTES, FLOAT = 0, 1, 2, 5  # wire types of protocol buffers


def crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = crc_table()


def crc(data: bytes) -> int:
    """CRC-32C: 0xe3069283 of the nine bytes "123456789"."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def masked_crc(data: bytes) -> bytes:
    value = crc(data)
    return struct.pack("<I", ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def record(event: bytes) -> bytes:
    length = struct.pack("<Q", len(event))
    return length + masked_crc(length) + event + masked_crc(event)


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, wire: int, content: bytes) -> bytes:
    return bytes([number << 3 | wire]) + (varint(len(content)) if wire == BYTES else b"") + content


def version(time: float) -> bytes:
    """The event that every file begins with."""
    return field(1, DOUBLE, struct.pack("<d", time)) + field(3, BYTES, b"brain.Event:2")


def scalar(time: float, step: int, tag: str, value: float) -> bytes:
    inner = field(1, BYTES, tag.encode()) + field(2, FLOAT, struct.pack("<f", value))
    return (field(1, DOUBLE, struct.pack("<d", time)) + field(2, VARINT, varint(step))
            + field(5, BYTES, field(1, BYTES, inner)))

#!/usr/bin/env python3
"""Reads the scalars of TensorBoard event files with nothing but the standard library: written from TensorFlow's format, not from our own reader.

usage: read_events.py FOLDER      prints {"RUN": {"TAG": [[step, wall time, value], ...]}}; a run is a folder with files that TensorBoard would pick up

Format: tensorflow/core/lib/io/record_writer.h (records), tensorflow/core/util/event.proto, framework/summary.proto, framework/tensor.proto and types.proto.
TensorBoard picks up files whose names hold "tfevents" (tensorboard/backend/event_processing/io_wrapper.py, IsTensorFlowEventsFile).
"""
import json
import os
import struct
import sys

POLYNOMIAL = 0x82F63B78  # CRC-32C, bits reversed


def checksum(data):
    """CRC-32C bit by bit, masked as TFRecord keeps it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (POLYNOMIAL if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    at = 0
    while at < len(data):
        length, check = struct.unpack_from("<QI", data, at)
        assert check == checksum(data[at:at + 8]), f"byte {at}: checksum of a length"
        body = data[at + 12:at + 12 + length]
        assert len(body) == length, f"byte {at}: the record breaks off"
        assert struct.unpack_from("<I", data, at + 12 + length)[0] == checksum(body), f"byte {at}: checksum of a record"
        yield body
        at += length + 16


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data):
    """(number, wire type, value) of a protobuf message."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind in (1, 5):
            width = 8 if kind == 1 else 4
            value, at = data[at:at + width], at + width
        elif kind == 2:
            length, at = varint(data, at)
            value, at = data[at:at + length], at + length
        else:
            raise ValueError(f"wire type {kind}")
        yield key >> 3, kind, value


def tensor_number(message):
    """The one number of a TensorProto of DT_FLOAT (1) or DT_DOUBLE (2)."""
    dtype, content = None, b""
    for number, _, value in fields(message):
        if number == 1:
            dtype = value
        elif number in (4, 5, 6):  # tensor_content, float_val, double_val
            content += value
    return struct.unpack({1: "<f", 2: "<d"}[dtype], content)[0]


def scalars(data):
    """(tag, step, wall time, value) of each scalar. The first record has to name the version."""
    first = True
    for record in records(data):
        wall, step, version, summary = 0.0, 0, None, None
        for number, _, value in fields(record):
            if number == 1:
                wall = struct.unpack("<d", value)[0]
            elif number == 2:
                step = value - (1 << 64) if value >> 63 else value
            elif number == 3:
                version = value.decode()
            elif number == 5:
                summary = value
        if first:
            assert version == "brain.Event:2", f"version {version}"
            first = False
        for number, _, entry in fields(summary or b""):
            assert number == 1, f"field {number} of a summary"
            tag = value = None
            for inner, _, content in fields(entry):
                if inner == 1:
                    tag = content.decode()
                elif inner == 2:
                    value = struct.unpack("<f", content)[0]
                elif inner == 8:
                    value = tensor_number(content)
            yield tag, step, wall, value


def main(folder):
    runs = {}
    for path, _, names in sorted(os.walk(folder)):
        for name in sorted(name for name in names if "tfevents" in name):
            with open(os.path.join(path, name), "rb") as file:
                for tag, step, wall, value in scalars(file.read()):
                    runs.setdefault(os.path.relpath(path, folder), {}).setdefault(tag, []).append([step, wall, value])
    json.dump(runs, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])

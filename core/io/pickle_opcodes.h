#pragma once
#include <cstdint>

/// Internal to core/io.
namespace orrery::io {

/// The opcodes that are understood, by their names in pickletools.
enum class PickleOpcode : std::uint8_t {
    Mark = '(',
    Stop = '.',
    Pop = '0',
    PopMark = '1',
    Dup = '2',
    BinaryFloat = 'G',
    BinaryInt = 'J',
    BinaryInt1 = 'K',
    BinaryInt2 = 'M',
    None = 'N',
    BinaryPersistentId = 'Q',
    Reduce = 'R',
    BinaryString = 'T',
    ShortBinaryString = 'U',
    BinaryUnicode = 'X',
    Append = 'a',
    Build = 'b',
    Global = 'c',
    Dict = 'd',
    Appends = 'e',
    BinaryGet = 'h',
    LongBinaryGet = 'j',
    List = 'l',
    BinaryPut = 'q',
    LongBinaryPut = 'r',
    SetItem = 's',
    Tuple = 't',
    SetItems = 'u',
    EmptyDict = '}',
    EmptyList = ']',
    EmptyTuple = ')',
    BinaryBytes = 'B',
    ShortBinaryBytes = 'C',
    Protocol = 0x80,
    NewObject = 0x81,
    Tuple1 = 0x85,
    Tuple2 = 0x86,
    Tuple3 = 0x87,
    NewTrue = 0x88,
    NewFalse = 0x89,
    Long1 = 0x8a,
    Long4 = 0x8b,
    ShortBinaryUnicode = 0x8c,
    BinaryUnicode8 = 0x8d,
    BinaryBytes8 = 0x8e,
    EmptySet = 0x8f,
    AddItems = 0x90,
    FrozenSet = 0x91,
    NewObjectEx = 0x92,
    StackGlobal = 0x93,
    Memoize = 0x94,
    Frame = 0x95,
    ByteArray8 = 0x96
};

/// Opcodes that are refused, by name.
struct RefusedOpcode {
    std::uint8_t code;
    const char* name;
};
constexpr RefusedOpcode kRefusedOpcodes[] = {{'I', "INT"},    {'L', "LONG"},  {'F', "FLOAT"}, {'S', "STRING"},       {'V', "UNICODE"},
                                             {'P', "PERSID"}, {'g', "GET"},   {'p', "PUT"},   {'i', "INST"},         {'o', "OBJ"},
                                             {0x82, "EXT1"},  {0x83, "EXT2"}, {0x84, "EXT4"}, {0x97, "NEXT_BUFFER"}, {0x98, "READONLY_BUFFER"}};

}  // namespace orrery::io

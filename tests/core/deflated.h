#pragma once
#include <string>
#include <zlib.h>

namespace orrery {

/// Bytes packed by zlib: `windowBits` -15 for a bare stream as in zip archives, 15 + 16 for gzip.
inline std::string deflated(const std::string& bytes, int windowBits)
{
    z_stream stream{};
    deflateInit2(&stream, 9, Z_DEFLATED, windowBits, 9, Z_DEFAULT_STRATEGY);
    std::string out(deflateBound(&stream, uLong(bytes.size())), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = uInt(bytes.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = uInt(out.size());
    deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

inline std::string gzip(const std::string& bytes)
{
    return deflated(bytes, 15 + 16);
}

}  // namespace orrery

// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#ifdef MNV3_WITH_ZLIB
#include <zlib.h>
#endif

#include <mnv3/weights/bytes/input_file.hpp>
#include <mnv3/weights/bytes/limits.hpp>
#include <mnv3/weights/error.hpp>

namespace mnv3::weights {

#ifdef MNV3_WITH_ZLIB

/// Unpacks what is compressed by "deflate" into exactly `size` bytes at `to`, piece by piece:
/// besides these, it needs memory for one piece and zlib's window.
///
/// Errors  WeightsError if it is damaged or of another size; std::bad_alloc.
inline void inflate(const InputFile& file, std::uint64_t begin, std::uint64_t stored, void* to,
                    std::size_t size) {
  z_stream zip{};
  constexpr int no_header = -15;  // as zip archives have it, with the largest window
  if (::inflateInit2(&zip, no_header) != Z_OK) throw std::bad_alloc();
  const std::unique_ptr<z_stream, decltype(&::inflateEnd)> end(&zip, ::inflateEnd);
  const auto piece = std::make_unique_for_overwrite<Bytef[]>(limits::piece_bytes);
  auto* out = static_cast<Bytef*>(to);
  std::size_t left = size;
  Bytef nowhere = 0;  // zlib wants a place to write to even if there is nothing to write
  for (int status = Z_OK; status != Z_STREAM_END;) {
    if (zip.avail_in == 0 && stored > 0) {
      const auto count =
          static_cast<std::size_t>(std::min<std::uint64_t>(stored, limits::piece_bytes));
      file.read(begin, piece.get(), count);
      begin += count;
      stored -= count;
      zip.next_in = piece.get();
      zip.avail_in = static_cast<uInt>(count);
    }
    const std::size_t room = std::min(left, limits::piece_bytes);
    zip.next_out = room > 0 ? out : &nowhere;
    zip.avail_out = room > 0 ? static_cast<uInt>(room) : 1;
    const bool has_input = zip.avail_in > 0;
    status = ::inflate(&zip, Z_NO_FLUSH);
    const std::size_t written = (room > 0 ? room : 1) - zip.avail_out;
    if (status == Z_MEM_ERROR) throw std::bad_alloc();
    // What is longer than it should be has written to `nowhere`; what is shorter ends with room.
    const bool goes_on = status == Z_OK || (status == Z_BUF_ERROR && (has_input || stored > 0));
    if (written > room || (status != Z_STREAM_END && !goes_on))
      throw WeightsError("what is compressed in it is damaged. Copy or download it again");
    out += written;
    left -= written;
  }
  if (left > 0 || zip.avail_in > 0 || stored > 0)
    throw WeightsError("what is compressed in it is damaged. Copy or download it again");
}

#else

/// Errors  WeightsError, always: there is no zlib.
[[noreturn]] inline void inflate(const InputFile&, std::uint64_t, std::uint64_t, void*,
                                 std::size_t) {
  throw WeightsError(
      "it is compressed, and this program was built without zlib. Re-save it in Python: "
      "torch.save(torch.load(path), new_path); or build with zlib and MNV3_WITH_ZLIB");
}

#endif

}  // namespace mnv3::weights

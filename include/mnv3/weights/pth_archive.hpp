// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <c10/util/Exception.h>
#include <caffe2/serialize/inline_container.h>
#include <fmt/format.h>

#include <mnv3/weights/error.hpp>
#include <mnv3/weights/file_descriptor.hpp>

namespace mnv3::detail {

/// What a file is that is no zip archive, and what to do about it. `head`: its first bytes.
inline std::string describe_foreign_file(std::string_view head) {
  using namespace std::string_view_literals;
  const auto has = [&](std::size_t at, std::string_view magic) {
    return head.size() >= at && head.substr(at).starts_with(magic);
  };
  if (head.empty()) return "it is empty";
  if (has(0, "\x80\x02\x8a\x0a"sv))
    return "it is in the legacy format of torch before 1.6. Re-save it in Python, torch >= 1.6: "
           "torch.save(torch.load(path), new_path, _use_new_zipfile_serialization=True)";
  if (head[0] == '\x80' && head.size() > 1 && head[1] >= 2 && head[1] <= 5)
    return "it is a Python pickle that torch.save did not write. Save a state dict with torch.save";
  if (has(8, "{") && has(4, "\0\0\0\0"sv))
    return "it is a safetensors file, not a .pth file. Load it as safetensors";
  if (has(0, "\x1f\x8b")) return "it is compressed with gzip. Unpack it first";
  if (has(257, "ustar")) return "it is a tar archive. Unpack it first";
  if (has(0, "version https://git-lfs"))
    return "it is a Git LFS pointer, not the file itself. Fetch that with: git lfs pull";
  if (const std::size_t text = head.find_first_not_of(" \t\r\n\xef\xbb\xbf"); has(text, "<"))
    return "it is a web page or XML. Was it downloaded from a link that needs a log-in?";
  return "it is not a zip archive, as torch.save writes";
}

/// The records of a zip archive that `torch.save` wrote, uncompressed as it always does.
///
/// LibTorch reads the directory; the records themselves are read here, because LibTorch 1.13.1's
/// `getRecord` takes a record's size from the file unchecked: it allocates that much, and hands out
/// uninitialised memory where the directory says that none of it is stored.
///
/// Errors  WeightsError, without the file's name.
class PthArchive {
 public:
  struct Record {
    std::uint64_t begin = 0;  ///< Position in the file.
    std::uint64_t room = 0;   ///< Bytes to the next record, within the file: what it has or more.
  };

  explicit PthArchive(const std::filesystem::path& path) {
    open(path);
    if (const std::string head = read_text({0, size_}, 512); !head.starts_with("PK"))
      fail(describe_foreign_file(head));
    read_directory(path);
    if (find("constants.pkl") != nullptr)
      fail(
          "it is a TorchScript archive. Save the weights in Python: "
          "torch.save(torch.jit.load(path).state_dict(), new_path)");
    if (find("data.pkl") == nullptr)
      fail("it is a zip archive, but not one that torch.save wrote: there is no data.pkl in it");
    if (const Record* const order = find("byteorder"); order && read_text(*order, 3) == "big")
      fail(
          "it was written on a big-endian machine. Re-save it in Python, torch >= 2.1, on a "
          "little-endian one: torch.save(torch.load(path), new_path)");
  }

  /// The record of that name, or null.
  const Record* find(std::string_view name) const {
    const auto found = records_.find(name);
    return found == records_.end() ? nullptr : &found->second;
  }

  /// Copies exactly `size` bytes from there in the file.
  void read(std::uint64_t begin, void* to, std::size_t size) const {
    auto* out = static_cast<char*>(to);
    while (size > 0) {
      const ssize_t count = ::pread(file_.get(), out, size, static_cast<off_t>(begin));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail(std::strerror(errno));
      if (count == 0) fail("it ends too early. Copy or download it again");
      out += count;
      begin += static_cast<std::uint64_t>(count);
      size -= static_cast<std::size_t>(count);
    }
  }

  /// The bytes of a record and, where it is shorter, some that follow.
  std::string read_text(const Record& record, std::uint64_t at_most) const {
    std::string text(std::min(record.room, at_most), '\0');
    read(record.begin, text.data(), text.size());
    return text;
  }

 private:
  [[noreturn]] static void fail(const std::string& what) { throw WeightsError(what); }

  void open(const std::filesystem::path& path) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    // Asked before opening it, because opening a pipe would wait for its other end.
    if (status.type() == std::filesystem::file_type::not_found) fail("there is no such file");
    if (std::filesystem::is_directory(status)) fail("it is a directory");
    if (error) fail(error.message());
    if (!std::filesystem::is_regular_file(status)) fail("it is not a regular file");
    file_ = FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat info {};
    if (!file_ || ::fstat(file_.get(), &info) != 0) fail(std::strerror(errno));
    size_ = static_cast<std::uint64_t>(info.st_size);
  }

  void read_directory(const std::filesystem::path& path) {
    std::map<std::uint64_t, std::string> by_position;
    try {
      caffe2::serialize::PyTorchStreamReader reader(path.string());
      for (std::string& name : reader.getAllRecords()) {
        const std::uint64_t begin = reader.getRecordOffset(name);
        by_position.insert_or_assign(begin, std::move(name));
      }
    } catch (const c10::Error& error) {
      fail_directory(error.what_without_backtrace());
    } catch (const std::exception& error) {
      fail_directory(error.what());
    }
    constexpr std::uint64_t local_header = 30;  // and then the name, of which "x/" is cut off here
    std::uint64_t end = size_;
    for (auto record = by_position.rbegin(); record != by_position.rend(); ++record) {
      const auto& [begin, name] = *record;
      records_[name] = {begin, end > begin ? end - begin : 0};
      const std::uint64_t header = local_header + name.size() + 2;
      end = std::min(end, begin > header ? begin - header : 0);
    }
  }

  [[noreturn]] static void fail_directory(std::string_view libtorch) {
    libtorch = libtorch.substr(0, libtorch.find('\n'));
    libtorch = libtorch.substr(0, libtorch.find("  (Could this error message"));
    const bool is_damaged = libtorch.find("central directory") != libtorch.npos ||
                            libtorch.find("corrupted") != libtorch.npos;
    fail(fmt::format("{} (LibTorch: {})",
                     is_damaged ? "it is a zip archive that is damaged or ends too early. Copy or "
                                  "download it again"
                                : "it is a zip archive, but not one that torch.save wrote",
                     libtorch));
  }

  FileDescriptor file_;
  std::uint64_t size_ = 0;
  std::map<std::string, Record, std::less<>> records_;
};

}  // namespace mnv3::detail

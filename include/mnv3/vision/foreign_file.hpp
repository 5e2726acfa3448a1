// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace mnv3::vision {

/// Says what a file is that is no picture which can be read, and what to do about it. Only its
/// first bytes count, whatever its name is.
class ForeignFile {
 public:
  explicit ForeignFile(std::span<const unsigned char> bytes)
      : size_(bytes.size()),
        is_zero_(std::ranges::all_of(bytes, [](unsigned char byte) { return byte == 0; })),
        begin_(reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), most_read)) {}

  /// "it is ...", with a remedy.
  std::string description() const {
    if (size_ == 0) return "it is empty; " + std::string(again);
    if (is_zero_)
      return "all its " + std::to_string(size_) +
             " bytes are zero, so it was not copied completely; " + std::string(again);
    const bool reads_as_text = is_text(begin_);
    for (const Signature& signature : signatures())
      if (has(signature.offset, signature.magic) && !(reads_as_text && is_word(signature.magic)))
        return is(signature.what, signature.remedy);
    if (has(4, "ftyp") && begin_.size() >= 12) return media();
    if (has(0, "RIFF") && begin_.size() >= 12) {
      if (has(8, "WEBP")) return is("a WebP picture", convert);
      return is("a RIFF file of the kind '" + printable(begin_.substr(8, 4)) + "'", picture);
    }
    if (is_netpbm())
      return is("a Netpbm picture of the kind P" + std::string(1, begin_[1]), netpbm);
    return text(reads_as_text);
  }

 private:
  static constexpr std::size_t most_read = 1024;  ///< What tells kinds apart stands further ahead.
  static constexpr std::size_t most_quoted = 60;

  struct Signature {
    std::size_t offset;
    std::string_view magic;
    std::string_view what;
    std::string_view remedy;
  };

  static constexpr std::string_view again = "copy or download it again";
  static constexpr std::string_view convert = "convert it to PNG or JPEG";
  static constexpr std::string_view unpack =
      "unpack it and read the picture in it, if there is one";
  static constexpr std::string_view picture = "give the picture itself";
  static constexpr std::string_view render = "render it as PNG or JPEG";
  static constexpr std::string_view netpbm = "convert it to PNG, or to P5 or P6";
  static constexpr std::string_view binary =
      "copy or download it again, as binary, because text conversion has damaged it";

  static std::span<const Signature> signatures() {
    using namespace std::string_view_literals;
    static constexpr auto rows = std::to_array<Signature>({
        {0, "GIF8"sv, "a GIF picture", convert},
        {0, "BM"sv, "a BMP picture", convert},
        {0, "II*\0"sv, "a TIFF picture, or a camera's raw file", convert},
        {0, "MM\0*"sv, "a TIFF picture, or a camera's raw file", convert},
        {0, "II+\0"sv, "a BigTIFF picture", convert},
        {0, "MM\0+"sv, "a BigTIFF picture", convert},
        {0, "IIRO"sv, "a camera's raw file (Olympus)", convert},
        {0, "IIU\0"sv, "a camera's raw file (Panasonic)", convert},
        {0, "FUJIFILMCCD-RAW"sv, "a camera's raw file (Fujifilm)", convert},
        {0, "\0\0\0\x0cjP  \r\n\x87\n"sv, "a JPEG 2000 picture", convert},
        {0, "\xff\x4f\xff\x51"sv, "a JPEG 2000 picture", convert},
        {0, "\0\0\0\x0cJXL \r\n\x87\n"sv, "a JPEG XL picture", convert},
        {0, "\xff\x0a"sv, "a JPEG XL picture", convert},
        {0, "8BPS"sv, "a Photoshop (PSD) picture", convert},
        {0, "gimp xcf"sv, "a GIMP (XCF) picture", convert},
        {0, "\0\0\1\0"sv, "a Windows icon (ICO)", convert},
        {0, "\0\0\2\0"sv, "a Windows cursor (CUR)", convert},
        {0, "icns"sv, "a macOS icon (ICNS)", convert},
        {0, "v/1\1"sv, "an OpenEXR picture", convert},
        {0, "#?RADIANCE"sv, "a Radiance HDR picture", convert},
        {0, "#?RGBE"sv, "a Radiance HDR picture", convert},
        {0, "DDS "sv, "a DirectDraw (DDS) picture", convert},
        {0, "qoif"sv, "a QOI picture", convert},
        {0, "farbfeld"sv, "a farbfeld picture", convert},
        {0, "\x8aMNG"sv, "an MNG animation", convert},
        {0, "\x8bJNG"sv, "a JNG picture", convert},
        {0, "\x0a\x05\x01"sv, "a PCX picture", convert},
        {0, "\x59\xa6\x6a\x95"sv, "a Sun raster picture", convert},
        {0, "\x01\xda"sv, "an SGI picture", convert},
        {0, "SIMPLE  ="sv, "a FITS file", convert},
        {0, "BPG\xfb"sv, "a BPG picture", convert},
        {0, "AT&TFORM"sv, "a DjVu document", render},
        {128, "DICM"sv, "a DICOM file", convert},
        {0, "PF\n"sv, "a PFM picture", convert},
        {0, "Pf\n"sv, "a PFM picture", convert},
        {0, "%PDF-"sv, "a PDF document", render},
        {0, "%!PS"sv, "a PostScript document", render},
        {0, "\xc5\xd0\xd3\xc6"sv, "a PostScript document", render},
        {1, "PNG"sv, "a damaged PNG", binary},
        {2, "PNG\r\n"sv, "a damaged PNG", binary},
        {3, "PNG\r\n"sv, "a damaged PNG", binary},
        {0, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"sv, "a damaged file", binary},
        {0, "\xc3\xbf\xc3\x98\xc3\xbf"sv, "a damaged JPEG", binary},
        {0, "version https://git-lfs"sv, "a Git LFS pointer",
         "run `git lfs pull` in its repository"},
        {0, "\x1f\x8b"sv, "packed by gzip", unpack},
        {0, "PK\3\4"sv, "a zip archive, as weights and office documents are, too", unpack},
        {0, "PK\5\6"sv, "an empty zip archive", picture},
        {0, "BZh"sv, "packed by bzip2", unpack},
        {0,
         "\xfd"
         "7zXZ\0"sv,
         "packed by xz", unpack},
        {0, "\x28\xb5\x2f\xfd"sv, "packed by zstd", unpack},
        {0, "\x04\x22\x4d\x18"sv, "packed by lz4", unpack},
        {0, "7z\xbc\xaf\x27\x1c"sv, "a 7z archive", unpack},
        {0, "Rar!\x1a\x07"sv, "a RAR archive", unpack},
        {257, "ustar"sv, "a tar archive", unpack},
        {0, "\x93NUMPY"sv, "a NumPy array", "save its picture as PNG"},
        {0, "\x89HDF\r\n\x1a\n"sv, "an HDF5 file", "save its picture as PNG"},
        {0, "\x80\2"sv, "a Python pickle, as old weights files are", picture},
        {0, "\x80\4"sv, "a Python pickle", picture},
        {0, "\x80\5"sv, "a Python pickle", picture},
        {0, "\x1a\x45\xdf\xa3"sv, "a Matroska or WebM video", "save the frame as PNG or JPEG"},
        {0, "\0\5\x16\7"sv, "what macOS notes beside a file, as '._' and its name",
         "read the file without '._'"},
        {0, "\0\5\x16\0"sv, "what macOS notes beside a file, as '._' and its name",
         "read the file without '._'"},
        {0, "bplist"sv, "an Apple property list", picture},
        {0,
         "\x7f"
         "ELF"sv,
         "a program", picture},
        {0, "MZ"sv, "a program", picture},
        {0, "iVBORw0KGgo"sv, "a PNG in Base64", "decode it first"},
        {0, "/9j/"sv, "a JPEG in Base64", "decode it first"},
        {0, "data:image/"sv, "a data URL", "decode what follows its comma first"},
        {0, "\xff\xfe"sv, "text in UTF-16", picture},
        {0, "\xfe\xff"sv, "text in UTF-16", picture},
    });
    return rows;
  }

  bool has(std::size_t at, std::string_view magic) const {
    return begin_.size() >= at + magic.size() && begin_.substr(at, magic.size()) == magic;
  }

  static std::string is(std::string_view what, std::string_view remedy) {
    return "it is " + std::string(what) + ", not a PNG, a JPEG, or a binary PPM or PGM; " +
           std::string(remedy);
  }

  /// The MP4 family, which names its kind and those it is compatible with, four letters each.
  /// Source  ISO/IEC 14496-12 4.3.
  std::string media() const {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(begin_[i]); };
    const std::size_t length = std::size_t{byte(2)} << 8 | byte(3);
    const std::string_view brands = begin_.substr(8, std::max<std::size_t>(length, 12) - 8);
    const auto names = [&](std::string_view part) {
      for (std::size_t i = 0; i < brands.size(); i += 4)
        if (i != 4 && brands.substr(i).starts_with(part)) return true;  // 4: a version
      return false;
    };
    if (names("avif") || names("avis")) return is("an AVIF picture", convert);
    if (names("crx ")) return is("a camera's raw file (Canon)", convert);
    if (names("he") || names("mif1") || names("msf1")) return is("a HEIC picture", convert);
    return is("a video (" + printable(brands.substr(0, 4)) + ")", "save the frame as PNG or JPEG");
  }

  /// Whether text may begin with it by chance: "BMW", for example, is no BMP.
  static bool is_word(std::string_view magic) {
    return magic.size() <= 3 && std::ranges::all_of(magic, [](char letter) {
             return std::isalnum(static_cast<unsigned char>(letter)) != 0;
           });
  }

  bool is_netpbm() const {
    return begin_.size() >= 3 && begin_[0] == 'P' &&
           std::string_view("12347").find(begin_[1]) != std::string_view::npos &&
           (std::isspace(static_cast<unsigned char>(begin_[2])) != 0 || begin_[2] == '#');
  }

  std::string text(bool reads_as_text) const {
    std::string_view words = begin_;
    if (words.starts_with("\xef\xbb\xbf")) words.remove_prefix(3);
    words.remove_prefix(std::min(words.find_first_not_of(" \t\r\n\f"), words.size()));
    std::string lower(words);
    std::ranges::transform(lower, lower.begin(), [](char letter) {
      return static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
    });
    const auto mentions = [&](std::string_view part) { return lower.find(part) != lower.npos; };
    if (lower.starts_with('<')) {
      const std::string quote = ", which begins with '" + printable(words) + "'";
      if (lower.starts_with("<svg") || mentions("<!doctype svg") ||
          (!mentions("<html") && mentions("<svg")))
        return is("an SVG drawing", render);
      if (mentions("<!doctype html") || mentions("<html") || mentions("<head") ||
          mentions("<body") || mentions("<script"))
        return is("a web page (HTML)" + quote,
                  "open its address in a browser, and download the picture itself");
      if (lower.starts_with("<?xml"))
        return is("an XML document" + quote, "look whether it is a server's error message");
    }
    if (words.empty()) return is("nothing but white space", again);
    if (reads_as_text) return is("text that begins with '" + printable(words) + "'", picture);
    return is("of no known kind, and its first bytes are " + hex(begin_.substr(0, 8)),
              "convert it to PNG or JPEG, or copy it again if it was one of them");
  }

  /// Whether there are letters, and nothing that no text has. Other letters than English ones have
  /// bytes from 0x80, which binary files have, too: here most bytes must be plain.
  static bool is_text(std::string_view bytes) {
    std::size_t foreign = 0;
    for (const char letter : bytes) {
      const auto byte = static_cast<unsigned char>(letter);
      if ((byte < 0x20 &&
           std::string_view("\t\n\v\f\r\x1b").find(letter) == std::string_view::npos) ||
          byte == 0x7f)
        return false;
      foreign += byte >= 0x80 ? 1 : 0;
    }
    return 2 * foreign <= bytes.size() || is_utf8(bytes);
  }

  /// Whether every character is complete, but for the last one, which may be cut.
  static bool is_utf8(std::string_view bytes) {
    for (std::size_t i = 0; i < bytes.size();) {
      const auto first = static_cast<unsigned char>(bytes[i++]);
      if (first < 0x80) continue;
      if (first < 0xc2 || first > 0xf4) return false;
      for (int more = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3; more > 0 && i < bytes.size(); --more)
        if ((static_cast<unsigned char>(bytes[i++]) & 0xc0) != 0x80) return false;
    }
    return true;
  }

  /// Words of the file for a message: one line, cut, and nothing that a terminal might obey.
  static std::string printable(std::string_view words) {
    std::string quoted;
    for (const char letter : words.substr(0, most_quoted)) {
      const auto byte = static_cast<unsigned char>(letter);
      quoted += byte >= 0x20 && byte < 0x7f ? letter : std::isspace(byte) != 0 ? ' ' : '?';
    }
    return words.size() > most_quoted ? quoted + "..." : quoted;
  }

  static std::string hex(std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string written;
    for (const char letter : bytes) {
      const auto byte = static_cast<unsigned char>(letter);
      if (!written.empty()) written += ' ';
      (written += digits[byte >> 4]) += digits[byte & 15];
    }
    return written;
  }

  std::size_t size_;
  bool is_zero_;
  std::string_view begin_;
};

/// What `bytes`, which are no picture that can be read, are instead; see `ForeignFile`.
inline std::string what_is_foreign(std::span<const unsigned char> bytes) {
  return ForeignFile(bytes).description();
}

}  // namespace mnv3::vision

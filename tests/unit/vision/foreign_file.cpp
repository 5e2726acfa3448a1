// SPDX-License-Identifier: MIT
#include "doctest_torch.hpp"

#include <mnv3/vision/foreign_file.hpp>

#include <chrono>
#include <string>
#include <string_view>

#include "pictures.hpp"

namespace {

using namespace std::string_view_literals;
using pictures::Bytes;
using pictures::contains;

std::string what_is(std::string_view bytes) {
  return mnv3::vision::what_is_foreign(pictures::bytes_of(bytes));
}

}  // namespace

TEST_CASE("a file of another kind is named, with what to do") {
  struct Case {
    std::string_view bytes, what, remedy;
  };
  for (const Case& file : {
           Case{"RIFF\x24\0\0\0WEBPVP8 "sv, "a WebP picture", "convert it to PNG or JPEG"},
           Case{"RIFF\xff\xff\0\0WEBPVP8L"sv, "a WebP picture", "convert"},
           Case{"RIFF\x24\0\0\0WAVEfmt "sv, "a RIFF file of the kind 'WAVE'", "the picture itself"},
           Case{"GIF87a\1\0"sv, "a GIF picture", "convert"},
           Case{"GIF89a"sv, "a GIF picture", "convert"},
           Case{"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28"sv, "a BMP picture", "convert"},
           Case{"II*\0\x08\0\0\0"sv, "a TIFF picture", "convert"},
           Case{"MM\0*\0\0\0\x08"sv, "a TIFF picture", "convert"},
           Case{"II+\0\x08\0\0\0"sv, "a BigTIFF picture", "convert"},
           Case{"MM\0+\0\x08\0\0"sv, "a BigTIFF picture", "convert"},
           Case{"\0\0\0\x18"
                "ftypheic\0\0\0\0mif1heic"sv,
                "a HEIC picture", "convert"},
           Case{"\0\0\0\x18"
                "ftypmif1\0\0\0\0mif1heic"sv,
                "a HEIC picture", "convert"},
           Case{"\0\0\0\x1c"
                "ftypavif\0\0\0\0avifmif1miaf"sv,
                "an AVIF picture", "convert"},
           Case{"\0\0\0\x18"
                "ftypmif1\0\0\0\0mif1avif"sv,
                "an AVIF picture", "convert"},
           Case{"\0\0\0\x14"
                "ftypisom\0\0\2\0isom\0\0\0\x08"
                "avif"sv,
                "a video (isom)", "save the frame"},
           Case{"\0\0\0\x14"
                "ftypisomheicisom"sv,  // "heic" stands where a version is
                "a video (isom)", "save the frame"},
           Case{"\0\0\0\x18"
                "ftypcrx \0\0\0\1crx isom"sv,
                "raw file (Canon)", "convert"},
           Case{"\0\0\0\x14"
                "ftypqt  \0\0\0\0qt  "sv,
                "a video (qt  )", "save the frame"},
           Case{"\0\0\0\x0cjP  \r\n\x87\n"sv, "a JPEG 2000 picture", "convert"},
           Case{"\xff\x4f\xff\x51\0\x2f"sv, "a JPEG 2000 picture", "convert"},
           Case{"\0\0\0\x0cJXL \r\n\x87\n"sv, "a JPEG XL picture", "convert"},
           Case{"\xff\x0a\x7f\1"sv, "a JPEG XL picture", "convert"},
           Case{"8BPS\0\1\0\0"sv, "a Photoshop (PSD) picture", "convert"},
           Case{"\0\0\1\0\1\0\x10\x10"sv, "a Windows icon (ICO)", "convert"},
           Case{"\0\0\2\0\1\0\x20\x20"sv, "a Windows cursor (CUR)", "convert"},
           Case{"%PDF-1.7\n%\xe2\xe3"sv, "a PDF document", "render it"},
           Case{"%!PS-Adobe-3.0"sv, "a PostScript document", "render it"},
           Case{"<svg xmlns='http://www.w3.org/2000/svg'>"sv, "an SVG drawing", "render it"},
           Case{"\xef\xbb\xbf <?xml version='1.0'?>\n<!-- made by hand -->\n<svg>"sv,
                "an SVG drawing", "render it"},
           Case{"<!DOCTYPE html><html><svg></svg></html>"sv,
                "a web page (HTML), which begins with '<!DOCTYPE html>", "in a browser"},
           Case{"\r\n\t<HTML lang=en>"sv, "a web page (HTML), which begins with '<HTML lang",
                "in a browser"},
           Case{"<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code>"sv,
                "an XML document, which begins with '<?xml", "a server's error message"},
           Case{"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 1\n"sv,
                "a Git LFS pointer", "run `git lfs pull`"},
           Case{"version https://git-lfs.github.com/spec/v1\r\noid"sv, "a Git LFS pointer",
                "git lfs pull"},
           Case{"\x1f\x8b\x08\0"sv, "packed by gzip", "unpack it"},
           Case{"PK\3\4\x14\0"sv, "a zip archive", "unpack it"},
           Case{"PK\5\6\0\0"sv, "an empty zip archive", "the picture itself"},
           Case{"BZh91AY&SY\xb8\0"sv, "packed by bzip2", "unpack it"},
           Case{"\xfd"
                "7zXZ\0\0"sv,
                "packed by xz", "unpack it"},
           Case{"{\"error\": \"not found\"}"sv, "text that begins with '{\"error\"", "the picture"},
           Case{"404: Not Found"sv, "text that begins with '404: Not Found'", "the picture"},
           Case{"BMW and Mercedes"sv, "text that begins with 'BMW", "the picture"},
           Case{"MZ is text, too"sv, "text that begins with 'MZ is", "the picture"},
           Case{"\xff\xfeh\0i\0"sv, "text in UTF-16", "the picture"},
           Case{" \r\n\t"sv, "nothing but white space", "download it again"},
           Case{"P3 1 1 255 1 2 3"sv, "a Netpbm picture of the kind P3", "P5 or P6"},
           Case{"P7\nWIDTH 1\n"sv, "a Netpbm picture of the kind P7", "P5 or P6"},
           Case{"P.S. Hello"sv, "text that begins with 'P.S. Hello'", "the picture"},
           Case{"\x89PNG\n\x1a\n\0\0\0\rIHDR"sv, "a damaged PNG", "as binary"},
           Case{"\xef\xbf\xbdPNG\r\n\x1a\n\0\0"sv, "a damaged PNG", "as binary"},
           Case{"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\0\x10JFIF"sv, "a damaged file",
                "as binary"},
           Case{"iVBORw0KGgoAAAANSUhEUg"sv, "a PNG in Base64", "decode it first"},
           Case{"data:image/png;base64,iVBO"sv, "a data URL", "decode"},
           Case{"\x80\2}q\0."sv, "a Python pickle", "the picture itself"},
           Case{"\1\2\3\4\xfe\xff\0\0\x10"sv, "its first bytes are 01 02 03 04 fe ff 00 00",
                "convert it to PNG or JPEG"},
       }) {
    const std::string said = what_is(file.bytes);
    CAPTURE(said);
    CHECK(contains(said, std::string(file.what)));
    CHECK(contains(said, std::string(file.remedy)));
    CHECK(contains(said, "not a PNG, a JPEG, or a binary PPM or PGM; "));
    CHECK(pictures::refusal(pictures::bytes_of(file.bytes)) == said);
  }
}

TEST_CASE("an empty file, and one of zeros, were not copied") {
  CHECK(pictures::refusal({}) == "it is empty; copy or download it again");
  CHECK(pictures::refusal(Bytes(4096)) ==
        "all its 4096 bytes are zero, so it was not copied completely; copy or download it again");
  Bytes nearly(4096);
  nearly.back() = 1;
  CHECK(contains(pictures::refusal(nearly), "of no known kind"));
}

TEST_CASE("words of a file are printable and short in a message") {
  const std::string long_text(10'000, 'x');
  CHECK(what_is(long_text) ==
        "it is text that begins with '" + long_text.substr(0, 60) +
            "...', not a PNG, a JPEG, or a binary PPM or PGM; give the picture "
            "itself");
  CHECK(contains(what_is("\x1b[31mred\x1b[0m\nline two"), "begins with '?[31mred?[0m line two'"));
  CHECK(contains(what_is("caf\xc3\xa9 \xe4\xbd\xa0\xe5\xa5\xbd"),
                 "begins with 'caf" + std::string(2, '?') + " "));
  for (int seed = 0; seed < 256; ++seed) {
    Bytes bytes(40, static_cast<unsigned char>(seed));
    bytes[7] = '<';
    for (const char letter : mnv3::vision::what_is_foreign(bytes)) {
      CHECK(letter >= ' ');
      CHECK(letter <= '~');
    }
  }
}

TEST_CASE("beginnings of every length are described") {
  for (const std::string_view whole : {"RIFF\x24\0\0\0WEBPVP8 "sv,
                                       "\0\0\0\x18"
                                       "ftypmif1\0\0\0\0mif1avif"sv,
                                       "\0\0\0\x04"
                                       "ftypheic"sv,
                                       "\xef\xbb\xbf<?xml"sv, "PK\3\4\x14"sv})
    for (std::size_t size = 1; size <= whole.size(); ++size)
      CHECK_FALSE(what_is(whole.substr(0, size)).empty());
}

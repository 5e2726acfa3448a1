// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <stdexcept>
#include <string>

#include <fmt/format.h>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/imgutils.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>
}

// FFmpeg's objects, owned; and its errors as exceptions.

namespace examples::video {

class VideoError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline std::string text_of(int error) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(error, text, sizeof text);
  return text;
}

/// What a call gave, unless that is an error.
inline int require(int result, const std::string& what) {
  if (result < 0) throw VideoError(fmt::format("{}: {}", what, text_of(result)));
  return result;
}

template <class T>
T* require(T* made, const std::string& what) {
  if (made == nullptr) throw VideoError(what);
  return made;
}

struct Free {
  void operator()(AVFormatContext* context) const {
    if (context->iformat != nullptr)
      avformat_close_input(&context);
    else
      avformat_free_context(context);
  }
  void operator()(AVCodecContext* context) const { avcodec_free_context(&context); }
  void operator()(AVFrame* frame) const { av_frame_free(&frame); }
  void operator()(AVPacket* packet) const { av_packet_free(&packet); }
  void operator()(SwsContext* context) const { sws_freeContext(context); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

inline Owned<AVFrame> make_frame() {
  return Owned<AVFrame>(require(av_frame_alloc(), "there is no memory for a frame"));
}
inline Owned<AVPacket> make_packet() {
  return Owned<AVPacket>(require(av_packet_alloc(), "there is no memory for a packet"));
}

}  // namespace examples::video

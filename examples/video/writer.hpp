// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>

#include "ffmpeg.hpp"

namespace examples::video {

/// Writes frames to a video, a picture, or, where the name has a number as in "out%04d.png", one
/// picture each. What kind it is, its name says. A video or picture has another name until it is
/// whole; what was there before stays until then.
class Writer {
 public:
  /// Errors  VideoError names the file and the reason.
  Writer(const std::string& name, int width, int height, AVRational rate)
      : name_(name), is_sequence_(name.find('%') != std::string::npos) {
    const AVOutputFormat* const format = av_guess_format(nullptr, name.c_str(), nullptr);
    if (format == nullptr)
      throw VideoError(
          fmt::format("\"{}\" does not end as a video or picture does: use .mp4, .mkv, "
                      ".webm, .png, .jpg or another one that FFmpeg knows",
                      name));
    const std::filesystem::path path(name);
    part_ =
        is_sequence_ ? name : (path.parent_path() / (".part-" + path.filename().string())).string();
    AVFormatContext* context = nullptr;
    require(avformat_alloc_output_context2(&context, const_cast<AVOutputFormat*>(format), nullptr,
                                           part_.c_str()),
            fmt::format("cannot write \"{}\"", name));
    output_.reset(context);
    const AVCodecID id = av_guess_codec(const_cast<AVOutputFormat*>(format), nullptr, name.c_str(),
                                        nullptr, AVMEDIA_TYPE_VIDEO);
    const AVCodec* const codec = require(
        avcodec_find_encoder(id), fmt::format("FFmpeg here has no encoder for \"{}\"", name));
    encoder_.reset(require(avcodec_alloc_context3(codec), "there is no memory for an encoder"));
    encoder_->width = width;
    encoder_->height = height;
    encoder_->time_base = av_inv_q(rate);
    encoder_->framerate = rate;
    encoder_->pix_fmt = pixels_for(*codec, width, height);
    encoder_->flags |= AV_CODEC_FLAG_QSCALE;
    encoder_->global_quality = 3 * FF_QP2LAMBDA;
    if ((format->flags & AVFMT_GLOBALHEADER) != 0) encoder_->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    require(avcodec_open2(encoder_.get(), codec, nullptr),
            fmt::format("cannot encode {} x {} pixels for \"{}\"", width, height, name));
    stream_ = require(avformat_new_stream(context, nullptr), "there is no memory for a stream");
    require(avcodec_parameters_from_context(stream_->codecpar, encoder_.get()), name);
    stream_->time_base = encoder_->time_base;
    if ((format->flags & AVFMT_NOFILE) == 0)
      require(avio_open(&context->pb, part_.c_str(), AVIO_FLAG_WRITE),
              fmt::format("cannot write \"{}\"", name));
    else if (!is_sequence_)
      av_opt_set_int(context->priv_data, "update", 1, 0);  // one picture under one name
    require(avformat_write_header(context, nullptr), fmt::format("cannot write \"{}\"", name));
    scaler_.reset(
        require(sws_getContext(width, height, AV_PIX_FMT_RGB24, width, height, encoder_->pix_fmt,
                               SWS_BILINEAR, nullptr, nullptr, nullptr),
                fmt::format("RGB cannot be converted for \"{}\"", name)));
    frame_->format = encoder_->pix_fmt;
    frame_->width = width;
    frame_->height = height;
    require(av_frame_get_buffer(frame_.get(), 0), "there is no memory for a frame");
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  /// Gives up what is not finished.
  ~Writer() {
    close();
    std::error_code ignored;
    if (!is_finished_ && !is_sequence_) std::filesystem::remove(part_, ignored);
  }

  /// Rows of RGB bytes without gaps.
  void write(const std::uint8_t* rgb) {
    require(av_frame_make_writable(frame_.get()), "there is no memory for a frame");
    const std::uint8_t* const rows[] = {rgb};
    const int row_bytes[] = {3 * encoder_->width};
    sws_scale(scaler_.get(), rows, row_bytes, 0, encoder_->height, frame_->data, frame_->linesize);
    frame_->pts = written_++;
    encode(frame_.get());
  }

  /// The end: the file gets its name.
  void finish() {
    encode(nullptr);
    require(av_write_trailer(output_.get()), fmt::format("cannot write \"{}\"", name_));
    close();
    if (!is_sequence_) std::filesystem::rename(part_, name_);
    is_finished_ = true;
  }

 private:
  /// What an encoder takes, up to AV_PIX_FMT_NONE; null if it does not say.
  static const AVPixelFormat* formats_of(const AVCodec& codec) {
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(61, 13, 100)  // FFmpeg 7.1
    const void* formats = nullptr;
    avcodec_get_supported_config(nullptr, &codec, AV_CODEC_CONFIG_PIX_FORMAT, 0, &formats, nullptr);
    return static_cast<const AVPixelFormat*>(formats);
#else
    return codec.pix_fmts;
#endif
  }

  /// As most players show, or, where a side is odd, what needs no halves.
  static AVPixelFormat pixels_for(const AVCodec& codec, int width, int height) {
    const AVPixelFormat wanted =
        width % 2 == 0 && height % 2 == 0 ? AV_PIX_FMT_YUV420P : AV_PIX_FMT_YUV444P;
    const AVPixelFormat* const formats = formats_of(codec);
    if (formats == nullptr) return wanted;
    for (const AVPixelFormat exact : {AV_PIX_FMT_RGB24, wanted})
      for (const AVPixelFormat* each = formats; *each != AV_PIX_FMT_NONE; ++each)
        if (*each == exact) return exact;
    return formats[0];
  }

  void encode(const AVFrame* frame) {
    const std::string what = fmt::format("cannot write \"{}\"", name_);
    require(avcodec_send_frame(encoder_.get(), frame), what);
    for (;;) {
      const int received = avcodec_receive_packet(encoder_.get(), packet_.get());
      if (received == AVERROR(EAGAIN) || received == AVERROR_EOF) return;
      require(received, what);
      packet_->duration = 1;
      av_packet_rescale_ts(packet_.get(), encoder_->time_base, stream_->time_base);
      require(av_interleaved_write_frame(output_.get(), packet_.get()), what);
    }
  }

  void close() {
    if (output_ && (output_->oformat->flags & AVFMT_NOFILE) == 0) avio_closep(&output_->pb);
  }

  std::string name_;
  bool is_sequence_;
  std::string part_;
  Owned<AVFormatContext> output_;
  Owned<AVCodecContext> encoder_;
  Owned<AVFrame> frame_ = make_frame();
  Owned<AVPacket> packet_ = make_packet();
  Owned<SwsContext> scaler_;
  AVStream* stream_ = nullptr;
  std::int64_t written_ = 0;
  bool is_finished_ = false;
};

}  // namespace examples::video

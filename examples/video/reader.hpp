// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "ffmpeg.hpp"

namespace examples::video {

/// One frame: rows of RGB bytes without gaps.
struct Picture {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> rgb;
};

/// The frames of a video, a picture, a folder of PNG or JPEG files (in the order of their names), or
/// raw RGB frames on standard input (the name "-"). All come in the size of the first one.
class Reader {
 public:
  /// `raw_size` is that of raw frames, as "640x480".
  ///
  /// Errors  VideoError names the input and what it lacks.
  explicit Reader(const std::string& name, const std::string& raw_size = "",
                  const std::string& raw_rate = "30")
      : name_(name) {
    av_log_set_level(AV_LOG_FATAL);
    AVDictionary* options = nullptr;
    const AVInputFormat* format = nullptr;
    std::string url = name;
    if (name == "-") {
      if (raw_size.empty())
        throw VideoError("frames on standard input are raw RGB and need --size, such as 640x480");
      format = av_find_input_format("rawvideo");
      av_dict_set(&options, "pixel_format", "rgb24", 0);
      av_dict_set(&options, "video_size", raw_size.c_str(), 0);
      av_dict_set(&options, "framerate", raw_rate.c_str(), 0);
      url = "pipe:0";
    } else if (std::filesystem::is_directory(name)) {
      format = av_find_input_format("image2");
      av_dict_set(&options, "pattern_type", "glob", 0);
      url = (std::filesystem::path(name) / ("*." + extension_in(name))).string();
    }
    AVFormatContext* context = nullptr;
    const int opened = avformat_open_input(&context, url.c_str(), format, &options);
    av_dict_free(&options);
    require(opened, fmt::format("cannot read \"{}\"", name));
    input_.reset(context);
    require(avformat_find_stream_info(context, nullptr), fmt::format("cannot read \"{}\"", name));
    const AVCodec* codec = nullptr;
    stream_ = av_find_best_stream(context, AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
    if (stream_ < 0 || codec == nullptr)
      throw VideoError(fmt::format("\"{}\" has no pictures that FFmpeg can decode", name));
    decoder_.reset(require(avcodec_alloc_context3(codec), "there is no memory for a decoder"));
    require(avcodec_parameters_to_context(decoder_.get(), stream()->codecpar), name);
    decoder_->pkt_timebase = stream()->time_base;
    require(avcodec_open2(decoder_.get(), codec, nullptr),
            fmt::format("cannot decode \"{}\"", name));
  }

  /// Frames for each second; 30 where the input does not say.
  AVRational rate() const {
    const AVRational guessed = av_guess_frame_rate(input_.get(), stream(), nullptr);
    return guessed.num > 0 && guessed.den > 0 ? guessed : AVRational{30, 1};
  }
  /// How many frames there will be, as far as the input says; otherwise 0.
  std::int64_t expected() const {
    if (stream()->nb_frames > 0) return stream()->nb_frames;
    if (input_->duration <= 0) return 0;
    return av_rescale_q(input_->duration, {1, AV_TIME_BASE}, av_inv_q(rate()));
  }
  /// Frames that could not be decoded, and were left out.
  std::int64_t broken() const { return broken_; }

  /// The next frame. Returns whether there is one.
  bool next(Picture& picture) {
    for (;;) {
      const int received = avcodec_receive_frame(decoder_.get(), frame_.get());
      if (received == 0) {
        convert(picture);
        return true;
      }
      if (received == AVERROR_EOF) return false;
      if (received != AVERROR(EAGAIN)) {
        ++broken_;
        continue;
      }
      feed();
    }
  }

 private:
  AVStream* stream() const { return input_->streams[stream_]; }

  /// "png" or "jpg" or ..., that of the first picture in a folder by its name.
  static std::string extension_in(const std::string& folder) {
    std::string first;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      const std::string extension = entry.path().extension().string();
      if (extension != ".png" && extension != ".jpg" && extension != ".jpeg" && extension != ".ppm")
        continue;
      if (first.empty() || name < first) first = name;
    }
    if (first.empty())
      throw VideoError(fmt::format("the folder \"{}\" has no PNG, JPEG or PPM files", folder));
    return std::filesystem::path(first).extension().string().substr(1);
  }

  /// Gives the decoder one more packet, or the end.
  void feed() {
    for (;;) {
      const int read = av_read_frame(input_.get(), packet_.get());
      if (read == AVERROR_EOF) {
        avcodec_send_packet(decoder_.get(), nullptr);
        return;
      }
      require(read, fmt::format("cannot read on in \"{}\"", name_));
      const bool is_ours = packet_->stream_index == stream_;
      const int sent = is_ours ? avcodec_send_packet(decoder_.get(), packet_.get()) : 0;
      av_packet_unref(packet_.get());
      if (!is_ours) continue;
      if (sent < 0) {
        ++broken_;  // what the packet had cannot be decoded; others may be
        continue;
      }
      return;
    }
  }

  void convert(Picture& picture) {
    if (width_ == 0) {
      width_ = frame_->width;
      height_ = frame_->height;
    }
    scaler_.reset(sws_getCachedContext(scaler_.release(), frame_->width, frame_->height,
                                       static_cast<AVPixelFormat>(frame_->format), width_, height_,
                                       AV_PIX_FMT_RGB24, SWS_BILINEAR, nullptr, nullptr, nullptr));
    require(scaler_.get(), fmt::format("the pixels of \"{}\" cannot be converted to RGB", name_));
    picture.width = width_;
    picture.height = height_;
    picture.rgb.resize(static_cast<std::size_t>(width_) * static_cast<std::size_t>(height_) * 3);
    std::uint8_t* const rows[] = {picture.rgb.data()};
    const int row_bytes[] = {3 * width_};
    sws_scale(scaler_.get(), frame_->data, frame_->linesize, 0, frame_->height, rows, row_bytes);
    av_frame_unref(frame_.get());
  }

  std::string name_;
  Owned<AVFormatContext> input_;
  Owned<AVCodecContext> decoder_;
  Owned<AVFrame> frame_ = make_frame();
  Owned<AVPacket> packet_ = make_packet();
  Owned<SwsContext> scaler_;
  int stream_ = -1;
  int width_ = 0;
  int height_ = 0;
  std::int64_t broken_ = 0;
};

}  // namespace examples::video

// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <curl/curl.h>
#include <fmt/format.h>

#include <mnv3/hub/cache.hpp>
#include <mnv3/hub/options.hpp>
#include <mnv3/hub/partial_file.hpp>
#include <mnv3/hub/sigpipe.hpp>
#include <mnv3/version.hpp>
#include <mnv3/weights/error.hpp>

namespace mnv3::hub::detail {

/// How one request has ended, if it is not an error.
struct Outcome {
  enum class Kind {
    complete,     ///< The server has sent all there is.
    interrupted,  ///< For the moment: the same may work later.
    anew,         ///< What is here is of another file than the server has now.
  };
  Kind kind = Kind::complete;
  std::string reason = {};              ///< Of an interruption.
  std::chrono::seconds retry_after{0};  ///< The server's wish.
};

/// What follows "bytes" in a Content-Range: "7-41/42", "7-41/*" or "*/42".
/// Source  RFC 9110 section 14.4.
struct ContentRange {
  std::optional<std::uint64_t> first;
  std::optional<std::uint64_t> total;

  explicit ContentRange(std::string_view text) {
    constexpr std::string_view unit = "bytes ";
    if (!text.starts_with(unit)) return;
    text.remove_prefix(unit.size());
    first = number(text.substr(0, text.find('-')));
    if (const std::size_t slash = text.find('/'); slash != std::string_view::npos)
      total = number(text.substr(slash + 1));
  }

  static std::optional<std::uint64_t> number(std::string_view digits) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), value);
    return error == std::errc() && end == digits.end() ? std::optional(value) : std::nullopt;
  }
};

/// HTTP requests for one file, whose bytes go to the end of a partial one.
///
/// Errors  WeightsError for what no later attempt would change; DownloadCancelled.
class Transfer {
 public:
  Transfer(std::string url, std::filesystem::path target, const DownloadOptions& options,
           PartialFile& file)
      : url_(std::move(url)), target_(std::move(target)), options_(options), file_(file) {
    static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);  // once, by one thread
    easy_.reset(ready == CURLE_OK ? curl_easy_init() : nullptr);
    if (!easy_) throw WeightsError("mnv3: libcurl cannot be initialised");
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_NOSIGNAL, 1L);  // its timeouts would use the alarm of the whole process
    set(CURLOPT_ERRORBUFFER, message_.data());
    set(CURLOPT_USERAGENT,
        fmt::format("mnv3/{}.{}.{}", MNV3_VERSION_MAJOR, MNV3_VERSION_MINOR, MNV3_VERSION_PATCH)
            .c_str());
    set(CURLOPT_WRITEFUNCTION, &Transfer::on_body);
    set(CURLOPT_WRITEDATA, this);
    set(CURLOPT_XFERINFOFUNCTION, &Transfer::on_progress);
    set(CURLOPT_XFERINFODATA, this);
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
    set(CURLOPT_LOW_SPEED_LIMIT, static_cast<long>(options.low_speed_bytes));
    set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(options.low_speed_time.count()));
    if (!options.proxy.empty()) set(CURLOPT_PROXY, options.proxy.c_str());
    // libcurl leaves these variables to its program, which reads them in this order.
    std::string ca = options.ca_file.string();
    for (const char* name : {"CURL_CA_BUNDLE", "SSL_CERT_FILE"})
      if (ca.empty()) ca = variable(name).value_or("");
    if (!ca.empty()) {
      set(CURLOPT_CAINFO, ca.c_str());
      set(CURLOPT_PROXY_CAINFO, ca.c_str());
    }
  }

  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  /// Asks for what is missing, wherever the server says that it is now.
  Outcome run() {
    constexpr int most_redirects = 10;
    std::string url = url_;
    for (int redirects = 0; redirects <= most_redirects; ++redirects) {
      const CURLcode result = perform(url);
      const char* next = nullptr;
      get(CURLINFO_REDIRECT_URL, &next);
      if (result != CURLE_OK || next == nullptr) return judge(result);
      // By hand, because libcurl knows only a list of protocols for all steps.
      const std::string from = std::exchange(url, next);
      if (!is_https(url) && (is_https(from) || !url.starts_with("http://")))
        fail(fmt::format("the server redirects to {}, which is {}", url,
                         is_https(from) ? "not https" : "neither http nor https"));
    }
    fail(fmt::format("the server has redirected {} times, at last to {}", most_redirects, url));
  }

  /// Asks the user whether to go on.
  void report() const {
    if (options_.progress && !options_.progress(file_.size(), total_)) {
      throw DownloadCancelled(
          fmt::format("mnv3: the download of {} was cancelled; {} is kept and "
                      "continued by the next one",
                      url_, file_.path().string()));
    }
  }

  [[noreturn]] void fail(std::string_view reason) const {
    throw WeightsError(fmt::format("mnv3: cannot download {}: {}\n  By hand: {}", url_, reason,
                                   by_hand(url_, target_)));
  }

 private:
  struct Cleanup {
    void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  };

  static bool is_https(std::string_view url) { return url.starts_with("https://"); }

  template <class Value>
  void set(CURLoption option, Value value) {
    if (const CURLcode result = curl_easy_setopt(easy_.get(), option, value); result != CURLE_OK)
      throw WeightsError(fmt::format("mnv3: libcurl: {}", curl_easy_strerror(result)));
  }

  template <class Value>
  void get(CURLINFO info, Value* value) const {
    static_cast<void>(curl_easy_getinfo(easy_.get(), info, value));
  }

  long status() const {
    long status = 0;
    get(CURLINFO_RESPONSE_CODE, &status);
    return status;
  }

  /// The value of a header of the last answer, or nothing.
  std::string header(const char* name) const {
    curl_header* found = nullptr;
    constexpr int last = -1;
    const CURLHcode result = curl_easy_header(easy_.get(), name, 0, CURLH_HEADER, last, &found);
    return result == CURLHE_OK ? found->value : "";
  }

  /// One that stands for the same bytes, not only for the same meaning.
  /// Source  RFC 9110 section 8.8.3.
  std::string strong_etag() const {
    const std::string etag = header("ETag");
    return etag.starts_with('"') ? etag : "";
  }

  void add_header(const std::string& line) {
    curl_slist* longer = curl_slist_append(headers_.get(), line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    static_cast<void>(headers_.release());
    headers_.reset(longer);
  }

  CURLcode perform(const std::string& url) {
    offset_ = file_.size();
    begun_ = anew_ = false;
    ignored_ = 0;
    message_.fill('\0');
    headers_.reset();
    add_header("Accept-Encoding: identity");  // the hash is of the bytes as they are
    if (offset_ > 0) {
      add_header(fmt::format("Range: bytes={}-", offset_));
      const std::string& etag = file_.origin().etag;
      if (!etag.empty()) add_header("If-Range: " + etag);
    }
    set(CURLOPT_HTTPHEADER, headers_.get());
    set(CURLOPT_URL, url.c_str());
    const SigpipeBlocked no_sigpipe;
    const CURLcode result = curl_easy_perform(easy_.get());
    // With no body at all, nothing has begun.
    if (result == CURLE_OK) guarded([&] { begin(); });
    if (exception_) std::rethrow_exception(std::exchange(exception_, nullptr));
    return result;
  }

  /// Exceptions must not pass through libcurl's C code.
  template <class Function>
  bool guarded(Function function) noexcept {
    try {
      function();
      return true;
    } catch (...) {
      exception_ = std::current_exception();
      return false;
    }
  }

  static std::size_t on_body(char* data, std::size_t, std::size_t size, void* self) noexcept {
    auto* transfer = static_cast<Transfer*>(self);
    const bool good = transfer->guarded([&] { transfer->receive(std::span(data, size)); });
    return good && !transfer->anew_ ? size : 0;
  }

  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) noexcept {
    auto* transfer = static_cast<Transfer*>(self);
    return transfer->guarded([&] { transfer->report(); }) ? 0 : 1;
  }

  void receive(std::span<const char> bytes) {
    begin();
    if (!is_file_) {  // the text of an error, or of a redirection
      constexpr std::size_t most = std::size_t{1} << 20;
      ignored_ += bytes.size();
      if (ignored_ > most) fail(fmt::format("the server's answer {} does not end", status()));
    } else if (!anew_) {
      refuse_if_larger(file_.size() + bytes.size());
      file_.append(bytes);
    }
  }

  void refuse_if_larger(std::uint64_t size) {
    if (size <= options_.max_bytes) return;
    file_.remove();
    fail(fmt::format("it has {} bytes or more, and the limit (max_bytes) is {}", size,
                     options_.max_bytes));
  }

  /// When the headers have come: whether and where the body goes into the file.
  void begin() {
    if (std::exchange(begun_, true)) return;
    const long code = status();
    is_file_ = code == 200 || code == 206;
    if (!is_file_) return;
    const std::string encoding = header("Content-Encoding");
    if (!encoding.empty() && encoding != "identity")
      fail(fmt::format("the server sends it encoded ({}), although asked not to", encoding));
    const std::string etag = strong_etag();
    if (code == 206) {
      const ContentRange range(header("Content-Range"));
      const Origin& known = file_.origin();
      if (offset_ == 0) fail("the server sends a part, although asked for the whole");
      anew_ = range.first != offset_ || (known.total && range.total != known.total) ||
              (!known.etag.empty() && etag != known.etag);
      if (anew_) return;
      total_ = range.total;
    } else {
      curl_off_t length = -1;
      get(CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
      total_ = length < 0 ? std::nullopt : std::optional(static_cast<std::uint64_t>(length));
      file_.restart({.etag = etag, .total = total_});
    }
    refuse_if_larger(total_.value_or(0));
  }

  Outcome judge(CURLcode result) {
    using enum Outcome::Kind;
    if (anew_) return {anew};
    const long code = status();
    if (code >= 400) return judge_status(code);
    if (result != CURLE_OK) return judge_failure(result);
    if (code != 200 && code != 206) return judge_status(code);
    if (total_ && file_.size() < *total_) return {interrupted, "the server has sent a part only"};
    return {complete};
  }

  Outcome judge_status(long code) {
    using enum Outcome::Kind;
    switch (code) {
      case 404:
      case 410:
        fail(fmt::format("the server has no such file (HTTP {})", code));
      case 401:
      case 403:
      case 451:
        fail(fmt::format("the server refuses to give it (HTTP {})", code));
      case 416:  // nothing is missing, or it has become another file
        if (offset_ == 0) break;
        return {ContentRange(header("Content-Range")).total == offset_ ? complete : anew};
      case 408:
      case 425:
      case 429:
      case 500:
      case 502:
      case 503:
      case 504: {
        curl_off_t seconds = 0;
        get(CURLINFO_RETRY_AFTER, &seconds);
        return {interrupted,
                fmt::format("the server is {} (HTTP {})", code == 429 ? "asked too often" : "busy",
                            code),
                std::chrono::seconds(seconds)};
      }
      default:
        break;
    }
    fail(fmt::format("the server answers HTTP {}", code));
  }

  Outcome judge_failure(CURLcode result) {
    using enum Outcome::Kind;
    const std::string text = message_[0] != '\0' ? message_.data() : curl_easy_strerror(result);
    long proxy_status = 0;
    get(CURLINFO_HTTP_CONNECTCODE, &proxy_status);
    if (proxy_status >= 400) fail(fmt::format("the proxy refuses (HTTP {})", proxy_status));
    curl_off_t connected = 0;
    get(CURLINFO_PRETRANSFER_TIME_T, &connected);
    switch (result) {
      case CURLE_PARTIAL_FILE:
      case CURLE_RECV_ERROR:
      case CURLE_SEND_ERROR:
      case CURLE_GOT_NOTHING:
      case CURLE_HTTP2:
      case CURLE_HTTP2_STREAM:
        return {interrupted, text};
      case CURLE_OPERATION_TIMEDOUT:
        if (connected > 0) return {interrupted, text};
        [[fallthrough]];
      case CURLE_COULDNT_RESOLVE_HOST:
      case CURLE_COULDNT_RESOLVE_PROXY:
      case CURLE_COULDNT_CONNECT:
        fail(
            fmt::format("there is no connection ({}). Is this machine offline, or does it need a "
                        "proxy (https_proxy)?",
                        text));
      case CURLE_PEER_FAILED_VERIFICATION:
      case CURLE_SSL_CACERT_BADFILE:
      case CURLE_SSL_CONNECT_ERROR:
        fail(
            fmt::format("the server's certificate or TLS is not trusted ({}). Install "
                        "ca-certificates, or name your own with ca_file or $SSL_CERT_FILE",
                        text));
      default:
        fail(text);
    }
  }

  std::string url_;
  std::filesystem::path target_;
  const DownloadOptions& options_;
  PartialFile& file_;
  std::unique_ptr<curl_slist, Cleanup> headers_;
  std::unique_ptr<CURL, Cleanup> easy_;  // goes before what it points to
  std::array<char, CURL_ERROR_SIZE> message_{};
  std::exception_ptr exception_;
  std::optional<std::uint64_t> total_;

  // Of the present request.
  std::uint64_t offset_ = 0;
  std::size_t ignored_ = 0;
  bool begun_ = false;
  bool is_file_ = false;  // not the text of an error
  bool anew_ = false;
};

}  // namespace mnv3::hub::detail

// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/keys.hpp>
#include <mnv3/config/name.hpp>
#include <mnv3/config/published.hpp>
#include <mnv3/engine/fold.hpp>
#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/checkpoint_file.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/matching/load_plan.hpp>
#include <mnv3/weights/options.hpp>
#include <mnv3/weights/published_file.hpp>
#include <mnv3/weights/verify_hash.hpp>

namespace mnv3::engine {

/// The tensors that a network with these taps needs, as they are in a weights file.
class FileSource {
 public:
  /// Errors  As `plan_load`; WeightsError if `options` allows what would leave tensors without values.
  ///
  /// @param file   A path, bytes in memory, or published weights.
  /// @param holds  Whether a file whose hash is somebody's promise is held in memory; without it, ask
  ///               `check_unchanged` at the end.
  template <class Arch, class Taps, class File>
  static FileSource open(const File& file, const LoadOptions& options, bool holds) {
    check_options(options);  // first: a file may have to be downloaded
    if constexpr (std::convertible_to<const File&, std::span<const std::byte>>)
      return of<Arch, Taps>({CheckpointFile(file)}, options);
    else if constexpr (std::same_as<File, PublishedWeights>)
      return open<Arch, Taps>(weights::locate(file, definition_of<Arch>, options), options, holds);
    else
      return of<Arch, Taps>(weights::open_verified(file, options.verify_hash, holds), options);
  }

  /// What `tensor_source` asks for.
  template <class T>
  std::vector<T> values(const Name& name, Shape /*that was compared when it was opened*/) const {
    return weights::values_of<T>(file_.file, by_name_.at(std::string(name.view())));
  }

  /// After the last value was read.
  ///
  /// Errors  WeightsError if somebody wrote to the file meanwhile.
  void check_unchanged() const {
    if (file_.file.has_changed())
      throw WeightsError(weights::text("mnv3: ", file_.file.path().string(),
                                       " changed while it was read; load it again"));
  }

 private:
  /// Errors  WeightsError if `options` allows what would leave tensors without values.
  static void check_options(const LoadOptions& options) {
    if (options.allow_missing || options.allow_mismatched || options.adapt_classes)
      throw WeightsError(
          "mnv3: a network straight from a file takes no allow_missing, no allow_mismatched and no "
          "adapt_classes, since there is no network whose values could stay: leave them out, or, "
          "with LibTorch, load into a MobileNetV3 and deploy that");
  }

  template <class Arch, class Taps>
  static FileSource of(weights::VerifiedFile file, const LoadOptions& options) {
    weights::LoadTarget target{.net = definition_of<Arch>,
                               .own = definition_of<Arch>.settings.names};
    for (const Key& key : keys<Arch, Taps>)
      if (!key.is_integral)  // batch norm's counters, which nothing here reads
        target.tensors.emplace_back(
            key.name.view(), std::vector<std::int64_t>(key.shape().begin(), key.shape().end()));
    weights::LoadPlan plan = weights::plan_load(target, file, options);
    return FileSource(std::move(file), std::move(plan));
  }

  FileSource(weights::VerifiedFile file, weights::LoadPlan plan) : file_(std::move(file)) {
    for (weights::Transfer& transfer : plan.transfers) {
      std::string name = transfer.target;
      by_name_.emplace(std::move(name), std::move(transfer));
    }
  }

  weights::VerifiedFile file_;
  std::map<std::string, weights::Transfer> by_name_;
};

}  // namespace mnv3::engine

// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <ATen/Functions.h>
#include <torch/data/dataloader.h>
#include <torch/types.h>

#include <mnv3/config/input.hpp>
#include <mnv3/train/augment/normalize.hpp>
#include <mnv3/train/augment/random_erasing.hpp>
#include <mnv3/train/augment/random_stream.hpp>
#include <mnv3/train/data/batch.hpp>
#include <mnv3/train/data/epoch_sampler.hpp>
#include <mnv3/train/data/image_folder.hpp>
#include <mnv3/vision/image.hpp>
#include <mnv3/vision/image_file.hpp>

namespace mnv3::train {

/// What is done to a picture before it becomes floats. Several threads call it at once.
using PictureTransform = std::function<Image(Image, RandomStream&)>;

/// One after the other: `compose(RandomResizedCrop{}, RandomHorizontalFlip{}, RandAugment{})`.
template <class... Transforms>
PictureTransform compose(Transforms... transforms) {
  return [... transforms = std::move(transforms)](Image image, RandomStream& random) {
    (..., (image = transforms(std::move(image), random)));
    return image;
  };
}

/// What is done about a picture that is damaged, cut off, or none.
enum class OnUnreadable {
  error,  ///< Training ends with a message that names it.
  skip    ///< Its batch is one smaller; see `PictureLoader::unreadable`. Not for several ranks.
};

struct PictureLoaderOptions {
  Batching batching{};
  /// Threads that decode and augment. With none, `next` does it.
  int workers = 2;
  /// Batches that are asked for ahead of time, which bounds the memory; by default two a worker.
  int max_jobs = 0;
  OnUnreadable on_unreadable = OnUnreadable::error;
  bool apply_orientation = false;  ///< See `DecodeOptions`.
  std::array<double, 3> mean = imagenet_mean;
  std::array<double, 3> std = imagenet_std;
  std::optional<RandomErasing>
      erasing{};  ///< After the normalisation, as in torchvision's recipes.
  torch::MemoryFormat memory_format = torch::MemoryFormat::Contiguous;
};

/// Pictures that were skipped.
struct Unreadable {
  std::int64_t count = 0;          ///< Each one counts once, however many epochs met it.
  std::vector<std::string> first;  ///< What is wrong with the first few, by name.
};

namespace detail {

/// Where all threads note what they skip.
class UnreadableLog {
 public:
  void add(std::size_t index, const std::string& why) {
    const std::scoped_lock lock(mutex_);
    if (!seen_.insert(index).second) return;
    constexpr std::size_t most = 10;
    if (first_.size() < most) first_.push_back(why);
  }

  Unreadable read() const {
    const std::scoped_lock lock(mutex_);
    return {.count = static_cast<std::int64_t>(seen_.size()), .first = first_};
  }

 private:
  mutable std::mutex mutex_;
  std::set<std::size_t> seen_;
  std::vector<std::string> first_;
};

/// What LibTorch's data loader calls a dataset: turns indices into a batch, in any thread.
class PictureBatches {
 public:
  using BatchType = Batch;
  static constexpr bool is_stateful = false;

  struct Shared {
    ImageFolder set;
    PictureTransform transform;
    PictureLoaderOptions options;
    Normalize normalize;
    UnreadableLog unreadable{};
  };

  PictureBatches(std::shared_ptr<Shared> shared, std::int64_t epoch)
      : shared_(std::move(shared)), epoch_(epoch) {}

  /// Errors  As `PictureLoader::next`.
  Batch get_batch(const std::vector<std::size_t>& chosen) {
    const PictureLoaderOptions& options = shared_->options;
    const auto count = static_cast<std::int64_t>(chosen.size());
    Batch batch{.pictures = {},
                .labels = torch::empty({count}, torch::kLong),
                .indices = torch::empty({count}, torch::kLong)};
    std::int64_t done = 0;
    std::string last_problem;
    for (const std::size_t index : chosen) {
      std::optional<Image> image = read(index, last_problem);
      if (!image) continue;
      RandomStream random(options.batching.seed, epoch_, index);
      *image = shared_->transform(std::move(*image), random);
      if (!batch.pictures.defined())
        batch.pictures = torch::empty({count, 3, image->height, image->width},
                                      torch::TensorOptions(torch::kFloat), options.memory_format);
      const torch::Tensor place = batch.pictures[done];
      shared_->normalize(*image, place);
      if (options.erasing) (*options.erasing)(place, random);
      batch.labels.data_ptr<std::int64_t>()[done] = shared_->set.samples()[index].label;
      batch.indices.data_ptr<std::int64_t>()[done] = static_cast<std::int64_t>(index);
      ++done;
    }
    if (done == 0)
      throw std::runtime_error(fmt::format(
          "mnv3: none of the {} pictures of a batch can be read; the last one: {}. Remove them, or "
          "take larger batches",
          count, last_problem));
    return {.pictures = batch.pictures.narrow(0, 0, done),
            .labels = batch.labels.narrow(0, 0, done),
            .indices = batch.indices.narrow(0, 0, done)};
  }

 private:
  std::optional<Image> read(std::size_t index, std::string& problem) {
    const PictureLoaderOptions& options = shared_->options;
    try {
      return read_image(shared_->set.samples()[index].path,
                        {.apply_orientation = options.apply_orientation});
    } catch (const VisionError& error) {
      problem = error.what();
      if (options.on_unreadable == OnUnreadable::error)
        throw VisionError(problem +
                          " (to go on without such pictures, use mnv3::train::OnUnreadable::skip)");
      shared_->unreadable.add(index, problem);
      return std::nullopt;
    }
  }

  std::shared_ptr<Shared> shared_;
  std::int64_t epoch_;
};

}  // namespace detail

/// Batches of pictures in files; a `batch_source`. LibTorch's data loader has threads decode and
/// augment them, a bounded number of batches ahead.
///
/// The pixels of a sample are a function of seed, epoch and index, so neither the number of threads
/// and ranks nor where a run was resumed changes them. What is before `first_batch` is not decoded.
class PictureLoader {
 public:
  /// Errors  std::invalid_argument as `Batching::check`, or if a number of threads or jobs is below
  ///         0; c10::Error if a deviation is not above 0.
  PictureLoader(ImageFolder set, PictureTransform transform, PictureLoaderOptions options = {})
      : shared_(
            new detail::PictureBatches::Shared{.set = std::move(set),
                                               .transform = std::move(transform),
                                               .options = options,
                                               .normalize = Normalize(options.mean, options.std)}) {
    options.batching.check(size());
    if (options.erasing) options.erasing->check();
    if (options.on_unreadable == OnUnreadable::skip && options.batching.ranks > 1)
      throw std::invalid_argument(
          "mnv3: OnUnreadable::skip makes batches of unequal sizes, of which several ranks cannot "
          "take the mean; find the damaged pictures with one rank, and remove them");
    if (!shared_->transform)
      throw std::invalid_argument(
          "mnv3: PictureLoader needs a transform that gives all pictures one size, "
          "RandomResizedCrop for example");
    if (options.workers < 0 || options.max_jobs < 0)
      throw std::invalid_argument(fmt::format(
          "mnv3: there cannot be {} workers with {} jobs; 0 workers decode where next() is called, "
          "and 0 jobs are two a worker",
          options.workers, options.max_jobs));
  }

  const ImageFolder& set() const { return shared_->set; }
  std::int64_t size() const { return shared_->set.size(); }
  std::int64_t batches() const { return shared_->options.batching.batches(size()); }
  /// What a training that goes on must have again.
  std::int64_t batch_size() const { return shared_->options.batching.batch_size; }
  std::uint64_t seed() const { return shared_->options.batching.seed; }
  int rank() const { return shared_->options.batching.rank; }
  int ranks() const { return shared_->options.batching.ranks; }

  /// The threads begin at once.
  void start(std::int64_t epoch, std::int64_t first_batch = 0) {
    stop();
    const PictureLoaderOptions& options = shared_->options;
    EpochSampler sampler(size(), options.batching, epoch, first_batch);
    torch::data::DataLoaderOptions how;
    how.workers(static_cast<std::size_t>(options.workers));
    if (options.max_jobs > 0) how.max_jobs(static_cast<std::size_t>(options.max_jobs));
    loader_ = torch::data::make_data_loader(detail::PictureBatches(shared_, epoch),
                                            std::move(sampler), how);
    batch_ = loader_->begin();
    is_first_ = true;
  }

  /// Errors  std::logic_error before the first `start`, or after another error; VisionError if a
  ///         picture cannot be read and that is an error; std::runtime_error if no picture of a
  ///         batch can be read; what the transform throws.
  std::optional<Batch> next() {
    if (!loader_) throw std::logic_error("mnv3: call start(epoch, first_batch) before next()");
    try {
      if (!std::exchange(is_first_, false) && *batch_ != loader_->end()) ++*batch_;
      if (*batch_ == loader_->end()) return std::nullopt;
      return std::move(**batch_);
    } catch (const torch::data::WorkerException& error) {
      const std::exception_ptr original = error.original_exception;
      stop();  // what would come next has a gap
      std::rethrow_exception(original);
    } catch (...) {
      stop();
      throw;
    }
  }

  /// What was skipped so far.
  Unreadable unreadable() const { return shared_->unreadable.read(); }

 private:
  using Loader = torch::data::StatelessDataLoader<detail::PictureBatches, EpochSampler>;

  void stop() {
    batch_.reset();
    loader_.reset();  // waits for its threads
  }

  std::shared_ptr<detail::PictureBatches::Shared> shared_;
  std::unique_ptr<Loader> loader_;
  std::optional<torch::data::Iterator<Batch>> batch_;
  bool is_first_ = true;
};

static_assert(batch_source<PictureLoader>);

}  // namespace mnv3::train

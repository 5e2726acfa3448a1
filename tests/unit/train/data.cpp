// SPDX-License-Identifier: MIT
#include "doctest_torch.hpp"

#include <mnv3/train/augment/batch.hpp>
#include <mnv3/train/augment/random_resized_crop.hpp>
#include <mnv3/train/data/batch.hpp>
#include <mnv3/train/data/image_folder.hpp>
#include <mnv3/train/data/picture_loader.hpp>
#include <mnv3/train/data/tensor_loader.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <unistd.h>

#include <fmt/format.h>

#include <jpeglib.h>

namespace {

using namespace mnv3::train;
namespace fs = std::filesystem;

/// A folder that goes away with its test.
class Folder {
 public:
  Folder() {
    static int count = 0;
    path_ = fs::temp_directory_path() / fmt::format("mnv3_data_{}_{}", ::getpid(), count++);
    fs::create_directories(path_);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path operator/(const fs::path& inner) const { return path_ / inner; }
  const fs::path& path() const { return path_; }

  void write(const fs::path& name, std::string_view bytes) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << bytes;
  }

 private:
  fs::path path_;
};

/// A picture of one colour, which tells which one it is.
std::string ppm(int red, int green = 0, int side = 8) {
  std::string bytes = fmt::format("P6 {} {} 255\n", side, side);
  for (int i = 0; i < side * side; ++i) {
    bytes += static_cast<char>(red);
    bytes += static_cast<char>(green);
    bytes += static_cast<char>(i);
  }
  return bytes;
}

std::string jpeg_file(int side = 40) {
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &bytes, &size);
  jpeg.image_width = jpeg.image_height = static_cast<JDIMENSION>(side);
  jpeg.input_components = 3;
  jpeg.in_color_space = JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg_start_compress(&jpeg, TRUE);
  std::vector<unsigned char> row(static_cast<std::size_t>(3 * side));
  for (int y = 0; y < side; ++y) {
    for (std::size_t i = 0; i < row.size(); ++i)
      row[i] = static_cast<unsigned char>(i * i + 31 * static_cast<std::size_t>(y * y));
    JSAMPROW rows = row.data();
    jpeg_write_scanlines(&jpeg, &rows, 1);
  }
  jpeg_finish_compress(&jpeg);
  std::string written(reinterpret_cast<char*>(bytes), size);
  jpeg_destroy_compress(&jpeg);
  std::free(bytes);
  return written;
}

/// `per_class` pictures in each of `classes` folders; the red of each is its index.
void fill(const Folder& folder, int classes, int per_class) {
  int index = 0;
  for (int label = 0; label < classes; ++label)
    for (int i = 0; i < per_class; ++i)
      folder.write(fmt::format("class{}/{:03}.ppm", label, i), ppm(index++, 10 * label));
}

template <class Function>
std::string message_of(Function&& function) {
  try {
    function();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing was thrown";
}

bool has(const std::string& text, std::string_view part) {
  INFO(text);
  const bool found = text.find(part) != std::string::npos;
  CHECK_MESSAGE(found, part);
  return found;
}

std::vector<std::int64_t> values(const torch::Tensor& x) {
  const torch::Tensor flat = x.to(torch::kLong).contiguous().flatten();
  return {flat.data_ptr<std::int64_t>(), flat.data_ptr<std::int64_t>() + flat.numel()};
}

template <class Source>
std::vector<Batch> epoch_of(Source& source, std::int64_t epoch, std::int64_t first = 0) {
  source.start(epoch, first);
  std::vector<Batch> batches;
  while (std::optional<Batch> batch = source.next()) batches.push_back(*batch);
  CHECK_FALSE(source.next());  // and it stays at its end
  return batches;
}

bool same(const std::vector<Batch>& a, const std::vector<Batch>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!a[i].pictures.equal(b[i].pictures) || !a[i].labels.equal(b[i].labels) ||
        !a[i].indices.equal(b[i].indices))
      return false;
  return true;
}

PictureTransform augmenting() {
  return compose(RandomResizedCrop{.size = 6}, RandomHorizontalFlip{});
}

// ------------------------------------------------------------------------ folders --

TEST_CASE("a folder of pictures is read as torchvision reads it") {
  const Folder folder;
  for (const char* name : {"b/2.png", "b/10.JPG", "a/x/1.jpeg", "a/x.ppm", "a/x-y/0.pgm",
                           "a/x/deep/er/9.PNM", "B/upper.png"})
    folder.write(name, "");
  for (const char* name : {"b/notes.txt", "b/.hidden.png", "b/._2.png", ".cache/1.png",
                           "a/.thumbs/1.png", "readme.png"})
    folder.write(name, "");
  fs::create_directory_symlink(folder / "a", folder / "a/x/loop");
  const ImageFolder set(folder.path());
  CHECK(set.classes() == std::vector<std::string>{"B", "a", "b"});
  std::vector<std::string> found;
  for (const PictureSample& sample : set.samples())
    found.push_back(fmt::format("{} {}", sample.label,
                                fs::relative(sample.path, folder.path()).generic_string()));
  // As torchvision.datasets.ImageFolder sorts: folders as texts, then the names in each.
  CHECK(found == std::vector<std::string>{"0 B/upper.png", "1 a/x.ppm", "1 a/x/1.jpeg",
                                          "1 a/x-y/0.pgm", "1 a/x/deep/er/9.PNM", "2 b/10.JPG",
                                          "2 b/2.png"});
  CHECK(values(set.labels()) == std::vector<std::int64_t>{0, 1, 1, 1, 1, 2, 2});
  CHECK(values(set.class_counts()) == std::vector<std::int64_t>{1, 4, 2});
  const torch::Tensor weights = set.class_weights();
  CHECK(weights.mean().item<double>() == doctest::Approx(1));
  CHECK(weights[0].item<double>() == doctest::Approx(4 * weights[1].item<double>()));
  CHECK(weights[0].item<double>() == doctest::Approx(2 * weights[2].item<double>()));
}

TEST_CASE("what is no folder of pictures is refused with what was found") {
  const Folder folder;
  const auto refusal = [&] { return message_of([&] { ImageFolder{folder.path()}; }); };
  has(message_of([&] { ImageFolder{folder / "none"}; }), "there is no such folder");
  has(refusal(), "it is empty");
  folder.write("1.png", "");
  has(message_of([&] { ImageFolder{folder / "1.png"}; }), "it is a file");
  has(refusal(), "it has 1 files, '1.png' for example, but no folders");
  folder.write("cat/1.png", "");
  has(refusal(), "it has one folder only, 'cat'");
  fs::create_directory(folder / "dog");
  has(refusal(),
      (folder / "dog").string() + " is no folder of pictures: this class has no pictures");
  folder.write("dog/1.gif", "");
  has(refusal(), "this class has 1 files, '1.gif' for example, but none whose name ends in .png");
  folder.write("dog/1.jpg", "");
  CHECK(ImageFolder(folder.path()).size() == 2);
}

TEST_CASE("labels out of range are refused") {
  const auto set = [](std::int64_t label) {
    ImageFolder({"a", "b"}, {{"x.png", 0}, {"y.png", label}});
  };
  CHECK_NOTHROW(set(1));
  has(message_of([&] { set(2); }),
      "y.png has the label 2, but with 2 classes labels are from 0 to 1");
  has(message_of([&] { set(-1); }), "y.png has the label -1");
  has(message_of([&] { ImageFolder({"a"}, {{"x.png", 0}}); }), "at least two");
  has(message_of([&] { ImageFolder({"a", "b"}, {}); }), "no pictures");
  const torch::Tensor labels = torch::tensor({0, 3, 1}, torch::kLong);
  has(message_of([&] { class_counts(labels, 3); }), "labels go from 0 to 3");
  has(message_of([&] { class_weights(class_counts(labels, 5)); }), "a class without pictures");
  const torch::Tensor pictures = torch::zeros({3, 1, 2, 2});
  CHECK_NOTHROW(TensorLoader(pictures, labels, {}, 4));
  has(message_of([&] { TensorLoader(pictures, labels, {}, 3); }), "labels go from 0 to 3");
  has(message_of([&] { TensorLoader(pictures, labels - 1); }), "labels go from -1");
  has(message_of([&] { TensorLoader(pictures, labels.to(torch::kInt)); }), "int64");
  has(message_of([&] { TensorLoader(pictures.narrow(0, 0, 2), labels); }), "[2, 1, 2, 2]");
}

TEST_CASE("a split is stratified, complete, and a function of the seed alone") {
  std::vector<PictureSample> samples;
  for (int label = 0; label < 3; ++label)
    for (int i = 0; i < (label == 2 ? 2 : 50); ++i)
      samples.push_back({fmt::format("{}/{:02}.png", label, i), label});
  const ImageFolder set({"a", "b", "c"}, samples);
  const auto [training, validation] = set.split(0.2, 7);
  CHECK(values(training.class_counts()) == std::vector<std::int64_t>{40, 40, 1});
  CHECK(values(validation.class_counts()) == std::vector<std::int64_t>{10, 10, 1});
  std::vector<PictureSample> together = training.samples();
  together.insert(together.end(), validation.samples().begin(), validation.samples().end());
  std::ranges::sort(together, {}, &PictureSample::path);
  CHECK((together == samples));
  CHECK((set.split(0.2, 7).validation.samples() == validation.samples()));
  CHECK((set.split(0.2, 8).validation.samples() != validation.samples()));
  has(message_of([&] { set.split(0); }), "must be above 0 and below 1");
  has(message_of([&] { set.split(1); }), "must be above 0 and below 1");
  has(message_of([&] {
        ImageFolder({"a", "b"}, {{"x", 0}, {"y", 1}}).split(0.5);
      }),
      "no class has two pictures");
}

// ------------------------------------------------------------------------- epochs --

std::vector<std::vector<std::int64_t>> batches_of(std::int64_t size, const Batching& batching,
                                                  std::int64_t epoch, std::int64_t first = 0) {
  EpochSampler sampler(size, batching, epoch, first);
  std::vector<std::vector<std::int64_t>> batches;
  while (const auto batch = sampler.next()) batches.emplace_back(batch->begin(), batch->end());
  return batches;
}

TEST_CASE("an epoch is a permutation, another one for each epoch and seed") {
  auto order = epoch_order(1000, 3, 5);
  CHECK(order == epoch_order(1000, 3, 5));
  CHECK(order != epoch_order(1000, 3, 6));
  CHECK(order != epoch_order(1000, 4, 5));
  CHECK_FALSE(std::ranges::is_sorted(order));
  std::ranges::sort(order);
  CHECK(order == epoch_order(1000, 0, 0, false));
  // Every place is as likely for every sample.
  std::map<std::int64_t, int> firsts;
  for (std::int64_t epoch = 0; epoch < 6000; ++epoch) ++firsts[epoch_order(6, 1, epoch)[0]];
  for (std::int64_t i = 0; i < 6; ++i) CHECK(std::abs(firsts[i] - 1000) < 150);
}

TEST_CASE("ranks share each batch of the whole") {
  for (const int ranks : {2, 3, 4})
    for (const bool drop_last : {false, true}) {
      const auto whole =
          batches_of(103, {.batch_size = 4 * ranks, .drop_last = drop_last, .seed = 1}, 2);
      std::vector<std::set<std::int64_t>> together(whole.size());
      std::set<std::size_t> counts, last_sizes;
      for (int rank = 0; rank < ranks; ++rank) {
        const auto own = batches_of(
            103, {.batch_size = 4, .drop_last = drop_last, .seed = 1, .rank = rank, .ranks = ranks},
            2);
        counts.insert(own.size());
        last_sizes.insert(own.back().size());
        REQUIRE(own.size() == whole.size());
        for (std::size_t b = 0; b < own.size(); ++b)
          together[b].insert(own[b].begin(), own[b].end());
      }
      CHECK(counts.size() == 1);
      CHECK(last_sizes.size() == 1);
      for (std::size_t b = 0; b < whole.size(); ++b) {
        std::set<std::int64_t> expected(whole[b].begin(), whole[b].end());
        if (b + 1 < whole.size() || drop_last)
          CHECK(together[b] == expected);
        else  // and those from the beginning that make it even
          CHECK(std::ranges::includes(together[b], expected));
      }
    }
}

TEST_CASE("for evaluation each sample is counted once, on however many ranks") {
  for (const int ranks : {1, 3, 4}) {
    std::multiset<std::size_t> seen;
    for (int rank = 0; rank < ranks; ++rank) {
      const Batching batching{
          .batch_size = 2, .shuffle = false, .rank = rank, .ranks = ranks, .even = false};
      EpochSampler sampler(10, batching, 0);
      std::int64_t count = 0;
      while (const auto batch = sampler.next()) {
        CHECK_FALSE(batch->empty());
        seen.insert(batch->begin(), batch->end());
        ++count;
      }
      CHECK(count == batching.batches(10));
    }
    CHECK(seen.size() == 10);
    CHECK(std::set(seen.begin(), seen.end()).size() == 10);
  }
}

TEST_CASE("an epoch goes on at any batch") {
  const Batching batching{.batch_size = 7, .seed = 9};
  const auto all = batches_of(50, batching, 3);
  REQUIRE(all.size() == 8);
  CHECK(all.back().size() == 1);
  for (std::int64_t first = 0; first <= 8; ++first)
    CHECK(batches_of(50, batching, 3, first) == decltype(all)(all.begin() + first, all.end()));
  CHECK(batches_of(50, {.batch_size = 7, .drop_last = true}, 0).size() == 7);
  CHECK(batches_of(5, {.batch_size = 7}, 0).size() == 1);
  has(message_of([] { batches_of(5, {.batch_size = 7, .drop_last = true}, 0); }),
      "a batch of 7 (7 on each of 1 ranks) is larger than the set of 5");
  has(message_of([&] { batches_of(50, batching, 3, 9); }), "of 8 batches cannot go on at batch 9");
  has(message_of([] { batches_of(5, {.batch_size = 0}, 0); }), "the batch size is 0");
  has(message_of([] { batches_of(5, {.rank = 2, .ranks = 2}, 0); }), "rank 2 of 2");
  has(message_of([] { batches_of(0, {}, 0); }), "the set is empty");
}

// ------------------------------------------------------------------------ loaders --

TEST_CASE("pictures are the same whatever the number of threads, and wherever it goes on") {
  const Folder folder;
  fill(folder, 3, 7);
  const auto loader = [&](int workers, int max_jobs = 0) {
    return PictureLoader(ImageFolder(folder.path()), augmenting(),
                         {.batching = {.batch_size = 4, .seed = 5},
                          .workers = workers,
                          .max_jobs = max_jobs,
                          .erasing = RandomErasing{}});
  };
  PictureLoader none = loader(0), many = loader(5), bounded = loader(3, 1);
  const std::vector<Batch> first = epoch_of(none, 0), second = epoch_of(none, 1);
  REQUIRE(first.size() == 6);
  CHECK(none.batches() == 6);
  CHECK(first[0].pictures.sizes() == at::IntArrayRef{4, 3, 6, 6});
  CHECK(first[5].size() == 1);
  CHECK_FALSE(same(first, second));
  CHECK(same(first, epoch_of(many, 0)));
  CHECK(same(second, epoch_of(many, 1)));
  CHECK(same(second, epoch_of(bounded, 1)));
  CHECK(same({second.begin() + 4, second.end()}, epoch_of(many, 1, 4)));
  many.start(0);  // and left after one batch
  CHECK(many.next()->pictures.equal(first[0].pictures));
  CHECK(same(second, epoch_of(many, 1)));

  // Each epoch draws anew, even where the order stays.
  PictureLoader ordered(ImageFolder(folder.path()), augmenting(),
                        {.batching = {.batch_size = 21, .shuffle = false}});
  const Batch once = epoch_of(ordered, 0).front(), again = epoch_of(ordered, 1).front();
  CHECK(once.indices.equal(torch::arange(21)));
  CHECK(again.indices.equal(once.indices));
  CHECK_FALSE(again.pictures.equal(once.pictures));

  std::set<std::int64_t> seen;
  for (const Batch& batch : first)
    for (std::int64_t i = 0; i < batch.size(); ++i) {
      const auto index = batch.indices[i].item<std::int64_t>();
      seen.insert(index);
      CHECK(batch.labels[i].item<std::int64_t>() == index / 7);
    }
  CHECK(seen.size() == 21);
}

TEST_CASE("the right picture is at each index, in either layout") {
  const Folder folder;
  fill(folder, 2, 5);
  for (const auto format : {torch::MemoryFormat::Contiguous, torch::MemoryFormat::ChannelsLast}) {
    PictureLoader loader(ImageFolder(folder.path()),
                         [](mnv3::Image image, RandomStream&) { return image; },
                         {.batching = {.batch_size = 3},
                          .mean = {0, 0, 0},
                          .std = {1, 1, 1},
                          .memory_format = format});
    for (const Batch& batch : epoch_of(loader, 0)) {
      CHECK(batch.pictures.is_contiguous(format));
      const torch::Tensor bytes = batch.pictures.mul(255).round();
      for (std::int64_t i = 0; i < batch.size(); ++i) {
        CHECK(bytes[i][0].eq(batch.indices[i]).all().item<bool>());
        CHECK(bytes[i][1].eq(10 * batch.labels[i]).all().item<bool>());
        CHECK(bytes[i][2].flatten().equal(torch::arange(64, torch::kFloat)));
      }
    }
  }
}

TEST_CASE("unreadable pictures end an epoch or are skipped, by choice") {
  const Folder folder;
  fill(folder, 2, 20);
  const std::string jpeg = jpeg_file();
  folder.write("class0/003.ppm", jpeg.substr(0, jpeg.size() / 2));
  folder.write("class0/004.ppm", "\x89PNG\r\n\x1a\n and no more");
  folder.write("class1/005.ppm", "<!doctype html><html>404</html>");
  folder.write("class1/006.ppm", jpeg);  // whatever its name is
  const auto loader = [&](OnUnreadable what, int workers, std::int64_t batch_size = 8) {
    return PictureLoader(ImageFolder(folder.path()), augmenting(),
                         {.batching = {.batch_size = batch_size, .seed = 2},
                          .workers = workers,
                          .on_unreadable = what});
  };
  for (const int workers : {0, 3}) {
    CAPTURE(workers);
    PictureLoader skipping = loader(OnUnreadable::skip, workers);
    std::set<std::int64_t> seen;
    for (int epoch = 0; epoch < 2; ++epoch) {
      const auto batches = epoch_of(skipping, epoch);
      CHECK(batches.size() == 5);
      std::int64_t count = 0;
      for (const Batch& batch : batches) {
        count += batch.size();
        CHECK(batch.pictures.size(0) == batch.size());
        CHECK(batch.indices.size(0) == batch.size());
        for (const std::int64_t index : values(batch.indices)) seen.insert(index);
      }
      CHECK(count == 37);  // no other one is lost
    }
    CHECK(seen.size() == 37);
    CHECK_FALSE(seen.contains(3));
    const Unreadable unreadable = skipping.unreadable();
    CHECK(unreadable.count == 3);
    REQUIRE(unreadable.first.size() == 3);
    std::string all;
    for (const std::string& line : unreadable.first) all += line + "\n";
    has(all, (folder / "class0/003.ppm").string() + ": ");
    has(all, "it is a web page (HTML)");

    PictureLoader strict = loader(OnUnreadable::error, workers);
    const std::string error = message_of([&] { epoch_of(strict, 0); });
    has(error, "mnv3: cannot read " + folder.path().string());
    has(error, "OnUnreadable::skip");
    CHECK(error.find("DataLoader") == std::string::npos);   // the text itself, not LibTorch's of it
    has(message_of([&] { strict.next(); }), "call start");  // no batch after a gap

    PictureLoader single = loader(OnUnreadable::skip, workers, 1);
    has(message_of([&] { epoch_of(single, 0); }), "none of the 1 pictures of a batch can be read");
  }
}

TEST_CASE("what a transform throws reaches the caller, and is not skipped") {
  const Folder folder;
  fill(folder, 2, 4);
  PictureLoader loader(ImageFolder(folder.path()),
                       [](mnv3::Image image, RandomStream&) {
                         return mnv3::train::crop(image, {.left = 5, .width = 9, .height = 1});
                       },
                       {.on_unreadable = OnUnreadable::skip});
  has(message_of([&] { epoch_of(loader, 0); }), "cannot be cut out of a picture of 8 x 8");
  CHECK(loader.unreadable().count == 0);

  folder.write("class0/large.ppm", ppm(1, 1, 9));
  PictureLoader mixed(ImageFolder(folder.path()),
                      [](mnv3::Image image, RandomStream&) { return image; });
  has(message_of([&] { epoch_of(mixed, 0); }), "all pictures of a batch must have one size");
}

TEST_CASE("loaders refuse what cannot be") {
  const Folder folder;
  fill(folder, 2, 2);
  const ImageFolder set(folder.path());
  has(message_of([&] { PictureLoader(set, {}); }), "needs a transform");
  has(message_of([&] { PictureLoader(set, augmenting(), {.workers = -1}); }), "-1 workers");
  has(message_of([&] { PictureLoader(set, augmenting(), {.std = {1, 0, 1}}); }), "must be above 0");
  has(message_of([&] {
        PictureLoader(set, augmenting(), {.batching = {.batch_size = 8, .drop_last = true}});
      }),
      "is larger than the set of 4");
  PictureLoader loader(set, augmenting(), {.batching = {.batch_size = 8}});
  has(message_of([&] { loader.next(); }), "call start");
  CHECK(epoch_of(loader, 0).front().size() == 4);
  TensorLoader tensors(torch::zeros({4, 1}), torch::zeros({4}, torch::kLong));
  has(message_of([&] { tensors.next(); }), "call start");
}

TEST_CASE("a set in memory is trained on in the same order, with transforms that ranks agree on") {
  const torch::Tensor labels = torch::arange(40);
  const torch::Tensor pictures =
      (torch::arange(40 * 6 * 6) % 251).to(torch::kByte).view({40, 1, 6, 6});
  const auto augment = [](Batch& batch, RandomStream& random) {
    random_horizontal_flip(batch, random);
    random_crop(batch, random, 2);
  };
  const auto loader = [&](std::int64_t size, int rank, int ranks, bool augmented = true) {
    TensorLoaderOptions options{
        .batching = {.batch_size = size, .seed = 4, .rank = rank, .ranks = ranks}};
    if (augmented) options.transform = augment;
    return TensorLoader(pictures, labels, options, 40);
  };
  TensorLoader one = loader(8, 0, 1);
  const auto whole = epoch_of(one, 3);
  REQUIRE(whole.size() == 5);
  CHECK((whole[0].pictures.scalar_type() == torch::kFloat));
  CHECK(whole[0].pictures.max().item<double>() <= 1);
  CHECK(same({whole.begin() + 2, whole.end()}, epoch_of(one, 3, 2)));
  CHECK_FALSE(same(whole, epoch_of(one, 4)));

  TensorLoader ordered(
      pictures, labels,
      {.batching = {.batch_size = 40, .shuffle = false, .seed = 4}, .transform = augment});
  CHECK_FALSE(epoch_of(ordered, 0).front().pictures.equal(epoch_of(ordered, 1).front().pictures));

  std::map<std::int64_t, torch::Tensor> by_index;
  for (const Batch& batch : whole)
    for (std::int64_t i = 0; i < batch.size(); ++i)
      by_index[batch.indices[i].item<std::int64_t>()] = batch.pictures[i];
  CHECK(by_index.size() == 40);
  for (const int rank : {0, 1}) {
    TensorLoader part = loader(4, rank, 2);
    for (const Batch& batch : epoch_of(part, 3))
      for (std::int64_t i = 0; i < batch.size(); ++i)
        CHECK(batch.pictures[i].equal(by_index[batch.indices[i].item<std::int64_t>()]));
  }

  TensorLoader plain = loader(40, 0, 1, false);
  const Batch all = epoch_of(plain, 0).front();
  CHECK(all.pictures.equal(pictures.index_select(0, all.indices).to(torch::kFloat) / 255));
  CHECK(all.labels.equal(labels.index_select(0, all.indices)));
}

TEST_CASE("batches in memory are mirrored and shifted") {
  const torch::Tensor pictures = torch::rand({200, 2, 5, 7});
  const Batch given{.pictures = pictures,
                    .labels = torch::zeros({200}, torch::kLong),
                    .indices = torch::arange(200)};
  Batch flipped = given;
  random_horizontal_flip(flipped, RandomStream(1));
  int mirrored = 0;
  for (std::int64_t i = 0; i < 200; ++i) {
    const bool is_mirrored = flipped.pictures[i].equal(pictures[i].flip(2));
    mirrored += is_mirrored ? 1 : 0;
    CHECK((is_mirrored || flipped.pictures[i].equal(pictures[i])));
  }
  CHECK(std::abs(mirrored - 100) < 35);

  Batch cropped = given;
  random_crop(cropped, RandomStream(1), 1);
  const torch::Tensor padded = torch::constant_pad_nd(pictures, {1, 1, 1, 1});
  std::map<int, int> shifts;
  for (std::int64_t i = 0; i < 200; ++i)
    for (int at = 0; at < 9; ++at)
      if (cropped.pictures[i].equal(padded[i].narrow(1, at / 3, 5).narrow(2, at % 3, 7)))
        ++shifts[at];
  CHECK(shifts.size() == 9);
  int found = 0;
  for (const auto& [at, count] : shifts) found += count;
  CHECK(found == 200);
  CHECK(given.pictures.equal(pictures));
  has(message_of([&] { random_crop(cropped, RandomStream(1), -1); }), "a padding from 0 on");
  has(message_of([&] { random_horizontal_flip(cropped, RandomStream(1), 2); }), "a probability");
}

}  // namespace

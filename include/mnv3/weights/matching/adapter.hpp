// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mnv3/config/keys.hpp>
#include <mnv3/weights/formats/tensor_entry.hpp>

namespace mnv3::weights {

/// Which tensors depend on what people change about a network that is otherwise the file's: the
/// number of input channels and of classes.
class Adapter {
 public:
  using Shape = std::vector<std::int64_t>;

  explicit Adapter(const Definition& net) {
    for_each_key(net, [&](const Key& key) {
      if (stem_.empty()) stem_ = key.name.view();
      last_weight_ = std::exchange(last_bias_, key.name.view());
    });
  }

  /// A stem for RGB in the file, one for something else in the network.
  bool can_adapt_channels(std::string_view name, const Shape& in_file, const Shape& here) const {
    return name == stem_ && in_file.size() == 4 && here.size() == 4 && in_file[1] == 3 &&
           in_file[0] == here[0] && in_file[2] == here[2] && in_file[3] == here[3];
  }

  /// The last Linear, with the same input and another number of outputs.
  bool is_for_other_classes(std::string_view name, const Shape& in_file, const Shape& here) const {
    return is_last(name) && !here.empty() && in_file.size() == here.size() &&
           in_file[0] != here[0] &&
           std::equal(in_file.begin() + 1, in_file.end(), here.begin() + 1);
  }

  /// Whether that is a tensor of the last Linear.
  bool is_last(std::string_view name) const { return name == last_weight_ || name == last_bias_; }

  /// Leaves out the first `offset` rows, if the rest is what there should be.
  static bool shift_labels(TensorEntry& entry, const Shape& here, std::int64_t offset) {
    Shape shifted = entry.shape;
    if (offset < 0 || shifted.empty() || offset > shifted[0]) return false;
    shifted[0] -= offset;
    if (shifted != here) return false;
    entry.shape = shifted;
    entry.offset += offset * entry.strides[0];
    return true;
  }

  /// What could be done about a shape that differs.
  std::string suggest(std::string_view name, const Shape& in_file, const Shape& here) const {
    if (can_adapt_channels(name, in_file, here))
      return "\n  {.adapt_input_channels = true} would make the stem out of the file's";
    if (name == last_weight_ && is_for_other_classes(name, in_file, here))
      return "\n  {.adapt_classes = true} would keep the network's own last layer" +
             std::string(in_file[0] == here[0] + 1
                             ? ", {.label_offset = 1} take the file's without its first class"
                             : "");
    return {};
  }

 private:
  std::string stem_, last_weight_, last_bias_;
};

}  // namespace mnv3::weights

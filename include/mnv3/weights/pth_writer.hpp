// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <caffe2/serialize/inline_container.h>
#include <fmt/format.h>
#include <torch/types.h>

#include <mnv3/weights/atomic_file.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/name_file.hpp>
#include <mnv3/weights/pickle_writer.hpp>
#include <mnv3/weights/tensor_entry.hpp>

namespace mnv3 {

namespace detail {

/// The pickle of a state dict in which the i-th tensor has the i-th storage.
inline std::string pickle_state_dict(
    const std::vector<std::pair<std::string, torch::Tensor>>& tensors) {
  pickle::StateDictWriter writer;
  std::unordered_set<std::string_view> names;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::string& name = tensors[i].first;  // no structured binding: clang 14 cannot capture one
    const torch::Tensor& tensor = tensors[i].second;
    const auto fail = [&](std::string_view what) {
      throw WeightsError(fmt::format("tensor '{}' {}", name, what));
    };
    if (!names.insert(name).second) fail("is given twice");
    if (!tensor.defined()) fail("is undefined");
    if (tensor.layout() != at::kStrided || tensor.is_quantized()) fail("is not dense");
    if (tensor.is_meta()) fail("has no values: it is on the meta device");
    const PthDtype* const dtype = pth_dtype_of(tensor.scalar_type());
    if (dtype == nullptr)
      fail(fmt::format("is of a dtype that is not supported ({})",
                       c10::toString(tensor.scalar_type())));

    std::vector<std::int64_t> strides(tensor.sizes().size());
    std::int64_t stride = 1;
    for (std::size_t d = strides.size(); d-- > 0;) {
      strides[d] = stride;
      stride *= std::max<std::int64_t>(tensor.sizes()[d], 1);
    }
    writer.tensor(name, dtype->storage, std::to_string(i), tensor.sizes(), strides, tensor.numel());
  }
  return std::move(writer).finish();
}

}  // namespace detail

/// Writes a state dict, in that order, as `torch.save` does: Python's `torch.load` gives an
/// OrderedDict that `load_state_dict(strict=True)` takes.
///
/// The tensors may be on any device and have any strides; they are written dense, each with a
/// storage of its own. The file appears when it is complete; until then, and if this throws, a file
/// that was there before is unchanged.
///
/// Errors  WeightsError, which names the file and the tensor or the system's reason.
inline void write_pth(const std::filesystem::path& path,
                      const std::vector<std::pair<std::string, torch::Tensor>>& tensors) {
  detail::name_file_in_errors("write", path, [&] {
    const std::string pickle = detail::pickle_state_dict(tensors);
    detail::AtomicFile file(path);
    // The sink reports no failure: LibTorch 1.13.1's writer would end the program, throwing once
    // more from its destructor.
    caffe2::serialize::PyTorchStreamWriter zip([&file](const void* bytes, std::size_t size) {
      file.write(bytes, size);
      return size;
    });
    zip.writeRecord("data.pkl", pickle.data(), pickle.size());
    const std::string_view byteorder = "little";
    zip.writeRecord("byteorder", byteorder.data(), byteorder.size());
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const torch::Tensor dense =
          tensors[i].second.detach().to(at::kCPU).resolve_neg().contiguous();
      zip.writeRecord("data/" + std::to_string(i), dense.data_ptr(), dense.nbytes());
      file.check();
    }
    zip.writeEndOfFile();
    file.commit();
  });
}

}  // namespace mnv3

// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <caffe2/serialize/inline_container.h>
#include <torch/types.h>

#include <mnv3/weights/bytes/atomic_file.hpp>
#include <mnv3/weights/formats/pickle_writer.hpp>
#include <mnv3/weights/formats/tensor_entry.hpp>
#include <mnv3/weights/state_dict.hpp>
#include <mnv3/weights/tensors/torch_dtype.hpp>
#include <mnv3/weights/tensors/torch_errors.hpp>
#include <mnv3/weights/tensors/writable.hpp>

namespace mnv3 {

namespace weights {

/// The pickle of a state dict in which the i-th tensor has the i-th storage.
inline std::string pickle_state_dict(const NamedTensors& tensors) {
  pickle::StateDictWriter writer;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, tensor] = tensors[i];
    const std::vector<std::int64_t> shape = tensor.sizes().vec();
    writer.tensor(name, row_of(tensor.scalar_type())->storage, std::to_string(i), shape,
                  dense_strides(shape), tensor.numel());
  }
  return std::move(writer).finish();
}

}  // namespace weights

/// Writes a state dict, in that order, as `torch.save` does: Python's `torch.load` gives an
/// OrderedDict that `load_state_dict(strict=True)` takes.
///
/// The tensors may be on any device and have any strides; they are written dense, each with a
/// storage of its own. The file appears when it is complete; until then, and if this throws, a file
/// that was there before is unchanged.
///
/// Errors  WeightsError, which names the file and the tensor or the system's reason.
inline void write_pth(const std::filesystem::path& path, const NamedTensors& tensors) {
  weights::name_file_in_torch_errors("write", path, [&] {
    weights::check_writable(tensors);
    const std::string pickle = weights::pickle_state_dict(tensors);
    weights::AtomicFile file(path);
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
      const torch::Tensor dense = weights::dense_on_cpu(tensors[i].second);
      zip.writeRecord("data/" + std::to_string(i), dense.data_ptr(), dense.nbytes());
      file.check();
    }
    zip.writeEndOfFile();
    file.commit();
  });
}

}  // namespace mnv3

// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <optional>

#include <mnv3/engine/arena.hpp>
#include <mnv3/engine/fold.hpp>
#include <mnv3/engine/kernels/packed.hpp>

namespace mnv3::engine {

/// All weights of a network as its kernels read them. Layer by layer: beside the result no more is
/// held at a time than one layer of `source`.
///
/// Errors  Those of `source`.
template <class Layout, tensor_source Source>
AlignedFloats pack_network(const Source& source) {
  AlignedFloats weights(Layout::places.size);
  std::optional<FoldedLayer<float>> folded;
  std::int64_t next = 0;
  for_each_matrix(Layout::net, Layout::taps, [&](const LayerMatrix& matrix) {
    const MatrixPlace place = place_at<typename Layout::Stored>(next, matrix);
    next = place.end();
    if (!folded || !is_same(matrix.layer, folded->layer)) {
      folded.reset();  // first: never both
      folded.emplace(fold_layer<float>(Layout::net, matrix.layer, source));
    }
    pack(place, matrix.part == 0 ? folded->product : folded->excite,
         {weights.data(), static_cast<std::size_t>(Layout::places.size)});
  });
  return weights;
}

}  // namespace mnv3::engine

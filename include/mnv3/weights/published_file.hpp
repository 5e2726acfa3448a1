// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <vector>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/published.hpp>
#include <mnv3/config/rules.hpp>
#include <mnv3/hub/locate.hpp>
#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/options.hpp>

namespace mnv3::weights {

/// Refuses published weights that would give other numbers in `net` than in the network that they
/// were trained in. Its head, its dilations and the strides that go with them may be others: that is
/// how decoders and detectors begin with them.
///
/// Errors  WeightsError with the rule that `WeightsOf` breaks.
inline void check_published(const Definition& net, const PublishedWeights& published) {
  const Definition& theirs = *published.network;
  std::vector<InvertedResidualConfig> rows(theirs.blocks.begin(), theirs.blocks.end());
  for (std::size_t i = 0; i < std::min(rows.size(), net.blocks.size()); ++i) {
    rows[i].stride = net.blocks[i].stride;
    rows[i].dilation = net.blocks[i].dilation;
  }
  Settings settings = theirs.settings;
  settings.last_channel = net.settings.last_channel;
  settings.closing_layers = net.settings.closing_layers;
  settings.closing_channels = net.settings.closing_channels;
  settings.hidden_layer = net.settings.hidden_layer;
  settings.hidden_bias = net.settings.hidden_bias;
  settings.pooling = net.settings.pooling;
  const Verdict verdict = check_checkpoint(net, {rows, settings});
  if (!verdict.ok())
    throw WeightsError(text(
        "mnv3: ", published.name,
        " would give other numbers in this network, unless allow_other_family is set. ",
        sentence_of(verdict.rule), " (got ", verdict.got, ", expected ", verdict.expected, ')'));
}

/// The file of published weights, if they are for `net`.
inline std::filesystem::path locate(const PublishedWeights& published, const Definition& net,
                                    const LoadOptions& options) {
  if (!options.allow_other_family) check_published(net, published);
  return hub::locate(published);
}

}  // namespace mnv3::weights

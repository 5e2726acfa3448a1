// SPDX-License-Identifier: MIT
// What a loader includes: that it downloads is the target's doing.
#include <mnv3/hub/locate.hpp>

#include <cstdlib>
#include <string_view>

int main() {
  ::setenv("TORCH_HOME", "torch_home", 1);
  mnv3::PublishedWeights weights = mnv3::torchvision_weights[2];
  weights.url = "http://127.0.0.1:1/models/mobilenet_v3_small-047dcff4.pth";  // nobody is there
  try {
    mnv3::hub::locate(weights);
  } catch (const mnv3::WeightsError& error) {
    return std::string_view(error.what()).find("there is no connection") != std::string_view::npos
               ? 0
               : 1;
  }
  return 2;
}

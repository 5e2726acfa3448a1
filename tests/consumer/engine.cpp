// SPDX-License-Identifier: MIT
// A project that runs networks without LibTorch.
#include <mnv3/engine.hpp>
#include <mnv3/pictures.hpp>

#include <cstdio>

struct TinyArch {
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>({
      {8, 3, 8, 8, true, mnv3::Activation::RE, 1},
  });
};
using Tiny = mnv3::Engine<TinyArch, mnv3::taps<mnv3::after<1>>>;
static_assert(Tiny::channels == std::array{8});

int main() {
  const mnv3::Image image = mnv3::make_image(16, 16);
  try {
    const Tiny tiny = Tiny::load("no such file");
    return tiny(mnv3::to_frame(image)).channels == 8 ? 1 : 2;
  } catch (const mnv3::WeightsError& error) {
    std::puts(error.what());
    return 0;
  }
}

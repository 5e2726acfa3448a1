// SPDX-License-Identifier: MIT
// Prints what each instruction set of this machine makes of some networks, as a line `SET HASH` for
// each number of threads and each layout: same_bits.py compares them, also across machines. Weights
// and pictures are the same on all of them, and nothing here asks a library for more than a square
// root; so there is no network whose gate is a sigmoid.

#include <bit>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "kernels/subject.hpp"

namespace {

using kernels::Floats;
using kernels::Pictures;

/// FNV-1a.
class Hash {
 public:
  void add(float x) {
    for (auto bits = std::bit_cast<std::uint32_t>(x), i = 0U; i < sizeof(x); ++i, bits >>= 8)
      value_ = (value_ ^ (bits & 0xFF)) * 0x100000001B3;
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xCBF29CE484222325;
};

/// Adds all outputs in the order of NCHW.
void add_outputs(Hash& hash, const kernels::Subject& subject, const std::vector<Floats>& outputs,
                 const Pictures& pictures, bool channels_last) {
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    const auto channels = static_cast<std::size_t>(subject.taps()[k].channels);
    const std::size_t picture = outputs[k].size() / static_cast<std::size_t>(pictures.size);
    const std::size_t pixels = picture / channels;
    for (std::size_t first = 0; first < outputs[k].size(); first += picture)
      for (std::size_t c = 0; c < channels; ++c)
        for (std::size_t p = 0; p < pixels; ++p)
          hash.add(outputs[k][first + (channels_last ? p * channels + c : c * pixels + p)]);
  }
}

}  // namespace

int main() {
  for (const auto make : {kernels::every_kernel, kernels::every_tap, kernels::varied,
                          kernels::unhidden, kernels::unclosed}) {
    const auto subject = make();
    for (const mnv3::Isa isa : subject->instruction_sets())
      for (const bool channels_last : {false, true})
        for (const std::int64_t threads : {1, 2, 3}) {
          Hash hash;
          std::mt19937 random(1);
          for (const auto& [batch, extent] :
               {std::pair{1, kernels::Extent{33, 29}}, std::pair{3, kernels::Extent{40, 64}}}) {
            const Pictures pictures(batch, subject->net().settings.input.channels, extent,
                                    channels_last ? Pictures::channels_last : Pictures::nchw,
                                    random);
            add_outputs(hash, *subject, subject->run(isa, pictures, channels_last, threads),
                        pictures, channels_last);
          }
          std::printf("%s: %s %016llx\n", subject->name().c_str(),
                      std::string(name_of(isa)).c_str(),
                      static_cast<unsigned long long>(hash.value()));
        }
  }
}

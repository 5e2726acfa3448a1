// SPDX-License-Identifier: MIT
// Our side of the parity tests: reads commands of parity.py from standard input, one a line, and answers
// each with "ok" or "error: ...". Tensors travel in .pth files.
//
//   forward NET DTYPE MODE SEED WEIGHTS INPUTS OUTPUTS   MODE: eval or train
//   init NET SEED OUTPUT                                 saves a freshly initialised network
//   keys NET OUTPUT                                      writes "name shape" lines from the table
//   print NET OUTPUT                                     writes the module tree

#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <fmt/ranges.h>

#include <mnv3/mnv3.hpp>

namespace {

using namespace mnv3;

using Dilation = Dilated<LargeArch>;
using Reduction = ReducedTail<LargeArch>;

/// Everything that an architecture can say for itself.
struct CustomArch : SmallArch {
  static constexpr int num_classes = 10;
  static constexpr int last_channel = 200;
  static constexpr double dropout = 0.5;
  static constexpr double batch_norm_eps = 1e-5;
  static constexpr double batch_norm_momentum = 0.1;
  static constexpr Input input{.channels = 1};
};

using AllOfLarge = taps<after<0>, after<1>, after<2>, after<3>, after<4>, after<5>, after<6>, after<7>,
                        after<8>, after<9>, after<10>, after<11>, after<12>, after<13>, after<14>,
                        after<15>, after<16>>;
using AllOfSmall = taps<after<0>, after<1>, after<2>, after<3>, after<4>, after<5>, after<6>, after<7>,
                        after<8>, after<9>, after<10>, after<11>, after<12>>;

torch::ScalarType dtype_named(const std::string& name) {
  const std::map<std::string, torch::ScalarType> dtypes{
      {"float32", torch::kFloat}, {"float64", torch::kDouble}, {"bfloat16", torch::kBFloat16}};
  return dtypes.at(name);
}

std::vector<torch::Tensor> as_vector(torch::Tensor output) { return {std::move(output)}; }
template <std::size_t N>
std::vector<torch::Tensor> as_vector(const std::array<torch::Tensor, N>& outputs) {
  return {outputs.begin(), outputs.end()};
}

/// The commands for one network, with its type behind plain functions.
struct Network {
  std::function<void(std::istream&)> forward, init, keys, print;
};

template <class Arch, class Taps>
void forward(std::istream& arguments) {
  std::string dtype, mode, weights, inputs, outputs;
  std::uint64_t seed = 0;
  arguments >> dtype >> mode >> seed >> weights >> inputs >> outputs;
  MobileNetV3<Arch, Taps> net;
  net->to(dtype_named(dtype));
  load(net, weights);
  net->train(mode == "train");

  std::map<std::string, torch::Tensor> given;
  const PthReader file(inputs);
  for (const TensorEntry& entry : file.entries()) given.emplace(entry.name, file.read(entry));
  torch::Tensor x = given.at("x");
  NamedTensors results;
  torch::manual_seed(seed);
  const torch::AutoGradMode grad(mode == "train");
  if (mode == "train") x.requires_grad_();
  const auto taken = as_vector(net->forward(x));
  for (std::size_t i = 0; i < taken.size(); ++i)
    results.emplace_back(fmt::format("output.{}", i), taken[i].detach());
  if (mode == "train") {
    torch::Tensor loss = torch::zeros({}, x.options());
    for (std::size_t i = 0; i < taken.size(); ++i)
      loss = loss + (taken[i] * given.at(fmt::format("g{}", i))).sum();
    loss.backward();
    results.emplace_back("grad.x", x.grad());
    for (const auto& parameter : net->named_parameters())
      results.emplace_back("grad." + parameter.key(), parameter.value().grad());
  }
  for (auto& [name, tensor] : state_dict(*net))
    results.emplace_back("state." + name, tensor.detach());
  write_pth(outputs, results);
}

template <class Arch, class Taps = taps<>>
Network network() {
  return {
      .forward = forward<Arch, Taps>,
      .init =
          [](std::istream& arguments) {
            std::uint64_t seed = 0;
            std::string output;
            arguments >> seed >> output;
            torch::manual_seed(seed);
            save(MobileNetV3<Arch, Taps>(), output);
          },
      .keys =
          [](std::istream& arguments) {
            std::string output;
            arguments >> output;
            std::ofstream stream(output);
            for (const Key& key : keys<Arch, Taps>)
              stream << fmt::format("{} {} {}\n", key.name.view(), key.shape(),
                                    key.is_integral ? "int64" : "float32");
          },
      .print =
          [](std::istream& arguments) {
            std::string output;
            arguments >> output;
            std::ofstream(output) << MobileNetV3<Arch, Taps>() << '\n';
          },
  };
}

}  // namespace

int main() {
  at::set_num_threads(2);
  const std::map<std::string, Network> networks{
      {"large", network<LargeArch>()},
      {"small", network<SmallArch>()},
      {"large_dilated", network<Dilation>()},
      {"small_dilated", network<Dilated<SmallArch>>()},
      {"large_reduced", network<Reduction>()},
      {"small_reduced", network<ReducedTail<SmallArch>>()},
      {"large_dilated_reduced", network<ReducedTail<Dilation>>()},
      {"large_050", network<WidthMult<LargeArch, std::ratio<1, 2>>>()},
      {"large_075", network<WidthMult<LargeArch, std::ratio<3, 4>>>()},
      {"large_125", network<WidthMult<LargeArch, std::ratio<5, 4>>>()},
      {"small_050", network<WidthMult<SmallArch, std::ratio<1, 2>>>()},
      {"large_reduced_075", network<WidthMult<Reduction, std::ratio<3, 4>>>()},
      {"custom", network<CustomArch>()},
      {"rvm", network<RvmArch, taps<after<1>, after<3>, after<6>, after<16>>>()},
      {"large_all", network<LargeArch, AllOfLarge>()},
      {"small_all", network<SmallArch, AllOfSmall>()},
      {"large_inside", network<LargeArch, taps<expansion<4>, after<4>, expansion<13>>>()},
      {"small_head", network<SmallArch, taps<at_stride<8>, embedding, logits>>()},
  };
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream arguments(line);
    std::string command, name;
    arguments >> command >> name;
    try {
      const Network& net = networks.at(name);
      const std::map<std::string, const std::function<void(std::istream&)>*> commands{
          {"forward", &net.forward}, {"init", &net.init}, {"keys", &net.keys}, {"print", &net.print}};
      (*commands.at(command))(arguments);
      std::cout << "ok" << std::endl;
    } catch (const std::exception& error) {
      std::string text = error.what();
      std::replace(text.begin(), text.end(), '\n', ' ');
      std::cout << "error: " << text << std::endl;
    }
  }
}

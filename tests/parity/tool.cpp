// SPDX-License-Identifier: MIT
// Our side of the parity tests: reads commands of parity.py from standard input, one a line, and
// answers each with "ok" or "error: ...". Many cases a process: starting LibTorch takes seconds.
//
//   forward NET DTYPE MODE SEED WEIGHTS INPUTS OUTPUTS   MODE: eval or train
//   deploy NET WEIGHTS INPUTS OUTPUTS                    straight from the file, for each instruction set
//                                                        and, for some networks, in bfloat16
//   resave NET WEIGHTS OUTPUT                            loads and saves again
//   attempt NET WEIGHTS REPORT OUTPUT [PREFIX]           loads what may be a hostile file
//   init NET SEED OUTPUT                                 saves a freshly initialised network
//   keys NET OUTPUT                                      writes "name shape dtype" from the table
//   print NET OUTPUT                                     writes the module tree

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <ratio>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <malloc.h>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <mnv3/mnv3.hpp>

namespace {

using namespace mnv3;

/// Everything that an architecture can say for itself.
struct CustomArch : SmallArch {
  static constexpr Settings settings{.input{.channels = 1},
                                     .num_classes = 10,
                                     .last_channel = 200,
                                     .dropout = 0.5,
                                     .norm_eps = 1e-5,
                                     .norm_momentum = 0.1};
};

/// Another family's network under torchvision's names, which the other side has.
template <class Arch>
struct Renamed : Arch {
  static constexpr Settings settings{.names = Names::torchvision};
};

/// mmsegmentation's encoder: output stride 8, padding as in TensorFlow.
struct MmsegArch : OutputStride<LargeArch, 8, DilationRule::torchvision> {
  static constexpr Settings settings{.padding = Padding::same};
};

/// What no published network has.
struct UnusualArch {
  using enum Activation;
  static constexpr auto blocks = std::to_array<InvertedResidualConfig>({
      {.input_channels = 16,
       .kernel = 3,
       .expanded_channels = 16,
       .out_channels = 16,
       .use_se = true,
       .activation = HS,
       .stride = 1,
       .expands_always = true},
      {16, 7, 64, 24, true, RE, 2},
  });
  static constexpr Settings settings{.padding = Padding::same, .squeeze{.gate = Gate::sigmoid}};
};

/// Large enough to have every kind of layer, small enough for thousands of files.
struct TinyArch {
  using enum Activation;
  static constexpr auto blocks = std::to_array<InvertedResidualConfig>({
      {16, 3, 16, 16, true, RE, 2, 1},
      {16, 3, 24, 24, false, HS, 1, 1},
  });
  static constexpr Settings settings{.num_classes = 10, .last_channel = 32};
};

using AllOfLarge =
    taps<after<0>, after<1>, after<2>, after<3>, after<4>, after<5>, after<6>, after<7>, after<8>,
         after<9>, after<10>, after<11>, after<12>, after<13>, after<14>, after<15>, after<16>>;
using AllOfSmall = taps<after<0>, after<1>, after<2>, after<3>, after<4>, after<5>, after<6>,
                        after<7>, after<8>, after<9>, after<10>, after<11>, after<12>>;

/// One network, with its type behind plain functions.
struct Instance {
  std::shared_ptr<torch::nn::Module> module;
  std::function<LoadReport(const std::string& path, const LoadOptions& options)> load;
  std::function<void(const std::string& path)> save;
  std::function<std::vector<torch::Tensor>(const torch::Tensor& x)> forward;
  std::function<std::string()> print;
};

struct Network {
  /// What the network gives that is deployed from a file; empty in most, since it costs compiling.
  using Deployed =
      std::function<std::vector<torch::Tensor>(const std::string& path, const torch::Tensor& x)>;

  std::function<Instance()> make;
  std::span<const Key> keys;
  Deployed deployed{};
  Deployed in_bfloat16{};
};

std::vector<torch::Tensor> as_vector(torch::Tensor output) { return {std::move(output)}; }
template <std::size_t N>
std::vector<torch::Tensor> as_vector(const std::array<torch::Tensor, N>& outputs) {
  return {outputs.begin(), outputs.end()};
}

template <class Arch, class Taps>
Instance make() {
  MobileNetV3<Arch, Taps> net;
  return {
      .module = net.ptr(),
      .load = [net](const std::string& path,
                    const LoadOptions& options) mutable { return load(net, path, options); },
      .save = [net](const std::string& path) { save(net, path); },
      .forward = [net](const torch::Tensor& x) mutable { return as_vector(net->forward(x)); },
      .print = [net] { return fmt::format("{}\n", net); },
  };
}

template <class Arch, class Taps = taps<>>
Network network() {
  return {.make = make<Arch, Taps>, .keys = keys<Arch, Taps>};
}

template <class Arch, class Taps>
Network deployable_network() {
  Network result = network<Arch, Taps>();
  result.deployed = [](const std::string& path, const torch::Tensor& x) {
    return as_vector(deploy<Arch, Taps>(path)(x));
  };
  return result;
}

template <class Arch, class Taps>
Network bfloat16_network() {
  Network result = deployable_network<Arch, Taps>();
  result.in_bfloat16 = [](const std::string& path, const torch::Tensor& x) {
    return as_vector(deploy<Arch, Taps, Precision::bfloat16>(path)(x));
  };
  return result;
}

const std::map<std::string, Network>& networks() {
  using TimmTaps = taps<after<0>, after<1>, after<3>, after<8>, after<12>, logits>;
  using RvmTaps = taps<after<1>, after<3>, after<6>, after<16>>;
  static const std::map<std::string, Network> all{
      {"large", network<LargeArch>()},
      {"small", network<SmallArch>()},
      {"large_dilated", network<Dilated<LargeArch>>()},
      {"small_dilated", network<Dilated<SmallArch>>()},
      {"large_reduced", network<ReducedTail<LargeArch>>()},
      {"small_reduced", network<ReducedTail<SmallArch>>()},
      {"large_dilated_reduced", network<ReducedTail<Dilated<LargeArch>>>()},
      {"small_dilated_reduced", network<ReducedTail<Dilated<SmallArch>>>()},
      {"large_050", network<WidthMult<LargeArch, std::ratio<1, 2>>>()},
      {"large_075", network<WidthMult<LargeArch, std::ratio<3, 4>>>()},
      {"large_125", network<WidthMult<LargeArch, std::ratio<5, 4>>>()},
      {"small_050", network<WidthMult<SmallArch, std::ratio<1, 2>>>()},
      {"large_reduced_075", network<WidthMult<ReducedTail<LargeArch>, std::ratio<3, 4>>>()},
      {"custom", network<CustomArch>()},
      {"timm_large_075", network<Renamed<timm::mobilenetv3_large_075>>()},
      {"timm_rw", network<Renamed<timm::mobilenetv3_rw>>()},
      {"timm_large_150d", network<Renamed<timm::mobilenetv3_large_150d>>()},
      {"tf_small", network<Renamed<timm::tf_mobilenetv3_small_100>>()},
      {"tf_large_minimal", network<Renamed<timm::tf_mobilenetv3_large_minimal_100>>()},
      {"timm_stride_8", network<OutputStride<LargeArch, 8, DilationRule::timm>>()},
      {"mmseg", network<MmsegArch>()},
      {"unusual", network<UnusualArch>()},
      {"tf_small_real", deployable_network<timm::tf_mobilenetv3_small_100, TimmTaps>()},
      {"rvm", network<RvmArch, RvmTaps>()},
      {"tiny", network<TinyArch>()},
      {"tiny_encoder", network<TinyArch, taps<after<3>>>()},
      {"large_all", network<LargeArch, AllOfLarge>()},
      {"small_all", bfloat16_network<SmallArch, AllOfSmall>()},
      {"large_inside", network<LargeArch, taps<expansion<4>, after<4>, expansion<13>>>()},
      {"small_head", network<SmallArch, taps<at_stride<8>, embedding, logits>>()},
  };
  return all;
}

torch::ScalarType dtype_named(const std::string& name) {
  static const std::map<std::string, torch::ScalarType> dtypes{
      {"float32", torch::kFloat}, {"float64", torch::kDouble}, {"bfloat16", torch::kBFloat16}};
  return dtypes.at(name);
}

torch::Tensor strides_of(const torch::Tensor& x) {
  return torch::tensor(x.strides().vec(), torch::kLong);
}

std::map<std::string, torch::Tensor> read_all(const std::string& path) {
  std::map<std::string, torch::Tensor> tensors;
  const CheckpointReader file(path);
  for (const TensorEntry& entry : file.entries()) tensors.emplace(entry.name, file.read(entry));
  return tensors;
}

void forward(const Network& network, std::istream& arguments) {
  std::string dtype, mode, weights, inputs, outputs;
  std::uint64_t seed = 0;
  arguments >> dtype >> mode >> seed >> weights >> inputs >> outputs;
  const bool train = mode == "train";
  const Instance net = network.make();
  net.module->to(dtype_named(dtype));
  net.load(weights, {});
  net.module->train(train);

  const std::map<std::string, torch::Tensor> given = read_all(inputs);
  torch::Tensor x = given.at("x");
  x.requires_grad_(train);
  torch::manual_seed(seed);
  const torch::AutoGradMode grad(train);
  const std::vector<torch::Tensor> taken = net.forward(x);

  // The file's tensors are all dense, so what tells channels_last from contiguous goes beside them.
  NamedTensors results{{"strides.x", strides_of(x)}};
  for (std::size_t i = 0; i < taken.size(); ++i) {
    results.emplace_back(fmt::format("output.{}", i), taken[i].detach());
    results.emplace_back(fmt::format("strides.{}", i), strides_of(taken[i]));
  }
  if (train) {
    torch::Tensor loss = torch::zeros({}, x.options());
    for (std::size_t i = 0; i < taken.size(); ++i)
      loss = loss + (taken[i] * given.at(fmt::format("g{}", i))).sum();
    loss.backward();
    results.emplace_back("grad.x", x.grad());
    for (const auto& parameter : net.module->named_parameters())
      results.emplace_back("grad." + parameter.key(), parameter.value().grad());
  }
  for (auto& [name, tensor] : state_dict(*net.module))
    results.emplace_back("state." + name, tensor.detach());
  write_pth(outputs, results);
}

void run_deployed(const Network& network, std::istream& arguments) {
  std::string weights, inputs, outputs;
  arguments >> weights >> inputs >> outputs;
  const torch::Tensor x = read_all(inputs).at("x");
  NamedTensors results;
  const auto add = [&](std::string_view label, const Network::Deployed& deployed) {
    const std::vector<torch::Tensor> taken = deployed(weights, x);
    for (std::size_t i = 0; i < taken.size(); ++i)
      results.emplace_back(fmt::format("{} output {}", label, i), taken[i]);
  };
  for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512}) {
    if (!is_available(isa)) continue;
    setenv("MNV3_ISA", std::string(name_of(isa)).c_str(), 1);
    add(name_of(isa), network.deployed);
  }
  unsetenv("MNV3_ISA");
  if (network.in_bfloat16 && is_available(Precision::bfloat16))
    add("bfloat16", network.in_bfloat16);
  write_pth(outputs, results);
}

void resave(const Network& network, std::istream& arguments) {
  std::string weights, output;
  arguments >> weights >> output;
  const Instance net = network.make();
  net.load(weights, {});
  net.save(output);
}

/// The most memory that the process has had at once, in kB.
long peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stol(line.substr(6));
  return 0;
}

/// Writes to REPORT, one a line: whether the network's values changed, the seconds, the kB by which
/// the memory grew, and the error if there was one, else what was found. To OUTPUT goes the network.
void attempt(const Network& network, std::istream& arguments) {
  std::string weights, report, output, prefix;
  arguments >> weights >> report >> output;
  LoadOptions options;
  if (arguments >> prefix) options.prefix = prefix;
  torch::manual_seed(1);
  const Instance net = network.make();
  NamedTensors before = state_dict(*net.module);
  for (auto& [name, tensor] : before) tensor = tensor.clone();

  ::malloc_trim(0);  // or what was freed before would be used again, unseen
  std::ofstream("/proc/self/clear_refs") << 5;  // the peak is what there is now
  const long memory = peak_memory();
  const auto start = std::chrono::steady_clock::now();
  std::string found;
  try {
    const LoadReport loaded = net.load(weights, options);
    found =
        fmt::format("loaded: {} tensors, {}, prefix \"{}\", scheme \"{}\"", loaded.loaded.size(),
                    name_of(loaded.format), loaded.prefix, loaded.key_scheme);
  } catch (const WeightsError& error) {
    found = error.what();
    std::replace(found.begin(), found.end(), '\n', ' ');
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  const long growth = peak_memory() - memory;
  const NamedTensors after = state_dict(*net.module);
  bool is_changed = false;
  for (std::size_t i = 0; i < after.size(); ++i)
    is_changed |= !torch::equal(after[i].second, before[i].second);
  std::ofstream(report) << fmt::format("{:d}\n{}\n{}\n{}\n", is_changed, seconds.count(), growth,
                                       found);
  net.save(output);
}

void init(const Network& network, std::istream& arguments) {
  std::uint64_t seed = 0;
  std::string output;
  arguments >> seed >> output;
  torch::manual_seed(seed);
  network.make().save(output);
}

void list_keys(const Network& network, std::istream& arguments) {
  std::string output;
  arguments >> output;
  std::ofstream stream(output);
  for (const Key& key : network.keys)
    stream << fmt::format("{} {} {}\n", key.name.view(), key.shape(),
                          key.is_integral ? "int64" : "float32");
}

void print(const Network& network, std::istream& arguments) {
  std::string output;
  arguments >> output;
  std::ofstream(output) << network.make().print();
}

void obey(const std::string& line) {
  static const std::map<std::string, void (*)(const Network&, std::istream&)> commands{
      {"forward", forward}, {"deploy", run_deployed}, {"resave", resave}, {"attempt", attempt},
      {"init", init},       {"keys", list_keys},      {"print", print}};
  std::istringstream arguments(line);
  std::string command, name;
  arguments >> command >> name;
  const auto known_command = commands.find(command);
  const auto known_network = networks().find(name);
  if (known_command == commands.end()) throw std::invalid_argument("no command " + command);
  if (known_network == networks().end()) throw std::invalid_argument("no network " + name);
  known_command->second(known_network->second, arguments);
}

}  // namespace

int main() {
  at::set_num_threads(2);  // as in parity.py: sums are split by threads, and so are rounding errors
  for (std::string line; std::getline(std::cin, line);) {
    std::string answer = "ok";
    try {
      obey(line);
    } catch (const std::exception& error) {
      answer = std::string("error: ") + error.what();
      std::replace(answer.begin(), answer.end(), '\n', ' ');
    }
    std::cout << answer << std::endl;
  }
}

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
//   costs NET HEIGHT WIDTH OUTPUT                        writes "parameters MACs" from the table
//   print NET OUTPUT                                     writes the module tree, and those of all modules
//                                                        of a user's own module that contains it

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
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

#include <parity/networks.hpp>
#include <parity/serve.hpp>

/// A user's own module with a network inside. LibTorch prints the name of its type.
struct Segmenter : torch::nn::Module {
  explicit Segmenter(std::shared_ptr<torch::nn::Module> backbone) {
    register_module("backbone", std::move(backbone));
  }
};

namespace {

using namespace mnv3;
using parity::Instance;
using parity::Network;
using parity::Networks;

const Networks& networks() {
  static const Networks all = [] {
    Networks merged;
    for (Networks some : {parity::published_networks(), parity::constructor_networks(),
                          parity::family_networks(), parity::deployed_networks()})
      merged.merge(some);
    return merged;
  }();
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
  std::string dtype, mode, checkpoint, inputs, outputs;
  std::uint64_t seed = 0;
  arguments >> dtype >> mode >> seed >> checkpoint >> inputs >> outputs;
  const bool train = mode == "train";
  const Instance net = network.make();
  net.module->to(dtype_named(dtype));
  net.load(checkpoint, {});
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
  // Named as in files, since that is what the other side has.
  const auto add = [&](const char* kind, const NamedTensors& tensors) {
    for (const auto& [name, tensor] : weights::to_file_names(tensors, network.definition))
      results.emplace_back(kind + name, tensor.detach());
  };
  if (train) {
    torch::Tensor loss = torch::zeros({}, x.options());
    for (std::size_t i = 0; i < taken.size(); ++i)
      loss = loss + (taken[i] * given.at(fmt::format("g{}", i))).sum();
    loss.backward();
    results.emplace_back("grad.x", x.grad());
    NamedTensors gradients;
    for (const auto& parameter : net.module->named_parameters())
      gradients.emplace_back(parameter.key(), parameter.value().grad());
    add("grad.", gradients);
  }
  add("state.", state_dict(*net.module));
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
  for (const Isa isa : all_isas) {
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

void list_costs(const Network& network, std::istream& arguments) {
  std::int64_t height = 0, width = 0;
  std::string output;
  arguments >> height >> width >> output;
  const parity::Costs costs = network.costs(height, width);
  std::ofstream(output) << fmt::format("{} {}\n", costs.parameters, costs.macs);
}

void print(const Network& network, std::istream& arguments) {
  std::string output;
  arguments >> output;
  const Instance net = network.make();
  std::ofstream stream(output);
  stream << net.print();
  const auto segmenter = std::make_shared<Segmenter>(net.module);
  for (const auto& module : segmenter->named_modules())
    stream << module.key() << ": " << *module.value() << '\n';
}

void obey(const std::string& line) {
  static const std::map<std::string, void (*)(const Network&, std::istream&)> commands{
      {"forward", forward}, {"deploy", run_deployed}, {"resave", resave},    {"attempt", attempt},
      {"init", init},       {"keys", list_keys},      {"costs", list_costs}, {"print", print}};
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
  serve(obey);
}

// SPDX-License-Identifier: MIT
// Our side of torchvision_heads.py: reads commands from standard input, one a line, and answers each with
// "ok" or "error: ...". Tensors go through files of plain float32.
//
//   network lraspp|deeplabv3|deeplabv3_no_aux|fpn|fpn_p6p7|ssdlite WEIGHTS
//   keys OUTPUT                             a name and its sizes a line
//   save OUTPUT
//   deploy                                  what follows runs on what is deployed of the network
//   run PICTURES SIZES... > OUTPUT          logits, then the auxiliary ones if there are any; of
//                                           SSDlite rows of box, label and score

#include <array>
#include <cstddef>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <mnv3/heads.hpp>
#include <mnv3/mnv3.hpp>

#include <parity/serve.hpp>

namespace {

using namespace mnv3;

/// A network of one of the kinds, behind functions.
struct Running {
  std::function<std::vector<torch::Tensor>(const torch::Tensor&)> run;
  std::function<void()> deploy;
  std::function<void(const std::string&)> save;
  std::function<NamedTensors()> tensors;
};
Running running;

std::vector<torch::Tensor> as_list(const torch::Tensor& logits) { return {logits}; }
template <std::size_t N>
std::vector<torch::Tensor> as_list(const std::array<torch::Tensor, N>& levels) {
  return {levels.begin(), levels.end()};
}
std::vector<torch::Tensor> as_list(const Segmentation& both) {
  return both.aux.defined() ? std::vector{both.out, both.aux} : std::vector{both.out};
}

std::vector<torch::Tensor> as_list(const std::vector<Detections>& found) {
  std::vector<torch::Tensor> rows;
  for (const Detections& one : found)
    rows.push_back(torch::cat(
        {one.boxes, one.labels.to(torch::kFloat).unsqueeze(1), one.scores.unsqueeze(1)}, 1));
  return rows;
}

template <class Network, bool Detects = false>
Running made(const std::string& weights) {
  Network net;
  load(net, weights);
  net->eval();
  const auto call = [](auto& network, const torch::Tensor& x) {
    if constexpr (Detects)
      return as_list(network(x.unbind()));
    else
      return as_list(network(x));
  };
  const auto deployed = [call](auto network) {
    return [network, call](const torch::Tensor& x) { return call(network, x); };
  };
  return {.run = [net, call](const torch::Tensor& x) mutable { return call(net, x); },
          .deploy =
              [net, deployed] {
                if constexpr (requires { deploy(net); }) running.run = deployed(deploy(net));
              },
          .save = [net](const std::string& path) { save(net, path); },
          .tensors = [net] { return state_dict(*net); }};
}

std::string next_word(std::istream& arguments) {
  std::string word;
  if (!(arguments >> word)) throw std::invalid_argument("too few arguments");
  return word;
}

void make_network(std::istream& arguments) {
  using Backbone = MobileNetV3<Dilated<LargeArch>, taps<at_stride<16>>>;
  static const std::map<std::string, std::function<Running(const std::string&)>> kinds{
      {"lraspp", made<LRASPP<>>},
      {"deeplabv3", made<DeepLabV3<>>},
      {"deeplabv3_no_aux", made<DeepLabV3<Backbone>>},
      {"fpn", made<BackboneWithFPN<>>},
      {"fpn_p6p7", made<BackboneWithFPN<heads::DetectionBackbone, LastLevelP6P7>>},
      {"ssdlite", made<SSDLite<>, true>}};
  const auto& make = kinds.at(next_word(arguments));
  running = make(next_word(arguments));
}

void run(std::istream& arguments) {
  const torch::NoGradGuard no_grad;
  std::ifstream input(next_word(arguments), std::ios::binary);
  std::vector<std::int64_t> sizes;
  for (std::string word; (word = next_word(arguments)) != ">";) sizes.push_back(std::stoll(word));
  torch::Tensor pictures = torch::empty(sizes);
  input.read(static_cast<char*>(pictures.data_ptr()),
             static_cast<std::streamsize>(pictures.numel() * sizeof(float)));
  std::ofstream file(next_word(arguments), std::ios::binary);
  for (const torch::Tensor& output : running.run(pictures)) {
    const torch::Tensor dense = output.contiguous();
    file.write(static_cast<const char*>(dense.data_ptr()),
               static_cast<std::streamsize>(dense.numel() * sizeof(float)));
  }
}

void keys(std::istream& arguments) {
  std::ofstream file(next_word(arguments));
  for (const auto& [name, tensor] : running.tensors())
    file << fmt::format("{} {}\n", name, fmt::join(tensor.sizes(), " "));
}

void obey(const std::string& line) {
  std::istringstream arguments(line);
  const std::string command = next_word(arguments);
  static const std::map<std::string, std::function<void(std::istream&)>> commands{
      {"network", make_network},
      {"keys", keys},
      {"save", [](auto& a) { running.save(next_word(a)); }},
      {"deploy", [](auto&) { running.deploy(); }},
      {"run", run}};
  commands.at(command)(arguments);
}

}  // namespace

int main() {
  at::set_num_threads(1);
  serve(obey);
}

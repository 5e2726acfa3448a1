// SPDX-License-Identifier: MIT
// Our side of matting.py: reads commands from standard input, one a line, and answers each with "ok"
// or "error: ...". Tensors go through files of plain float32.
//
//   network deep|fast WEIGHTS               strict
//   keys OUTPUT                             a name and its sizes a line
//   save OUTPUT
//   deploy                                  what follows runs on what is deployed of the network
//   threads N
//   reset                                   the state
//   matte RATIO FRAMES SIZES... > OUTPUT    foreground, alpha, the four states, one after the other
//   segment RATIO FRAMES SIZES... > OUTPUT  logits, the four states
//   gradients RATIO FRAMES SIZES... > OUTPUT  in training mode, of the mean squares of the matte,
//                                           with respect to all parameters

#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <mnv3/heads.hpp>
#include <mnv3/mnv3.hpp>

#include <parity/serve.hpp>

namespace {

using namespace mnv3;

using Deep = RobustVideoMatting<>;
using Fast = RobustVideoMatting<MattingEncoder, FastGuidedFilter>;

using DeployedDeep = decltype(deploy(std::declval<Deep&>()));
using DeployedFast = decltype(deploy(std::declval<Fast&>()));

std::variant<std::monostate, Deep, Fast> network;
std::variant<std::monostate, DeployedDeep, DeployedFast> deployed;
MattingState state;

template <class Use>
void with_network(Use use) {
  std::visit(
      [&]<class Network>(Network& net) {
        if constexpr (std::is_same_v<Network, std::monostate>)
          throw std::invalid_argument("no network");
        else
          use(net);
      },
      network);
}

std::string next_word(std::istream& arguments) {
  std::string word;
  if (!(arguments >> word)) throw std::invalid_argument("too few arguments");
  return word;
}

void make_network(std::istream& arguments) {
  const bool is_deep = next_word(arguments) == "deep";
  const std::string weights = next_word(arguments);
  if (is_deep)
    network.emplace<Deep>();
  else
    network.emplace<Fast>();
  deployed.emplace<std::monostate>();
  state.reset();
  with_network([&](auto& net) {
    load(net, weights);
    net->eval();
  });
}

void make_deployed(std::istream&) {
  with_network([&](auto& net) { deployed = deploy(net); });
}

/// Calls `use` with the network, or with what is deployed of it, as something to be called.
template <class Use>
void with_running(Use use) {
  std::visit(
      [&]<class Running>(Running& running) {
        if constexpr (std::is_same_v<Running, std::monostate>)
          with_network([&](auto& net) { use(net, *net); });
        else
          use(running, running);
      },
      deployed);
}

torch::Tensor next_frames(std::istream& arguments) {
  std::ifstream file(next_word(arguments), std::ios::binary);
  std::vector<std::int64_t> sizes;
  for (std::string word; (word = next_word(arguments)) != ">";) sizes.push_back(std::stoll(word));
  torch::Tensor frames = torch::empty(sizes);
  file.read(static_cast<char*>(frames.data_ptr()),
            static_cast<std::streamsize>(frames.numel() * sizeof(float)));
  return frames;
}

void write(std::ofstream& file, const torch::Tensor& tensor) {
  const torch::Tensor dense = tensor.detach().contiguous();
  file.write(static_cast<const char*>(dense.data_ptr()),
             static_cast<std::streamsize>(dense.numel() * sizeof(float)));
}

void run(std::istream& arguments, bool segments) {
  const torch::NoGradGuard no_grad;
  const double ratio = std::stod(next_word(arguments));
  const torch::Tensor frames = next_frames(arguments);
  std::ofstream file(next_word(arguments), std::ios::binary);
  with_running([&](auto& net, auto& segmenting) {
    if (segments) {
      write(file, segmenting.segment(frames, state, ratio));
    } else {
      const auto [foreground, alpha] = net(frames, state, ratio);
      write(file, foreground);
      write(file, alpha);
    }
  });
  for (const torch::Tensor& recurrent : state.recurrent) write(file, recurrent);
}

void gradients(std::istream& arguments) {
  const double ratio = std::stod(next_word(arguments));
  const torch::Tensor frames = next_frames(arguments);
  std::ofstream file(next_word(arguments), std::ios::binary);
  with_network([&](auto& net) {
    net->train();
    MattingState fresh;
    const auto [foreground, alpha] = net->forward(frames, fresh, ratio);
    (foreground.square().mean() + alpha.square().mean()).backward();
    for (const torch::Tensor& parameter : net->parameters())
      write(file, parameter.grad().defined() ? parameter.grad() : torch::zeros_like(parameter));
    net->eval();
  });
}

void keys(std::istream& arguments) {
  std::ofstream file(next_word(arguments));
  with_network([&](auto& net) {
    for (const auto& [name, tensor] : state_dict(*net))
      file << fmt::format("{} {}\n", name, fmt::join(tensor.sizes(), " "));
  });
}

void obey(const std::string& line) {
  std::istringstream arguments(line);
  const std::string command = next_word(arguments);
  static const std::map<std::string, std::function<void(std::istream&)>> commands{
      {"network", make_network},
      {"keys", keys},
      {"deploy", make_deployed},
      {"threads", [](auto& a) { at::set_num_threads(std::stoi(next_word(a))); }},
      {"save", [](auto& a) { with_network([&](auto& net) { save(net, next_word(a)); }); }},
      {"reset", [](auto&) { state.reset(); }},
      {"matte", [](auto& a) { run(a, false); }},
      {"segment", [](auto& a) { run(a, true); }},
      {"gradients", gradients}};
  commands.at(command)(arguments);
}

}  // namespace

int main() {
  at::set_num_threads(1);
  serve(obey);
}

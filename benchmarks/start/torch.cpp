// SPDX-License-Identifier: MIT

// What the example `label` does, with LibTorch: start.py compares how both start.
//
//   mnv3_start_torch WEIGHTS PICTURE

#include <cstdio>

#include <mnv3/mnv3.hpp>
#include <mnv3/vision.hpp>

int main(int count, char** arguments) {
  if (count != 3) {
    std::fputs("usage: mnv3_start_torch WEIGHTS PICTURE\n", stderr);
    return 2;
  }
  const torch::NoGradGuard no_grad;
  mnv3::MobileNetV3<mnv3::LargeArch> net;
  mnv3::load(net, arguments[1]);
  net->eval();
  const torch::Tensor picture =
      mnv3::preprocess(mnv3::read_image(arguments[2]), mnv3::ImageClassification{});
  std::printf("class %d\n", net->forward(picture.unsqueeze(0)).argmax().item<int>());
}

// SPDX-License-Identifier: MIT
#include "deploy_accuracy/subject.hpp"

#include <ratio>

namespace accuracy {

using namespace mnv3;

Subjects small_subjects() {
  Subjects all;
  all.push_back(subject<SmallArch, taps<first_at_stride<8>, after<12>, logits>>(
      "Small, features and logits"));
  all.push_back(subject<WidthMult<SmallArch, std::ratio<1, 2>>, taps<after<0>, embedding>>(
      "half of Small, embedding"));
  all.push_back(subject<WidthMult<SmallArch, std::ratio<3, 4>>>("three quarters of Small"));
  all.push_back(subject<timm::tf_mobilenetv3_small_100>("Small from TensorFlow"));
  return all;
}

}  // namespace accuracy

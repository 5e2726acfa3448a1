// SPDX-License-Identifier: MIT
#include "deploy_accuracy/subject.hpp"

namespace accuracy {

using namespace mnv3;

Subjects large_subjects() {
  Subjects all;
  all.push_back(subject<LargeArch, taps<expansion<7>, after<12>, after<16>, embedding, logits>>(
      "Large, logits and what is before"));
  all.push_back(subject<RvmArch, taps<after<1>, after<3>, after<6>, after<16>>>("RVM's encoder"));
  all.push_back(subject<ReducedTail<Dilated<LargeArch>>>("Large, dilated, reduced tail"));
  return all;
}

}  // namespace accuracy

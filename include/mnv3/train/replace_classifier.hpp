// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/diagnostics.hpp>
#include <mnv3/config/position.hpp>
#include <mnv3/config/rules.hpp>
#include <mnv3/config/settings.hpp>
#include <mnv3/config/stage_set.hpp>
#include <mnv3/config/taps.hpp>
#include <mnv3/config/transform.hpp>
#include <mnv3/nn/mobilenet_v3.hpp>

namespace mnv3 {

namespace train {

/// `Arch` with as many classes as its networks are told when they are made.
template <architecture Arch>
struct with_dynamic_classes {
  using type = WithClasses<Arch>;
};
template <architecture Arch>
requires(definition_of<Arch>.settings.num_classes ==
         dynamic_classes) struct with_dynamic_classes<Arch> {
  using type = Arch;
};

template <class NewArch, class Arch, class Taps>
MobileNetV3<NewArch, Taps> with_new_classifier(const MobileNetV3<Arch, Taps>& net,
                                               std::int64_t classes) {
  constexpr bool has_logits = reach_of<Arch, Taps>() == position_of_logits(definition_of<Arch>);
  constexpr bool is_frozen = definition_of<Arch>.settings.frozen.value().contains(classifier);
  constexpr Rule rule = !has_logits ? Rule::logits_exist
                        : is_frozen ? Rule::stage_thaws
                                    : Rule::none;
  static_assert(verify_part<Arch, rule, classifier>());
  if constexpr (rule == Rule::none) {
    net->check_children();
    return MobileNetV3<NewArch, Taps>(
        std::make_shared<MobileNetV3Impl<NewArch, Taps>>(*net, classes));
  } else {
    return nullptr;
  }
}

}  // namespace train

/// A network with a new last layer, of `classes` outputs and initialised as in torchvision, and all
/// other layers of `net` themselves, the classifier's hidden layer among them: training one trains
/// the other, and their modes are one. What is frozen stays frozen, but the new layer learns. For
/// two networks that do not know of each other, `replace_classifier(net.clone(), classes)`.
///
/// Its type is a network that was told its number of classes, which `clone`, `save`, `load`,
/// `deploy` and taps take; its `channels` say `dynamic_classes`.
///
/// Errors  c10::Error if `classes` is below 1 or above 1048576. Networks without a classifier, or
///         whose type freezes it, are refused by the compiler.
template <class Arch, class Taps>
auto replace_classifier(const MobileNetV3<Arch, Taps>& net, std::int64_t classes) {
  return train::with_new_classifier<typename train::with_dynamic_classes<Arch>::type>(net, classes);
}

/// The same where the number is known to the compiler: the type is that of a network whose table
/// says so, `MobileNetV3<WithClasses<Arch, Classes>>`, and its kernels run the last layer, too.
template <int Classes, class Arch, class Taps>
auto replace_classifier(const MobileNetV3<Arch, Taps>& net) {
  return train::with_new_classifier<WithClasses<Arch, Classes>>(net, Classes);
}

}  // namespace mnv3

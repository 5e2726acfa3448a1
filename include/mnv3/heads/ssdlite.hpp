// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

#include <mnv3/config/architectures.hpp>
#include <mnv3/config/dialects/ssdlite.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/taps.hpp>
#include <mnv3/config/transform.hpp>
#include <mnv3/deploy/deployed.hpp>
#include <mnv3/heads/boxes.hpp>
#include <mnv3/heads/frames.hpp>
#include <mnv3/heads/segmentation.hpp>
#include <mnv3/nn/init.hpp>
#include <mnv3/nn/mobilenet_v3.hpp>
#include <mnv3/nn/printed_module.hpp>
#include <mnv3/nn/requires_grad.hpp>

namespace mnv3 {

/// The backbone of torchvision's SSDlite: Large with a reduced tail and a momentum of its own.
///
/// Source  torchvision 0.14.1 models/detection/ssdlite.py L280-290.
struct SSDLiteArch : ReducedTail<LargeArch> {
  static constexpr Settings settings{.norm_momentum = 0.03};
};

/// What an SSD found in one picture, the best first: rows of boxes, one label and one score for each.
struct Detections {
  torch::Tensor boxes;   ///< (K, 4): x1, y1, x2, y2 in pixels of the picture.
  torch::Tensor labels;  ///< (K), int64, from 1 on; 0 is the background.
  torch::Tensor scores;  ///< (K)
};

/// What detections are worth showing.
///
/// Source  torchvision 0.14.1 models/detection/ssdlite.py L309-325: its defaults.
struct SSDOptions {
  double score_thresh = 0.001;
  double nms_thresh = 0.55;
  std::int64_t detections_per_img = 300;
  std::int64_t topk_candidates = 300;
};

namespace heads {

/// A convolution, batch norm and ReLU6, as torchvision's SSDlite has them.
inline torch::nn::Sequential conv_norm_relu6(std::int64_t in, std::int64_t out, std::int64_t kernel,
                                             std::int64_t stride = 1, std::int64_t groups = 1) {
  namespace nn = torch::nn;
  constexpr Settings settings = SSDLiteArch::settings;
  return nn::Sequential(
      nn::Conv2d(nn::Conv2dOptions(in, out, kernel)
                     .stride(stride)
                     .padding(kernel / 2)
                     .groups(groups)
                     .bias(false)),
      nn::BatchNorm2d(
          nn::BatchNorm2dOptions(out).eps(settings.norm_eps).momentum(settings.norm_momentum)),
      nn::ReLU6());
}

/// Source  torchvision 0.14.1 models/detection/ssdlite.py L34-72.
inline void initialize_normal(torch::nn::Module& module) {
  const torch::NoGradGuard no_grad;
  for (const auto& child : module.modules(/*include_self=*/false))
    if (auto* conv = child->as<torch::nn::Conv2d>()) {
      torch::nn::init::normal_(conv->weight, 0, 0.03);
      if (conv->bias.defined()) torch::nn::init::zeros_(conv->bias);
    }
}

/// One after the other: LibTorch's Sequential cannot have another one in it.
inline torch::Tensor run_chain(torch::nn::ModuleListImpl& chain, torch::Tensor x) {
  for (const auto& child : chain) {
    if (auto* sequence = child->as<torch::nn::Sequential>())
      x = sequence->forward(x);
    else
      x = child->as<torch::nn::Conv2d>()->forward(x);
  }
  return x;
}

/// For each feature map a depthwise convolution and a 1x1 one: `columns` numbers for each box.
class SSDLiteScoringImpl final : public torch::nn::Cloneable<SSDLiteScoringImpl> {
 public:
  SSDLiteScoringImpl(std::vector<std::int64_t> channels, std::int64_t boxes, std::int64_t columns)
      : channels_(std::move(channels)), boxes_(boxes), columns_(columns) {
    reset();
  }
  void reset() override {
    namespace nn = torch::nn;
    module_list = nn::ModuleList();
    for (const std::int64_t in : channels_)
      module_list->push_back(
          nn::ModuleList(conv_norm_relu6(in, in, 3, 1, in),
                         nn::Conv2d(nn::Conv2dOptions(in, columns_ * boxes_, 1))));
    register_module("module_list", module_list);
  }

  /// Shapes  maps: (N, channels[i], H, W). Result: (N, boxes of all places, columns).
  torch::Tensor forward(const std::vector<torch::Tensor>& maps) {
    std::vector<torch::Tensor> all;
    for (std::size_t i = 0; i < maps.size(); ++i) {
      const torch::Tensor x = run_chain(*module_list->ptr(i)->as<torch::nn::ModuleList>(),
                                        maps[i]);  // (N, A * K, H, W)
      all.push_back(x.reshape({x.size(0), boxes_, columns_, x.size(2), x.size(3)})
                        .permute({0, 3, 4, 1, 2})
                        .reshape({x.size(0), -1, columns_}));
    }
    return torch::cat(all, 1);
  }

  torch::nn::ModuleList module_list{nullptr};

 private:
  std::vector<std::int64_t> channels_;
  std::int64_t boxes_;
  std::int64_t columns_;
};
TORCH_MODULE(SSDLiteScoring);

/// Children under names; what runs is elsewhere.
class NamesImpl final : public torch::nn::Module {
 public:
  void add(const std::string& name, std::shared_ptr<torch::nn::Module> child) {
    register_module(name, std::move(child));
  }
};

/// What an SSD says of a batch.
struct SSDOutputs {
  torch::Tensor cls_logits;       ///< (N, boxes, num_classes)
  torch::Tensor bbox_regression;  ///< (N, boxes, 4)
  torch::Tensor anchors;          ///< (boxes, 4), in pixels of what the network saw.
};

/// The block whose expansion SSDlite taps.
template <architecture Arch>
inline constexpr int ssdlite_cut = config::ssdlite_cut(definition_of<Arch>);

/// Half as large, by way of half as many channels.
///
/// Source  torchvision 0.14.1 models/detection/ssdlite.py L49-64.
inline torch::nn::ModuleList extra_block(std::int64_t in, std::int64_t out) {
  return torch::nn::ModuleList(conv_norm_relu6(in, out / 2, 1),
                               conv_norm_relu6(out / 2, out / 2, 3, 2, out / 2),
                               conv_norm_relu6(out / 2, out, 1));
}

}  // namespace heads

/// SSDlite: detection of objects in pictures of any size, which the network sees at 320 x 320. Child
/// modules and tensors have the names of torchvision's `ssdlite320_mobilenet_v3_large`, so that its
/// files load as they are, and it loads what `save` writes.
///
/// Source  torchvision 0.14.1 models/detection/ssdlite.py, ssd.py.
template <class Arch>
class SSDLiteImpl final : public torch::nn::Module {
 public:
  static constexpr int cut = heads::ssdlite_cut<Arch>;
  using Backbone =
      MobileNetV3<Arch, taps<expansion<cut>, after<feature_count(definition_of<Arch>) - 1>>>;

  /// `num_classes` counts the background.
  ///
  /// Errors  c10::Error if `num_classes` is below 2.
  explicit SSDLiteImpl(std::int64_t num_classes = 91, const SSDOptions& options = {})
      : options_(options), classes_(num_classes) {
    TORCH_CHECK(num_classes >= 2, "mnv3: SSDlite has at least 2 classes, the background and one ",
                "other, but was asked for ", num_classes);
    make_children();
    heads::initialize_normal(*this);
  }

  /// A deep copy; what is frozen stays frozen.
  std::shared_ptr<torch::nn::Module> clone(nn::CloneDevice device = {}) const override {
    auto copy = std::make_shared<SSDLiteImpl>(classes_, options_);
    const torch::NoGradGuard no_grad;
    const auto copy_all = [](const auto& from, const auto& to) {
      for (std::size_t i = 0; i < from.size(); ++i) to[i].set_data(from[i].clone());
    };
    copy_all(this->parameters(), copy->parameters());
    copy_all(this->buffers(), copy->buffers());
    if (device) copy->to(*device);
    nn::copy_requires_grad(*this, *copy);
    if (!this->is_training()) copy->eval();
    return copy;
  }

  /// What is in each picture.
  ///
  /// Shapes  pictures: (3, H, W) each, of any sizes. Results: see Detections.
  /// Units   RGB in [0, 1].
  /// Errors  c10::Error if there is no picture, or one is no (3, H, W).
  /// Grad    None through the choice of boxes.
  std::vector<Detections> forward(const std::vector<torch::Tensor>& pictures) {
    const heads::SSDOutputs outputs = run(resized(pictures));
    return detections(outputs, pictures);
  }

  /// What the network says, before boxes are chosen: for losses of one's own.
  ///
  /// Shapes  batch: (N, 3, 320, 320), or other sizes.
  /// Units   RGB in [-1, 1], as `resized` gives it.
  /// Grad    Participates in autograd.
  heads::SSDOutputs run(const torch::Tensor& batch) { return run_with(backbone, batch); }

  /// As `run`, with another backbone that gives the same outputs: what is deployed, for one.
  template <class Other>
  heads::SSDOutputs run_with(Other& other, const torch::Tensor& batch) {
    const auto [first, second] = other(batch);
    std::vector<torch::Tensor> maps{first, second};
    for (std::size_t i = 0; i < extra->size(); ++i)
      maps.push_back(
          heads::run_chain(*extra->ptr(i)->template as<torch::nn::ModuleList>(), maps.back()));
    std::vector<std::array<std::int64_t, 2>> sizes;
    for (const torch::Tensor& map : maps) sizes.push_back({map.size(2), map.size(3)});
    return {classification_head->forward(maps), regression_head->forward(maps),
            (*boxes_)(sizes, batch.size(2), batch.size(3))};
  }

  /// The pictures as the network takes them.
  ///
  /// Source  torchvision 0.14.1 models/detection/transform.py, with a fixed size and 0.5 for mean
  ///         and std.
  static torch::Tensor resized(const std::vector<torch::Tensor>& pictures) {
    TORCH_CHECK(!pictures.empty(), "mnv3: SSDlite takes one picture or more, but was given none");
    std::vector<torch::Tensor> batch;
    for (const torch::Tensor& picture : pictures) {
      TORCH_CHECK(picture.dim() == 3 && picture.size(0) == 3 && picture.numel() > 0,
                  "mnv3: SSDlite takes pictures (3, H, W), but was given one of the sizes ",
                  picture.sizes());
      batch.push_back(heads::resize_to(((picture - 0.5) / 0.5).unsqueeze(0), side, side));
    }
    return torch::cat(batch);
  }

  /// The boxes to show, in pixels of the pictures.
  ///
  /// Source  torchvision 0.14.1 models/detection/ssd.py L396-446.
  std::vector<Detections> detections(const heads::SSDOutputs& outputs,
                                     const std::vector<torch::Tensor>& pictures) const {
    const torch::NoGradGuard no_grad;
    const torch::Tensor all_scores = outputs.cls_logits.softmax(-1);
    std::vector<Detections> found;
    for (std::size_t i = 0; i < pictures.size(); ++i) {
      const auto n = static_cast<std::int64_t>(i);
      const torch::Tensor boxes =
          heads::decode_boxes(outputs.bbox_regression[n], outputs.anchors).clamp(0, side);
      Detections of_all = chosen(boxes, all_scores[n]);
      const auto factor = [](std::int64_t size) {
        return static_cast<float>(size) / static_cast<float>(side);
      };
      const float x = factor(pictures[i].size(2));
      const float y = factor(pictures[i].size(1));
      of_all.boxes = of_all.boxes * torch::tensor({x, y, x, y});
      found.push_back(std::move(of_all));
    }
    return found;
  }

  void pretty_print(std::ostream& stream) const override { stream << "SSDLite"; }

  Backbone backbone{nullptr};
  torch::nn::ModuleList extra{nullptr};
  heads::SSDLiteScoring classification_head{nullptr};
  heads::SSDLiteScoring regression_head{nullptr};

 private:
  static constexpr std::int64_t side = 320;

  void make_children() {
    backbone = Backbone();
    extra = torch::nn::ModuleList();
    std::vector<std::int64_t> channels(Backbone::channels.begin(), Backbone::channels.end());
    for (const std::int64_t out : {512, 256, 256, 128}) {
      extra->push_back(heads::extra_block(channels.back(), out));
      channels.push_back(out);
    }
    boxes_ = std::make_shared<const heads::DefaultBoxes>(channels.size(), std::vector<double>{2, 3},
                                                         0.2, 0.95);
    auto parts = std::make_shared<heads::NamesImpl>();
    parts->add("features", cut_features());
    parts->add("extra", extra.ptr());
    this->register_module("backbone", parts);
    classification_head = heads::SSDLiteScoring(channels, boxes_->count(), classes_);
    regression_head = heads::SSDLiteScoring(channels, boxes_->count(), 4);
    auto head = std::make_shared<heads::NamesImpl>();
    head->add("classification_head", classification_head.ptr());
    head->add("regression_head", regression_head.ptr());
    this->register_module("head", head);
  }

  // What `Cloneable` does for modules with `reset`: this one within a module that is cloned.
  void clone_(torch::nn::Module& other, nn::CloneDevice device) override {
    *this = std::move(dynamic_cast<SSDLiteImpl&>(*other.clone(device)));
  }

  /// The features under SSDlite's names: cut in two after the expansion of the block that is tapped.
  /// See config/dialects/ssdlite.hpp.
  std::shared_ptr<torch::nn::Module> cut_features() const {
    auto before = std::make_shared<heads::NamesImpl>();
    auto after_cut = std::make_shared<heads::NamesImpl>();
    const auto features = backbone->features->children();
    for (std::size_t i = 0; i < features.size(); ++i) {
      if (i < cut) {
        before->add(std::to_string(i), features[i]);
      } else if (i > cut) {
        after_cut->add(std::to_string(i - cut), features[i]);
      } else {
        auto rest = std::make_shared<heads::NamesImpl>();
        for (const auto& child : features[i]->named_children()["block"]->named_children())
          (child.key() == "0" ? before : rest)
              ->add(child.key() == "0" ? std::to_string(i) : child.key(), child.value());
        after_cut->add("0", rest);
      }
    }
    auto both = std::make_shared<heads::NamesImpl>();
    both->add("0", before);
    both->add("1", after_cut);
    return both;
  }

  /// The best boxes of each class, of those the best that do not overlap, of all classes the best.
  Detections chosen(const torch::Tensor& boxes, const torch::Tensor& scores) const {
    std::vector<torch::Tensor> kept_boxes, kept_scores, kept_labels;
    for (std::int64_t label = 1; label < classes_; ++label) {
      const torch::Tensor score = scores.select(1, label);
      const torch::Tensor candidates = (score > options_.score_thresh).nonzero().squeeze(1);
      const auto [best, order] = score.index_select(0, candidates)
                                     .topk(std::min(options_.topk_candidates, candidates.size(0)));
      const torch::Tensor box = boxes.index_select(0, candidates.index_select(0, order));
      const torch::Tensor kept = nms(box, best, options_.nms_thresh);
      kept_boxes.push_back(box.index_select(0, kept));
      kept_scores.push_back(best.index_select(0, kept));
      kept_labels.push_back(torch::full({kept.size(0)}, label, torch::kLong));
    }
    const torch::Tensor all = torch::cat(kept_scores);
    const torch::Tensor order = std::get<1>(all.sort(/*stable=*/true, 0, /*descending=*/true))
                                    .slice(0, 0, options_.detections_per_img);
    return {torch::cat(kept_boxes).index_select(0, order),
            torch::cat(kept_labels).index_select(0, order), all.index_select(0, order)};
  }

  SSDOptions options_;
  std::int64_t classes_;
  std::shared_ptr<const heads::DefaultBoxes> boxes_;
};

/// A LibTorch module holder; see SSDLiteImpl. The default is torchvision's
/// `ssdlite320_mobilenet_v3_large`.
template <class Arch = SSDLiteArch>
class SSDLite : public torch::nn::ModuleHolder<SSDLiteImpl<Arch>> {
 public:
  using torch::nn::ModuleHolder<SSDLiteImpl<Arch>>::ModuleHolder;
  using Impl = SSDLiteImpl<Arch>;

  /// A deep copy, typed.
  SSDLite clone() const { return SSDLite(std::dynamic_pointer_cast<Impl>((*this)->clone())); }
};
SSDLite()->SSDLite<>;

/// SSDlite for inference: the backbone on our kernels, the rest as it is, in evaluation mode. It has
/// copies of both; any number of threads may call one object at once.
template <class Arch>
class DeployedSSDLite {
 public:
  /// What `deploy` makes.
  explicit DeployedSSDLite(const SSDLite<Arch>& network)
      : backbone_(deploy(network->backbone)), network_(network.clone().ptr()) {
    network_->eval();
  }

  /// As the module's `forward`.
  std::vector<Detections> operator()(const std::vector<torch::Tensor>& pictures) const {
    const torch::NoGradGuard no_grad;
    return network_->detections(network_->run_with(backbone_, network_->resized(pictures)),
                                pictures);
  }

 private:
  decltype(deploy(std::declval<const typename SSDLiteImpl<Arch>::Backbone&>())) backbone_;
  std::shared_ptr<SSDLiteImpl<Arch>> network_;
};

/// Errors  As `deploy` of the backbone.
template <class Arch>
DeployedSSDLite<Arch> deploy(const SSDLite<Arch>& network) {
  return DeployedSSDLite<Arch>(network);
}

}  // namespace mnv3

# SPDX-License-Identifier: MIT
"""Our networks against torchvision's own, live: the same weights, the same pictures.

    parity.py --tool PROGRAM [--weights FOLDER] [GROUP]

Without a group all of them run: keys, eval, train, init, print, costs, deployed, real, timm. Exit code 77: what the group needs is not installed.
"""

import argparse
import collections
import contextlib
import dataclasses
import functools
import json
import math
import os
import pathlib
import sys
import time
import unittest

# Both sides take turns. Threads that spin while they wait would cost twice the time, and far more
# on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

try:
    import numpy
    import torch
    import torchvision
    from PIL import Image  # which torchvision cannot do without
    from torch import nn
    from torchvision.models import mobilenetv3
except ImportError as error:
    print(f"SKIPPED, NOTHING WAS COMPARED: {sys.executable}: {error}.\n"
          "Parity tests need torchvision; on Debian: apt-get install python3-torchvision",
          file=sys.stderr)
    sys.exit(77)

from tool_process import run_tests

# Of the difference's L2 norm to torchvision's. Both sides call the same kernels in the same order,
# so that nearly all differences are 0. The exception is channels_last: our gate's ReLU works in
# place and keeps the layout of its (N, C, 1, 1), torchvision's does not, and the convolution after
# it has a kernel for each. In bfloat16 one unit in the last place is 4e-3.
LIMIT = {torch.float32: 1e-5, torch.float64: 1e-11, torch.bfloat16: 1e-3}

# Of what is deployed in float32 to torchvision in float64. Trained weights can amplify rounding so
# much that torchvision in float32 does not get there either; then this multiple of its error.
DEPLOYED_LIMIT, DEPLOYED_RATIO = 2e-6, 1.25

IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


# ------------------------------------------------------------------------------ torchvision's side

class RvmEncoder(mobilenetv3.MobileNetV3):
    """RobustVideoMatting's encoder: dilated Large without a head, which normalises its input."""

    def __init__(self):
        super().__init__(*mobilenetv3._mobilenet_v3_conf("mobilenet_v3_large", dilated=True))
        del self.avgpool, self.classifier

    def forward(self, x):
        if x.dim() == 5:
            outputs = self.forward_pictures(x.flatten(0, 1))
            return [y.unflatten(0, x.shape[:2]) for y in outputs]
        return self.forward_pictures(x)

    def forward_pictures(self, x):
        x = torchvision.transforms.functional.normalize(x, IMAGENET_MEAN, IMAGENET_STD)
        outputs = []
        for i, feature in enumerate(self.features):
            x = feature(x)
            if i in (1, 3, 6, 16):
                outputs.append(x)
        return outputs


def torchvision_net(size, **arguments):
    return mobilenetv3.MobileNetV3(
        *mobilenetv3._mobilenet_v3_conf(f"mobilenet_v3_{size}", **arguments))


def custom_net():
    rows, _ = mobilenetv3._mobilenet_v3_conf("mobilenet_v3_small")
    norm = functools.partial(nn.BatchNorm2d, eps=1e-5, momentum=0.1)
    model = mobilenetv3.MobileNetV3(rows, 200, num_classes=10, norm_layer=norm, dropout=0.5)
    model.features[0][0] = nn.Conv2d(1, 16, 3, stride=2, padding=1, bias=False)
    return model


class Conv2dSame(nn.Conv2d):
    """TensorFlow's padding: as little as the size needs, the odd zero below and on the right."""

    def forward(self, x):
        sides = []
        for size, kernel, stride, dilation in reversed(list(zip(
                x.shape[2:], self.kernel_size, self.stride, self.dilation))):
            total = max((math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size,
                        0)
            sides += [total // 2, total - total // 2]
        return nn.functional.conv2d(nn.functional.pad(x, sides), self.weight, self.bias,
                                    self.stride, 0, self.dilation, self.groups)


def pad_as_tensorflow(model):
    for module in list(model.modules()):
        for name, conv in module.named_children():
            if isinstance(conv, nn.Conv2d) and conv.stride != (1, 1):
                same = Conv2dSame(conv.in_channels, conv.out_channels, conv.kernel_size,
                                  conv.stride, 0, conv.dilation, conv.groups, bias=False)
                setattr(module, name, same)
    return model


def rows_net(rows, last_channel, eps=1e-3, momentum=0.01, dropout=0.2):
    """A network of rows (in, kernel, expanded, out, SE, activation, stride, dilation)."""
    rows = [mobilenetv3.InvertedResidualConfig(*row, width_mult=1) for row in rows]
    return mobilenetv3.MobileNetV3(rows, last_channel, dropout=dropout, norm_layer=functools.partial(
        nn.BatchNorm2d, eps=eps, momentum=momentum))


def rows_of(size):
    rows, last_channel = mobilenetv3._mobilenet_v3_conf(f"mobilenet_v3_{size}")
    return [[row.input_channels, row.kernel, row.expanded_channels, row.out_channels, row.use_se,
             "HS" if row.use_hs else "RE", row.stride, row.dilation] for row in rows], last_channel


def timm_net(rows, last_channel, eps=1e-5):
    return rows_net(rows, last_channel, eps, momentum=0.1, dropout=0.0)


def timm_large_075():
    rows, _ = rows_of("large")
    # Channels read off timm's own network; kernels, strides and the rest are Large's.
    channels = [16, 16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 88, 88, 120, 120, 120]
    expanded = [16, 64, 72, 72, 96, 96, 192, 160, 144, 144, 384, 528, 528, 720, 720]
    for i, row in enumerate(rows):
        row[0], row[2], row[3] = channels[i], expanded[i], channels[i + 1]
    return timm_net(rows, 1280)


def timm_rw():
    model = timm_net(*rows_of("large"), eps=1e-3)
    model.features[1].use_res_connect = False
    for feature in model.features[1:-1]:
        hard_swish = isinstance(feature.block[0][2], nn.Hardswish)
        for i, module in enumerate(feature.block):
            if isinstance(module, mobilenetv3.SElayer):
                channels = module.fc1.in_channels
                feature.block[i] = mobilenetv3.SElayer(
                    channels, channels // 4, activation=nn.Hardswish if hard_swish else nn.ReLU,
                    scale_activation=nn.Hardsigmoid)
    model.classifier[0] = nn.Linear(960, 1280, bias=False)
    return model


def timm_large_150d():
    # Blocks in each of timm's stages, and what they have: kernel, expanded and output channels
    # of the first one and of the others, as read off timm's own network.
    stages = [(2, 3, (24,), 24, False, "RE", 1), (1, 3, (96,), 40, False, "RE", 2),
              (2, 3, (120,), 40, False, "RE", 1), (4, 5, (120, 192), 64, True, "RE", 2),
              (1, 3, (384,), 120, False, "HS", 2), (2, 3, (304,), 120, False, "HS", 1),
              (2, 3, (280,), 120, False, "HS", 1), (3, 3, (720, 1008), 168, True, "HS", 1),
              (4, 5, (1008, 1440), 240, True, "HS", 2)]
    rows, channels = [], 24
    for count, kernel, expanded, out, use_se, activation, stride in stages:
        for i in range(count):
            rows.append([channels, kernel, expanded[min(i, len(expanded) - 1)], out, use_se,
                         activation, stride if i == 0 else 1, 1])
            channels = out
    model = timm_net(rows, 1280)
    closing = mobilenetv3.Conv2dNormActivation(
        1440, 1440, 1, norm_layer=functools.partial(nn.BatchNorm2d, eps=1e-5, momentum=0.1),
        activation_layer=nn.Hardswish)
    model.features.append(closing)
    return model


def tf_small():
    return pad_as_tensorflow(timm_net(*rows_of("small"), eps=1e-3))


def tf_large_minimal():
    rows, last_channel = rows_of("large")
    model = timm_net([[i, 3, expanded, out, False, "RE", stride, dilation]
                      for i, _, expanded, out, _, _, stride, dilation in rows], last_channel, 1e-3)
    model.features[0][2] = nn.ReLU(inplace=True)
    model.features[-1][2] = nn.ReLU(inplace=True)
    model.classifier[1] = nn.ReLU(inplace=True)
    return pad_as_tensorflow(model)


def timm_stride_8():
    rows, last_channel = rows_of("large")
    for i, row in enumerate(rows):
        row[7] = 1 if i <= 6 else 2 if i <= 12 else 4
        row[6] = 1 if i >= 6 else row[6]
    return rows_net(rows, last_channel)


def mmseg():
    rows, last_channel = rows_of("large")
    for i, row in enumerate(rows):
        row[7] = 1 if i < 6 else 2 if i < 12 else 4
    return pad_as_tensorflow(rows_net(rows, last_channel))


def unusual():
    model = rows_net([[16, 3, 16, 16, True, "HS", 1, 1], [16, 7, 64, 24, True, "RE", 2, 1]], 1280)
    expansion = mobilenetv3.Conv2dNormActivation(
        16, 16, 1, norm_layer=functools.partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01),
        activation_layer=nn.Hardswish)
    model.features[1].block = nn.Sequential(expansion, *model.features[1].block)
    for module in model.modules():
        if isinstance(module, mobilenetv3.SElayer):
            module.scale_activation = nn.Sigmoid()
    return pad_as_tensorflow(model)


ACTIVATIONS = {"RE": nn.ReLU, "HS": nn.Hardswish, "RE6": nn.ReLU6, "SiLU": nn.SiLU, "none": None}
FrozenBatchNorm2d = torchvision.ops.misc.FrozenBatchNorm2d


class Hardsigmoid02(nn.Module):
    """PaddlePaddle's `hardsigmoid(x, slope=0.2, offset=0.5)`."""

    def forward(self, x):
        return (0.2 * x + 0.5).clamp(0, 1)

    def __repr__(self):
        return "Hardsigmoid(slope=0.2)"


class AdaptiveAvgMaxPool2d(nn.Module):
    """timm's module of this name."""

    def forward(self, x):
        average = nn.functional.adaptive_avg_pool2d(x, 1)
        return 0.5 * (average + nn.functional.adaptive_max_pool2d(x, 1))


class Row(mobilenetv3.InvertedResidualConfig):
    """A row with what torchvision's cannot say."""

    def __init__(self, inputs, kernel, expanded, outputs, use_se, activation, stride, dilation=1,
                 width_mult=1.0, residual=True, expands_always=False, projection="none"):
        super().__init__(inputs, kernel, expanded, outputs, use_se, activation, stride, dilation,
                         width_mult)
        self.activation, self.residual = activation, residual
        self.expands_always, self.projection = expands_always, projection


@dataclasses.dataclass
class Squeeze:
    divisor: int = 8
    ratio: int = 4
    gate: object = nn.Hardsigmoid
    activation: object = nn.ReLU  # None: the block's own

    def __call__(self, row):
        width = mobilenetv3._make_divisible(row.expanded_channels // self.ratio, self.divisor)
        own = ACTIVATIONS[row.activation] or nn.Identity
        return mobilenetv3.SElayer(row.expanded_channels, width, self.activation or own, self.gate)


class Block(mobilenetv3.InvertedResidual):
    """torchvision's building blocks put together as a `Row` says."""

    def __init__(self, row, norm_layer, squeeze):
        nn.Module.__init__(self)
        conv = functools.partial(mobilenetv3.Conv2dNormActivation, norm_layer=norm_layer)
        activation, expanded = ACTIVATIONS[row.activation], row.expanded_channels
        layers = []
        if row.expands_always or expanded != row.input_channels:
            layers.append(conv(row.input_channels, expanded, 1, activation_layer=activation))
        layers.append(conv(expanded, expanded, row.kernel, 1 if row.dilation > 1 else row.stride,
                           dilation=row.dilation, groups=expanded, activation_layer=activation))
        if row.use_se:
            layers.append(squeeze(row))
        layers.append(conv(expanded, row.out_channels, 1,
                           activation_layer=ACTIVATIONS[row.projection]))
        self.block = nn.Sequential(*layers)
        self.use_res_connect = (row.residual and row.stride == 1
                                and row.input_channels == row.out_channels)

    def forward(self, x):
        return x + self.block(x) if self.use_res_connect else self.block(x)

    def _get_name(self):
        return "InvertedResidual"


class Assembled(mobilenetv3.MobileNetV3):
    """torchvision's MobileNetV3 with what its constructor does not take."""

    def __init__(self, rows, last_channel=1280, num_classes=1000, dropout=0.2, *,
                 norm_layer=functools.partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01),
                 activation="HS", closing=None, hidden_layer=True, pooling=nn.AdaptiveAvgPool2d(1),
                 squeeze=Squeeze()):
        nn.Module.__init__(self)
        conv = functools.partial(mobilenetv3.Conv2dNormActivation, norm_layer=norm_layer,
                                 activation_layer=ACTIVATIONS[activation])
        layers = [conv(3, rows[0].input_channels, stride=2),
                  *(Block(row, norm_layer, squeeze) for row in rows)]
        width = rows[-1].out_channels
        for outputs in [6 * width] if closing is None else closing:
            layers.append(conv(width, outputs, 1))
            width = outputs
        self.features = nn.Sequential(*layers)
        self.avgpool = pooling
        hidden = []
        if hidden_layer:
            own = ACTIVATIONS[activation]
            hidden = [nn.Linear(width, last_channel), own(inplace=True) if own else nn.Identity()]
            width = last_channel
        self.classifier = nn.Sequential(*hidden, nn.Dropout(p=dropout, inplace=True),
                                        nn.Linear(width, num_classes))
        for m in self.modules():  # as torchvision's constructor ends
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out")
                if m.bias is not None:
                    nn.init.zeros_(m.bias)
            elif isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.ones_(m.weight)
                nn.init.zeros_(m.bias)
            elif isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, 0, 0.01)
                nn.init.zeros_(m.bias)

    def _get_name(self):
        return "MobileNetV3"


def replaced_pooling(pooling):
    model = brief_net()
    model.avgpool = pooling
    return model


def brief_rows():
    return rows_of("small")[0][:5]


def constructed(rows, last_channel, num_classes, **arguments):
    """torchvision's own constructor."""
    rows = [mobilenetv3.InvertedResidualConfig(*(*row, 1.0)[:9]) for row in rows]
    return mobilenetv3.MobileNetV3(rows, last_channel, num_classes, **arguments)


def brief_net(**arguments):
    return constructed(brief_rows(), 64, 10, **arguments)


def small_net(**arguments):
    return constructed(*rows_of("small"), 1000, **arguments)


def activated(activation):
    rows = [Row(*row[:5], activation, *row[6:]) for row in brief_rows()]
    return Assembled(rows, 64, 10, activation=activation, squeeze=Squeeze(activation=None))


def replaced(model, kind, make):
    """`model` with another module for each one of a kind; none of them has weights."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, kind):
                setattr(module, name, make())
    return model


class ScaledResidual(mobilenetv3.InvertedResidual):
    """A user's block: torchvision's with a factor for each channel of what it adds."""

    def __init__(self, row, norm_layer):
        super().__init__(row, norm_layer)
        self.scale = nn.Parameter(torch.full((row.out_channels, 1, 1), 0.5))

    def forward(self, x):
        y = self.scale * self.block(x)
        return y + x if self.use_res_connect else y


class PreNorm(nn.Module):
    """A user's block that has nothing of torchvision's: norm and activation before a convolution."""

    def __init__(self, row, norm_layer):
        super().__init__()

        def unit(inputs, outputs, kernel, stride):
            return nn.Sequential(nn.GroupNorm(4, inputs), nn.SiLU(),
                                 nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2))

        self.block = nn.Sequential(unit(row.input_channels, row.expanded_channels, 3, row.stride),
                                   unit(row.expanded_channels, row.out_channels, 1, 1))
        self.shortcut = None
        if row.stride != 1 or row.input_channels != row.out_channels:
            self.shortcut = nn.Conv2d(row.input_channels, row.out_channels, 1, row.stride,
                                      bias=False)

    def forward(self, x):
        return self.block(x) + (x if self.shortcut is None else self.shortcut(x))


def width_of_rows():
    return constructed([[16, 3, 16, 16, True, "RE", 2, 1, 0.5],
                        [16, 3, 72, 24, False, "RE", 2, 1, 0.5],
                        [20, 3, 88, 20, False, "RE", 1, 1, 0.75],
                        [20, 5, 96, 40, True, "HS", 2, 1, 0.75],
                        [40, 5, 240, 40, True, "HS", 1, 2, 0.75]], 64, 10)


def recogniser():
    """PaddleOCR's rec_mobilenet_v3.py, small x0.35: its blocks always have an expansion."""
    rows = [Row(*row[:6], (2, 1) if row[6] == 2 else 1, 1, 0.35, expands_always=True)
            for row in rows_of("small")[0]]
    return Assembled(rows, num_classes=37, norm_layer=nn.BatchNorm2d, closing=[200],
                     hidden_layer=False, squeeze=Squeeze(divisor=1, gate=Hardsigmoid02))


def pruned():
    rows = [Row(16, 3, 16, 16, False, "RE", 1), Row(16, 3, 48, 24, False, "RE", 2),
            Row(24, 5, 56, 32, True, "RE", 2), Row(32, 3, 120, 48, False, "HS", 2),
            Row(48, 3, 160, 48, False, "HS", 1), Row(48, 5, 344, 64, True, "HS", 2),
            Row(64, 5, 280, 64, True, "HS", 1)]
    return Assembled(rows, closing=[480])


def novel(norm_layer):
    rows = [Row(16, 3, 16, 16, True, "RE6", (2, 1)), Row(16, 5, 48, 24, True, "SiLU", (1, 2)),
            Row(24, 3, 72, 24, False, "none", 1),
            Row(24, 3, 24, 24, True, "HS", 1, expands_always=True, projection="RE6"),
            Row(24, 5, 24, 40, True, "RE", 2, projection="SiLU"),
            Row(40, 3, 120, 40, False, "SiLU", 1, 2, residual=False)]
    return Assembled(rows, 48, 10, norm_layer=norm_layer, activation="SiLU", closing=[96],
                     pooling=AdaptiveAvgMaxPool2d(),
                     squeeze=Squeeze(divisor=1, ratio=3, gate=Hardsigmoid02, activation=None))


LCNET_STAGES = [[(3, 1, 32, False)], [(3, 2, 64, False), (3, 1, 64, False)],
                [(3, 2, 128, False), (3, 1, 128, False)],
                [(3, 2, 256, False), (5, 1, 256, False)], [(5, 1, 256, False)] * 4,
                [(5, 2, 512, True), (5, 1, 512, True)]]  # kernel, stride, channels, SE


class DepthwiseSeparableConv(nn.Module):
    """timm's, as LCNet has it: no residual, and an activation after the second convolution."""

    def __init__(self, inputs, outputs, kernel, stride, use_se):
        super().__init__()
        self.conv_dw = nn.Conv2d(inputs, inputs, kernel, stride, kernel // 2, groups=inputs,
                                 bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.se = nn.Identity()
        if use_se:
            self.se = nn.Module()
            self.se.conv_reduce = nn.Conv2d(inputs, round(inputs / 4), 1)
            self.se.conv_expand = nn.Conv2d(round(inputs / 4), inputs, 1)
            self.se.forward = lambda x: x * nn.functional.hardsigmoid(self.se.conv_expand(
                self.se.conv_reduce(x.mean((2, 3), keepdim=True)).relu()))
        self.conv_pw = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x):
        x = self.se(nn.functional.hardswish(self.bn1(self.conv_dw(x))))
        return nn.functional.hardswish(self.bn2(self.conv_pw(x)))


class LCNet(nn.Module):
    """timm's LCNet, under its names; an activation, pooling or dropout has no tensors."""

    def __init__(self, width):
        super().__init__()
        stem = mobilenetv3._make_divisible(16 * width, 8)
        self.conv_stem = nn.Conv2d(3, stem, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.act1, self.blocks, inputs = nn.Hardswish(), nn.Sequential(), stem
        for stage in LCNET_STAGES:
            self.blocks.append(nn.Sequential())
            for kernel, stride, channels, use_se in stage:
                outputs = mobilenetv3._make_divisible(channels * width, 8)
                self.blocks[-1].append(
                    DepthwiseSeparableConv(inputs, outputs, kernel, stride, use_se))
                inputs = outputs
        self.global_pool = nn.AdaptiveAvgPool2d(1)
        self.conv_head = nn.Conv2d(inputs, 1280, 1)
        self.act2 = nn.Hardswish()
        self.classifier = nn.Linear(1280, 1000)

    @property
    def features(self):
        return [self.act1, *(block for stage in self.blocks for block in stage)]

    def forward(self, x):
        x = self.blocks(self.act1(self.bn1(self.conv_stem(x))))
        return self.classifier(self.act2(self.conv_head(self.global_pool(x))).flatten(1))


def lcnet_of_torchvision():
    """The same network of torchvision's building blocks."""
    stages = [row for stage in LCNET_STAGES for row in stage]
    outputs = [mobilenetv3._make_divisible(channels / 2, 8) for _, _, channels, _ in stages]
    rows = [Row(inputs, kernel, inputs, out, use_se, "HS", stride, residual=False, projection="HS")
            for inputs, out, (kernel, stride, _, use_se) in zip([8, *outputs], outputs, stages)]
    return Assembled(rows, dropout=0.0, norm_layer=nn.BatchNorm2d, closing=[])


def ssdlite():
    model = torchvision.models.detection.ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None)
    return model.backbone


class ConvModule(nn.Sequential):
    """mmcv's: a convolution, its norm and an activation."""

    def __init__(self, inputs, outputs, kernel, activation=None, stride=1, groups=1):
        super().__init__()
        self.add_module("conv", nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2,
                                          groups=groups, bias=False))
        self.add_module("bn", nn.BatchNorm2d(outputs, eps=0.001, momentum=0.01))
        if activation:
            self.add_module("activate", activation())


class MmpretrainSqueeze(nn.Module):
    def __init__(self, channels):
        super().__init__()
        width = mobilenetv3._make_divisible(channels // 4, 8)
        self.conv1 = nn.Sequential(collections.OrderedDict(
            conv=nn.Conv2d(channels, width, 1), activate=nn.ReLU()))
        self.conv2 = nn.Sequential(collections.OrderedDict(
            conv=nn.Conv2d(width, channels, 1), activate=nn.Hardsigmoid()))

    def forward(self, x):
        return x * self.conv2(self.conv1(x.mean((2, 3), keepdim=True)))


class MmpretrainBlock(nn.Module):
    def __init__(self, inputs, kernel, expanded, outputs, use_se, activation, stride, _):
        super().__init__()
        activation = ACTIVATIONS[activation]
        if expanded != inputs:
            self.expand_conv = ConvModule(inputs, expanded, 1, activation)
        self.depthwise_conv = ConvModule(expanded, expanded, kernel, activation, stride, expanded)
        if use_se:
            self.se = MmpretrainSqueeze(expanded)
        self.linear_conv = ConvModule(expanded, outputs, 1)
        self.has_residual = stride == 1 and inputs == outputs

    def forward(self, x):
        y = x
        for child in self.children():
            y = child(y)
        return x + y if self.has_residual else y


class MmpretrainLinear(nn.Module):
    """A layer of its `StackedLinearClsHead`."""

    def __init__(self, inputs, outputs, activation=None, dropout=0.0):
        super().__init__()
        self.fc = nn.Linear(inputs, outputs)
        self.rest = nn.Sequential(*([activation()] if activation else []),
                                  *([nn.Dropout(dropout)] if dropout else []))

    def forward(self, x):
        return self.rest(self.fc(x))


class Mmpretrain(nn.Module):
    """mmpretrain 1.2's `mobilenet-v3-small`, with our own words but its names and numbers.

    Source: its models/backbones/mobilenet_v3.py, models/utils/inverted_residual.py and se_layer.py,
    models/heads/stacked_head.py, configs/_base_/models/mobilenet_v3/mobilenet_v3_small_imagenet.py.
    """

    def __init__(self):
        super().__init__()
        rows, last_channel = rows_of("small")
        layers = [ConvModule(3, 16, 3, nn.Hardswish, 2), *(MmpretrainBlock(*row) for row in rows),
                  ConvModule(96, 576, 1, nn.Hardswish)]
        self.backbone = nn.Sequential(collections.OrderedDict(
            (f"layer{i}", layer) for i, layer in enumerate(layers)))
        self.head = nn.Sequential(collections.OrderedDict(layers=nn.Sequential(
            MmpretrainLinear(576, last_channel, nn.Hardswish, 0.2),
            MmpretrainLinear(last_channel, 1000))))

    def forward(self, x):
        return self.head(self.backbone(x).mean((2, 3)))


def up_to_expansion_13(key):
    feature = int(key.split(".")[1]) if key.startswith("features.") else 99
    return feature < 13 or key.startswith("features.13.block.0.")


@dataclasses.dataclass
class Net:
    build: object  # makes torchvision's module
    taps: tuple = ()  # its submodules whose outputs are ours; empty: what it returns
    keeps: object = staticmethod(lambda key: True)  # which names of its state dict exist in ours
    channels: int = 3
    prints: bool = True  # as ours does
    has_table: bool = True  # which tells names and costs


def classifier(size, **arguments):
    return Net(functools.partial(torchvision_net, size, **arguments))


def headless(size, taps, keeps=lambda key: key.startswith("features.")):
    return Net(functools.partial(torchvision_net, size), taps, keeps)


CLASSIFIERS = {
    "large": classifier("large"),
    "small": classifier("small"),
    "large_dilated": classifier("large", dilated=True),
    "small_dilated": classifier("small", dilated=True),
    "large_reduced": classifier("large", reduced_tail=True),
    "small_reduced": classifier("small", reduced_tail=True),
    "large_dilated_reduced": classifier("large", dilated=True, reduced_tail=True),
    # Its block 9 has stride 2, runs at stride 1 and keeps its 48 channels: still no residual.
    "small_dilated_reduced": classifier("small", dilated=True, reduced_tail=True),
    "large_050": classifier("large", width_mult=0.5),
    "large_075": classifier("large", width_mult=0.75),
    "large_125": classifier("large", width_mult=1.25),
    "small_050": classifier("small", width_mult=0.5),
    "large_reduced_075": classifier("large", reduced_tail=True, width_mult=0.75),
    "custom": Net(custom_net, channels=1),
    "timm_large_075": Net(timm_large_075),
    "timm_rw": Net(timm_rw),
    "timm_large_150d": Net(timm_large_150d),
    "tf_small": Net(tf_small),
    "tf_large_minimal": Net(tf_large_minimal),
    "timm_stride_8": Net(timm_stride_8),
    "mmseg": Net(mmseg),
    "unusual": Net(unusual),
}
CONSTRUCTED = {
    "norm_frozen": Net(lambda: small_net(norm_layer=FrozenBatchNorm2d)),
    "norm_frozen_eps": Net(lambda: brief_net(
        norm_layer=functools.partial(FrozenBatchNorm2d, eps=1e-2))),
    "norm_group": Net(lambda: small_net(norm_layer=functools.partial(nn.GroupNorm, 8))),
    "norm_group_4": Net(lambda: brief_net(norm_layer=functools.partial(nn.GroupNorm, 4, eps=1e-3))),
    "norm_none": Net(lambda: brief_net(norm_layer=nn.Identity)),
    "activation_re6": Net(lambda: activated("RE6")),
    "activation_silu": Net(lambda: activated("SiLU")),
    "activation_none": Net(lambda: activated("none")),
    "small_re6": Net(lambda: replaced(small_net(), nn.Hardswish, lambda: nn.ReLU6(inplace=True))),
    "pooling_max": Net(lambda: replaced_pooling(nn.AdaptiveMaxPool2d(1))),
    "pooling_avgmax": Net(lambda: replaced_pooling(AdaptiveAvgMaxPool2d())),
    "gate_slope_0_2": Net(lambda: replaced(brief_net(), nn.Hardsigmoid, Hardsigmoid02)),
    "gate_sigmoid": Net(lambda: replaced(brief_net(), nn.Hardsigmoid, nn.Sigmoid)),
    "block_scaled": Net(lambda: brief_net(block=ScaledResidual), has_table=False),
    "block_scaled_group": Net(lambda: brief_net(
        block=ScaledResidual, norm_layer=functools.partial(nn.GroupNorm, 8)), has_table=False),
    # Its parts are LibTorch's own, which print as LibTorch does.
    "block_pre_norm": Net(lambda: brief_net(block=PreNorm), has_table=False, prints=False),
    "rows_width": Net(width_of_rows),
    "recogniser": Net(recogniser),
    "pruned": Net(pruned),
    "novel": Net(lambda: novel(functools.partial(FrozenBatchNorm2d, eps=1e-5))),
    "lcnet_of_torchvision": Net(lcnet_of_torchvision),
}
# Their modules are called otherwise in ours than in their files.
OTHER_NAMES = {
    "mobilenet_v2": Net(torchvision.models.mobilenet_v2, prints=False),
    "lcnet_050": Net(lambda: LCNet(0.5), prints=False),
    "lcnet_075": Net(lambda: LCNet(0.75), prints=False),
    "lcnet_100": Net(lambda: LCNet(1.0), prints=False),
    "mmpretrain": Net(Mmpretrain, prints=False),
}
CLASSIFIERS |= CONSTRUCTED | OTHER_NAMES
BRIEF_TAPS = ("features.0", "features.1", "features.2.block.0", "features.2", "features.5",
              "features.6", "avgpool", "classifier.1", "classifier.3")
NOVEL_TAPS = (*(f"features.{i}" for i in range(8)), "avgpool", "classifier.1", "classifier.3")
DEPLOYED = {
    "mobilenet_v2_all": Net(torchvision.models.mobilenet_v2,
                            (*(f"features.{i}" for i in (1, 3, 6, 13, 17, 18)), "classifier.1")),
    "lcnet_all": Net(lambda: LCNet(0.5), ("act1", "blocks.1.1", "blocks.4.3", "blocks.5.1",
                                          "global_pool", "act2", "classifier")),
    "novel_all": Net(lambda: novel(FrozenBatchNorm2d), NOVEL_TAPS),
    "novel_group_all": Net(lambda: novel(functools.partial(nn.GroupNorm, 8)), NOVEL_TAPS),
    "novel_none_all": Net(lambda: novel(nn.Identity), NOVEL_TAPS),
}
NETS = CLASSIFIERS | DEPLOYED | {
    "rvm": Net(RvmEncoder),
    "ssdlite": Net(ssdlite, ("features.0", "features.1"), lambda key: key.startswith("features.")),
    "large_all": headless("large", tuple(f"features.{i}" for i in range(17))),
    "small_all": headless("small", tuple(f"features.{i}" for i in range(13))),
    "large_inside": headless("large", ("features.4.block.0", "features.4", "features.13.block.0"),
                             up_to_expansion_13),
    "small_head": Net(functools.partial(torchvision_net, "small"),
                      ("features.3", "classifier.1", "classifier.3")),
    "brief_all": Net(brief_net, BRIEF_TAPS),
    "avgmax_all": Net(CLASSIFIERS["pooling_avgmax"].build, BRIEF_TAPS),
    "block_scaled_all": Net(CLASSIFIERS["block_scaled"].build,
                            ("features.0", "features.1", "features.3", "features.5"),
                            lambda key: key[:11] in [f"features.{i}." for i in range(6)],
                            has_table=False),
    "recogniser_head": Net(recogniser, ("features.0", "features.3", "features.12"),
                           lambda key: key.startswith("features.")),
    "pruned_detector": Net(pruned, ("features.6.block.0", "features.8"),
                           lambda key: key.startswith("features.")),
}


def outputs_of(name, model, x):
    """What the network `name` of ours should give."""
    wanted = NETS[name].taps
    if not wanted:
        outputs = model(x)
        return outputs if isinstance(outputs, list) else [outputs]
    found = {}
    with contextlib.ExitStack() as stack:
        for path in wanted:
            # torchvision's dropout writes into the embedding. Features are not to be cloned: one
            # more node in the graph, and autograd adds up gradients in another order than ours.
            is_feature = path.startswith(("features.", "blocks.", "act1"))
            kept = (lambda y: y) if is_feature else lambda y: y.flatten(1).clone()
            handle = model.get_submodule(path).register_forward_hook(
                lambda module, inputs, y, path=path, kept=kept: found.update({path: kept(y)}))
            stack.callback(handle.remove)
        up_to_features = all(path.startswith("features.") for path in wanted)
        model.features(x) if up_to_features else model(x)
    return [found[path] for path in wanted]


def fit_frozen(norm, inputs):
    """Statistics of what a frozen batch norm is about to be given."""
    x, = inputs
    norm.running_mean.copy_(x.mean((0, 2, 3)))
    norm.running_var.copy_(x.var((0, 2, 3)))


def fit_unnormed(conv, inputs, y):
    """Weights with which a convolution that no norm follows gives what one would have given."""
    scale = 1 / y.std((0, 2, 3), keepdim=True).clamp_min(1e-3)  # (1, C, 1, 1)
    conv.weight.mul_(scale.transpose(0, 1))
    return y * scale


def randomize(model, channels):
    """Weights as after training: norms with statistics of real activations, none 0 or 1."""
    model.train()
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    with torch.no_grad(), contextlib.ExitStack() as stack:
        for norm in norms:
            norm.momentum = None  # the average over all passes
        for m in model.modules():
            if isinstance(m, (nn.BatchNorm2d, FrozenBatchNorm2d, nn.GroupNorm)):
                m.weight.uniform_(0.6, 1.6)
                m.bias.normal_(0, 0.3)
            if isinstance(m, FrozenBatchNorm2d):
                stack.callback(m.register_forward_pre_hook(fit_frozen).remove)
            if isinstance(m, nn.Linear):
                m.weight.normal_(0, 1 / math.sqrt(m.in_features))
                if m.bias is not None:
                    m.bias.normal_(0, 0.1)
            elif isinstance(m, nn.Conv2d):
                # A new network's depthwise convolutions give variances far below batch norm's eps.
                nn.init.kaiming_normal_(m.weight, mode="fan_in")
                if m.bias is not None:  # squeeze-and-excitation
                    m.bias.normal_(0, 0.5)
            elif isinstance(m, mobilenetv3.Conv2dNormActivation) and isinstance(m[1], nn.Identity):
                stack.callback(m[0].register_forward_hook(fit_unnormed).remove)
        for _ in range(3):
            model(torch.rand(4, channels, 96, 96))
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
    return model.eval()


def require_alive(name, model, x, least=0.5):
    """Dead or exploding activations would be equal on both sides whatever the code does."""
    spreads = {}
    with contextlib.ExitStack() as stack, torch.no_grad():
        features = model.features if hasattr(model, "features") else model.backbone
        for i, feature in enumerate(features):
            handle = feature.register_forward_hook(
                lambda module, inputs, y, i=i: spreads.update({i: y.std(dim=(0, 2, 3))}))
            stack.callback(handle.remove)
        outputs_of(name, model, x)
    for i, spread in spreads.items():
        alive = (spread > 1e-3).float().mean().item()
        if not (alive >= least and spread.max().item() < 1e3):
            raise RuntimeError(f"{name}: only {alive:.0%} of the channels of features.{i} are "
                               f"alive, or they explode (largest deviation {spread.max():.1e})")


# ----------------------------------------------------------------------------------------- our side

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
TOOL = None
WEIGHTS = None
REFERENCES = {}


def reference(name):
    """torchvision's network and its state dict, which is also in the file NAME.pth.

    The weights are random, but for those of `set_reference`.
    """
    if name not in REFERENCES:
        torch.manual_seed(sum(name.encode()))
        channels = NETS[name].channels
        model = randomize(NETS[name].build(), channels)
        require_alive(name, model, torch.rand(2, channels, 96, 96))
        set_reference(name, model)
    return REFERENCES[name]


def set_reference(name, model):
    state = {key: value.clone() for key, value in model.state_dict().items()}
    torch.save(model.state_dict(), TOOL.folder / f"{name}.pth")
    REFERENCES[name] = model, state


def run_torchvision(name, x, mode, gradients=(), seed=0):
    """Its outputs, and by name: after training the gradients, and the state afterwards."""
    model, state = reference(name)
    keeps, train = NETS[name].keeps, mode == "train"
    model.load_state_dict(state)
    model.to(x.dtype).train(train)
    x = x.detach().requires_grad_(train)
    torch.manual_seed(seed)
    found = {}
    with torch.set_grad_enabled(train):
        outputs = outputs_of(name, model, x)
        if train:
            model.zero_grad()
            sum((y * g).sum() for y, g in zip(outputs, gradients)).backward()
            found["grad.x"] = x.grad
            found |= {f"grad.{key}": value.grad.clone()
                      for key, value in model.named_parameters() if keeps(key)}
    found |= {f"state.{key}": value.clone()
              for key, value in model.state_dict().items() if keeps(key)}
    model.to(torch.float32).eval()
    return [y.detach() for y in outputs], found


def described(state):
    return [f"{key} {list(value.shape)} {dtype_name(value.dtype)}" for key, value in state.items()]


def dtype_name(dtype):
    return str(dtype).split(".")[1]


def relative_l2(ours, theirs):
    difference = (ours.double() - theirs.double()).norm().item()
    scale = theirs.double().norm().item()
    return difference / scale if scale > 0 else difference


@dataclasses.dataclass
class Pair:
    label: str
    ours: torch.Tensor
    theirs: torch.Tensor


class Comparison(unittest.TestCase):
    """Counts comparisons, remembers the worst, and fails with a list instead of at the first."""

    @classmethod
    def setUpClass(cls):
        cls.checks, cls.worst = 0, {}
        cls.started = time.monotonic()

    @classmethod
    def tearDownClass(cls):
        group = cls.__name__.lower()
        for kind, (error, label) in sorted(cls.worst.items()):
            print(f"{group} {kind}: worst relative L2 {error:.1e} ({label})" if error > 0
                  else f"{group} {kind}: worst relative L2 0 (all equal, bit by bit)")
        print(f"{group}: {cls.checks} comparisons in {time.monotonic() - cls.started:.0f} s; "
              f"torch {torch.__version__}, torchvision {torchvision.__version__}")

    @contextlib.contextmanager
    def case(self, title):
        with self.subTest(title):
            self.wrong, self.title = [], title
            before = self.checks
            yield
            if self.wrong:
                more = f"\n  ... ({len(self.wrong) - 10} more)" if len(self.wrong) > 10 else ""
                self.fail(f"{title}: {len(self.wrong)} of {self.checks - before} comparisons:\n  "
                          + "\n  ".join(self.wrong[:10]) + more)

    def check(self, good, text):
        type(self).checks += 1
        if not good:
            self.wrong.append(text)

    def compare_lists(self, what, ours, theirs):
        self.check(len(ours) == len(theirs), f"{what}: {len(ours)} lines, not {len(theirs)}")
        for number, (mine, other) in enumerate(zip(ours, theirs), 1):
            self.check(mine == other, f"{what} {number}: {mine!r}, torchvision: {other!r}")

    def compare(self, pair, kind, limit, excuse=lambda pair: False):
        ours, theirs = pair.ours, pair.theirs
        self.check(ours.dtype == theirs.dtype and ours.shape == theirs.shape,
                   f"{pair.label}: {dtype_name(ours.dtype)} {tuple(ours.shape)}, torchvision: "
                   f"{dtype_name(theirs.dtype)} {tuple(theirs.shape)}")
        if ours.shape != theirs.shape or ours.numel() == 0:
            return
        if not theirs.is_floating_point():
            self.check(torch.equal(ours, theirs), f"{pair.label}: {ours}, torchvision: {theirs}")
            return
        error = relative_l2(ours, theirs)
        if error > limit and excuse(pair):
            return
        if error > self.worst.get(kind, (-1, ""))[0]:
            self.worst[kind] = (error, f"{self.title}, {pair.label}")
        self.check(error <= limit, f"{pair.label}: relative L2 {error:.2e} > {limit:.0e}")

    def forward(self, name, x, mode, gradients=(), seed=0):
        """Runs both sides; returns pairs of outputs, of gradients and of the states afterwards."""
        reference(name)
        torch.save({"x": x, **{f"g{i}": g for i, g in enumerate(gradients)}},
                   TOOL.folder / "in.pth")
        TOOL.ask("forward", name, dtype_name(x.dtype), mode, seed, f"{name}.pth", "in.pth",
                 "out.pth")
        ours = torch.load(TOOL.folder / "out.pth")
        self.check(tuple(ours["strides.x"].tolist()) == x.stride(), "the input lost its layout")

        outputs, found = run_torchvision(name, x, mode, gradients, seed)
        pairs = [Pair(f"output {i}", ours.pop(f"output.{i}"), y) for i, y in enumerate(outputs)]
        for i, y in enumerate(outputs):
            strides = ours[f"strides.{i}"].tolist()
            self.check(tuple(strides) == y.stride(),
                       f"output {i} has strides {strides}, torchvision's {y.stride()}")
        rest = [key for key in ours if not key.startswith("strides.")]
        self.check(rest == list(found), f"not the same names: {set(rest) ^ set(found)}")
        pairs += [Pair(key, ours[key], found[key]) for key in rest if key in found]
        return [[pair for pair in pairs if pair.label.startswith(kind)]
                for kind in ("output", "grad", "state")]

    def evaluate(self, name, x, kind=None):
        outputs, _, states = self.forward(name, x, "eval")
        for pair in outputs:
            self.compare(pair, kind or dtype_name(x.dtype), LIMIT[x.dtype])
        for pair in states:
            self.check(torch.equal(pair.ours, pair.theirs), f"eval changed {pair.label}")
        return outputs

    def check_deployed(self, name, x):
        reference(name)  # for the file
        torch.save({"x": x}, TOOL.folder / "in.pth")
        TOOL.ask("deploy", name, f"{name}.pth", "in.pth", "out.pth")
        ours = torch.load(TOOL.folder / "out.pth")
        exact, _ = run_torchvision(name, x.double(), "eval")
        rounded, _ = run_torchvision(name, x, "eval")
        theirs = [relative_l2(y, z) for y, z in zip(rounded, exact)]
        self.check(len(ours) >= len(exact), f"{len(ours)} outputs")
        in_bfloat16 = {label: ours.pop(label) for label in list(ours) if "bfloat16" in label}
        self.check_bfloat16(name, x, exact, list(in_bfloat16.values()))
        above = 0
        for label, y in ours.items():
            i = int(label.split()[-1])
            self.check(y.dtype == torch.float32, f"{label}: {dtype_name(y.dtype)}")
            self.compare(Pair(f"{label}, torchvision's {theirs[i]:.1e}", y.double(), exact[i]),
                         "deployed", max(DEPLOYED_LIMIT, DEPLOYED_RATIO * theirs[i]))
            above += relative_l2(y, exact[i]) > DEPLOYED_LIMIT
        print(f"{name} deployed: {above} of {len(ours)} outputs above {DEPLOYED_LIMIT:.0e}; "
              f"torchvision in float32: {sum(e > DEPLOYED_LIMIT for e in theirs)} of {len(theirs)}")

    def check_bfloat16(self, name, x, exact, ours):
        """Less is rounded than by torchvision's network converted to bfloat16."""
        if not ours:
            print(f"{name} deployed in bfloat16: SKIPPED, this CPU has no AVX512-BF16")
            return
        theirs, _ = run_torchvision(name, x.bfloat16(), "eval")
        errors = [(relative_l2(y.double(), z), relative_l2(t.double(), z))
                  for y, t, z in zip(ours, theirs, exact)]
        for i, (error, limit) in enumerate(errors):
            self.check(ours[i].dtype == torch.float32, f"bfloat16: {dtype_name(ours[i].dtype)}")
            self.check(error <= limit,
                       f"bfloat16 output {i}: {error:.1e}, torchvision's {limit:.1e}")
        print("{} deployed in bfloat16, largest error: {:.1e}; torchvision's {:.1e}".format(
            name, *map(max, zip(*errors))))


# ---------------------------------------------------------------------------------------- the tests

class Keys(Comparison):
    """Names, order, shapes and dtypes: of the table, of the file that we write, of torchvision."""

    def test_networks(self):
        for name, net in NETS.items():
            with self.case(name):
                _, state = reference(name)
                TOOL.ask("keys", name, "keys.txt")
                TOOL.ask("resave", name, f"{name}.pth", "saved.pth")
                saved = torch.load(TOOL.folder / "saved.pth")
                theirs = {key: value for key, value in state.items() if net.keeps(key)}
                if net.has_table:
                    table = (TOOL.folder / "keys.txt").read_text().splitlines()
                    self.compare_lists("name in the table", table, described(theirs))
                self.compare_lists("name in the file", described(saved), described(theirs))
                for key, value in theirs.items():
                    self.check(key in saved and torch.equal(saved[key], value),
                               f"{key} is not what was loaded")

    def test_python_loads_what_we_save(self):
        for name, net in NETS.items():
            if name not in CLASSIFIERS and name != "rvm":
                continue  # of the others only a part exists in ours
            with self.case(name):
                TOOL.ask("init", name, 3, "saved.pth")
                model = net.build()
                model.load_state_dict(torch.load(TOOL.folder / "saved.pth"), strict=True)
                reference(name)  # for the file
                TOOL.ask("resave", name, f"{name}.pth", "saved.pth")
                model.load_state_dict(torch.load(TOOL.folder / "saved.pth"), strict=True)
                x = torch.rand(2, net.channels, 64, 64)
                torch.save({"x": x}, TOOL.folder / "in.pth")
                TOOL.ask("forward", name, "float32", "eval", 0, "saved.pth", "in.pth", "out.pth")
                ours = torch.load(TOOL.folder / "out.pth")
                with torch.no_grad():
                    for i, y in enumerate(outputs_of(name, model.eval(), x)):
                        self.compare(Pair(f"output {i}", ours[f"output.{i}"], y), "float32",
                                     LIMIT[torch.float32])


class Eval(Comparison):
    """Outputs and taps with running statistics."""

    def test_sizes(self):
        for name, net in NETS.items():
            sizes = [(1, 224, 224), (1, 225, 225), (3, 97, 131), (3, 32, 32)]
            if name not in ("large", "small", "rvm", "large_dilated"):
                sizes = [(3, 97, 131)]
            for batch, height, width in sizes:
                for dtype in (torch.float32, torch.float64):
                    with self.case(f"{name} {batch}x{height}x{width}"):
                        self.evaluate(name, torch.rand(batch, net.channels, height, width,
                                                       dtype=dtype))

    def test_layouts(self):
        for name in ("large", "small", "rvm", "large_all", "small_head"):
            x = torch.rand(3, 3, 97, 131)
            layouts = {"channels_last": x.contiguous(memory_format=torch.channels_last),
                       "transposed": x.transpose(2, 3),
                       "every other row": x[:, :, ::2],
                       "batch in the middle": x.transpose(0, 1).contiguous().transpose(0, 1)}
            for layout, laid_out in layouts.items():
                for dtype in (torch.float32, torch.float64):
                    with self.case(f"{name} {layout}"):
                        self.evaluate(name, laid_out.to(dtype))

    def test_empty_batch(self):
        for name in ("large", "small", "rvm", "large_all", "small_head"):
            with self.case(f"{name} batch 0"):
                for pair in self.evaluate(name, torch.rand(0, 3, 64, 64)):
                    self.check(pair.ours.shape[0] == 0, f"{pair.label} is not empty")

    def test_bfloat16(self):
        for name in ("large", "small", "rvm"):
            with self.case(f"{name} bfloat16"):
                for pair in self.evaluate(name, torch.rand(2, 3, 64, 64).bfloat16()):
                    self.check(pair.ours.isfinite().all(), f"{pair.label} is not finite")

    def test_sequences(self):
        x = torch.rand(2, 3, 3, 64, 96)
        for label, x in {"2x3": x, "1x1": x[:1, :1], "no time": x[:, :0], "no batch": x[:0],
                         "time first": x.transpose(0, 1), "every other": x[:, ::2]}.items():
            for dtype in (torch.float32, torch.float64):
                with self.case(f"rvm sequence {label}"):
                    self.evaluate("rvm", x.to(dtype))


class Train(Comparison):
    """One step: outputs, gradients of everything, running statistics, with dropout by one seed."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.vanishing = []

    @classmethod
    def tearDownClass(cls):
        if cls.vanishing:
            ours, theirs = map(max, zip(*cls.vanishing))
            print(f"train: {len(cls.vanishing)} gradients are 0 but for rounding; largest, of the "
                  f"same batch norm's other gradient: ours {ours:.0e}, torchvision's {theirs:.0e}")
        super().tearDownClass()

    def step(self, name, x):
        torch.manual_seed(7)
        shapes = [y.shape for y in self.outputs(name, x)]
        gradients = [torch.randn(shape, dtype=x.dtype) for shape in shapes]
        outputs, grads, states = self.forward(name, x, "train", gradients, seed=5)
        excuse = self.vanishes(name, x, gradients, seed=5)
        dtype = dtype_name(x.dtype)
        for kind, pairs in {"outputs": outputs, "gradients": grads, "states": states}.items():
            self.check(pairs, f"no {kind} were compared")
            for pair in pairs:
                self.compare(pair, f"{kind} {dtype}", LIMIT[x.dtype], excuse)
        model, before = reference(name)
        frozen = any(isinstance(module, FrozenBatchNorm2d) for module in model.modules())
        for pair in states:
            if pair.label.endswith(("running_mean", "running_var", "num_batches_tracked")):
                moved = not torch.equal(pair.ours, before[pair.label[6:]].to(pair.ours.dtype))
                self.check(moved != frozen,
                           f"{pair.label} has {'moved' if frozen else 'not moved'}")

    def vanishes(self, name, x, gradients, seed):
        """Makes the judge of gradients that are 0, of which both sides have only rounding errors.

        What a batch norm's bias adds goes through a 1x1 convolution into the next batch norm, which
        takes it away again. Such a gradient is 0 in torchvision's float64, and must be as good as 0
        on both sides, by the scale of the same batch norm's other gradient.

        And of those that this processor's order of sums rounds by more than the limit in torchvision's
        own run: ours must be as near to float64 as torchvision's, within twice. (With AVX-512 a gate's
        gradients are 1.2e-5 away from float64 on both sides. In float64 the limit stands.)
        """
        @functools.lru_cache(maxsize=None)
        def truth():
            in_float64 = [g.double() for g in gradients]
            return run_torchvision(name, x.double(), "train", in_float64, seed)[1]

        def judge(pair):
            if x.dtype == torch.float32 and pair.label in truth():
                ours, theirs = (relative_l2(g, truth()[pair.label]) for g in (pair.ours, pair.theirs))
                if ours <= 2 * theirs and LIMIT[x.dtype] / 2 < theirs < 10 * LIMIT[x.dtype]:
                    return True
            other = pair.label.removesuffix("bias") + "weight"
            if not pair.label.endswith(".bias") or truth()[other].dim() != 1:
                return False
            scale = truth()[other].norm().item()
            if truth()[pair.label].norm().item() > LIMIT[torch.float64] * scale:
                return False
            sizes = pair.ours.norm().item() / scale, pair.theirs.norm().item() / scale
            if max(sizes) > LIMIT[x.dtype]:
                return False
            self.vanishing.append(sizes)
            return True

        return judge

    def outputs(self, name, x):
        with torch.no_grad():
            return outputs_of(name, reference(name)[0], x.float())

    def test_networks(self):
        for name, net in NETS.items():
            for dtype in (torch.float32, torch.float64):
                with self.case(f"{name} training step"):
                    self.step(name, torch.rand(3, net.channels, 64, 80).to(dtype))

    def test_layouts(self):
        # Not in float32: its gradients can jump, where a rounding error takes a value across the
        # kink of a ReLU. Ours and torchvision's are then alike, but 2e-2 away from float64.
        for name in ("large", "small", "rvm"):
            with self.case(f"{name} training step, channels_last"):
                x = torch.rand(3, 3, 64, 80, dtype=torch.float64)
                self.step(name, x.contiguous(memory_format=torch.channels_last))

    def test_sequence(self):
        with self.case("rvm training step, sequence"):
            self.step("rvm", torch.rand(2, 2, 3, 64, 80))


class Init(Comparison):
    """With one seed, both random generators give the same network, bit by bit."""

    def test_networks(self):
        alike = ["large", "small", "large_075", "small_reduced", "mobilenet_v2", *CONSTRUCTED]
        for name in alike:
            for seed in (0, 1234):
                with self.case(f"{name} seed {seed}"):
                    TOOL.ask("init", name, seed, "init.pth")
                    ours = torch.load(TOOL.folder / "init.pth")
                    torch.manual_seed(seed)
                    theirs = NETS[name].build().state_dict()
                    self.compare_lists("name", list(ours), list(theirs))
                    for key, value in theirs.items():
                        self.check(key in ours and torch.equal(ours[key], value), f"{key} differs")


class Segmenter(nn.Module):
    """A user's own module with a network inside."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone


class Print(Comparison):
    """The module tree, line by line: of a network, and of each part of what contains one."""

    def test_networks(self):
        for name, net in CLASSIFIERS.items():
            if not net.prints:
                continue
            with self.case(name):
                TOOL.ask("print", name, "tree.txt")
                ours = (TOOL.folder / "tree.txt").read_text().splitlines()
                model = net.build()
                theirs = [str(model), *(f"{path}: {module}" for path, module
                                        in Segmenter(model).named_modules())]
                self.compare_lists("line", ours, "\n".join(theirs).splitlines())


class Costs(Comparison):
    """What a table tells of a network: by torchvision's parameters, and counted while it runs."""

    @staticmethod
    def macs(name, model, x):
        found = []
        with contextlib.ExitStack() as stack, torch.no_grad():
            for m in model.modules():
                if isinstance(m, (nn.Conv2d, nn.Linear)):
                    stack.callback(m.register_forward_hook(
                        lambda m, inputs, y: found.append(y.numel() * m.weight[0].numel())).remove)
            outputs_of(name, model.eval(), x)
        return sum(found)

    def counts(self, name, height, width):
        TOOL.ask("costs", name, height, width, "costs.txt")
        return tuple(map(int, (TOOL.folder / "costs.txt").read_text().split()))

    def test_networks(self):
        for name, net in CLASSIFIERS.items():
            if not net.has_table:
                continue
            with self.case(name):
                model = net.build()
                theirs = (sum(p.numel() for p in model.parameters()),
                          self.macs(name, model, torch.rand(1, net.channels, 96, 130)))
                ours = self.counts(name, 96, 130)
                self.check(ours == theirs, f"parameters, MACs: {ours}, torchvision: {theirs}")

    def test_published(self):
        meta = torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1.meta
        with self.case("mobilenet_v2"):
            self.check(self.counts("mobilenet_v2", 224, 224) == (meta["num_params"], 300774272),
                       "not what torchvision publishes")
        # Source: timm 1.0.29 results/results-imagenet.csv, in millions.
        for name, millions in {"lcnet_050": 1.88, "lcnet_075": 2.36, "lcnet_100": 2.95}.items():
            with self.case(name):
                parameters, _ = self.counts(name, 224, 224)
                self.check(round(parameters / 1e6, 2) == millions,
                           f"{parameters} parameters, timm publishes {millions} M")


class Deployed(Comparison):
    """What is deployed straight from a file, on every instruction set that the machine has."""

    def test_networks(self):
        for name, net in DEPLOYED.items():
            with self.case(name):
                self.check_deployed(name, torch.rand(2, net.channels, 97, 131))


class Real(Comparison):
    """torchvision's published weights on photographs."""

    def setUp(self):
        self.file = WEIGHTS / "torchvision_mobilenet_v3_small" / "features_imagenet1k_v1.pt"
        folder = WEIGHTS.parent / "photos"
        self.photos = sorted([*folder.glob("*.png"), *folder.glob("*.jpg")])
        if not self.file.exists() or not self.photos:
            text = f"there is no {self.file}" if not self.file.exists() else f"{folder} is empty"
            print(f"SKIPPED, NOTHING WAS COMPARED: {text}", file=sys.stderr)
            self.skipTest(text)

    def pictures(self):
        """As torchvision prepares them for this network."""
        prepare = torchvision.models.MobileNet_V3_Small_Weights.IMAGENET1K_V1.transforms()
        return torch.stack([prepare(Image.open(path).convert("RGB")) for path in self.photos])

    def test_small(self):
        model, _ = reference("small_all")
        # The file was made of nn.Sequential(model.features, ...): features.0 is called 0.0 there.
        real = torch.load(self.file)
        self.assertTrue(all(key.startswith("0.") for key in real), "not the file of NOTE.md")
        model.features.load_state_dict({key[2:]: value for key, value in real.items()}, strict=True)
        set_reference("small_all", model)
        self.addCleanup(REFERENCES.clear)
        x = self.pictures()
        for dtype in (torch.float32, torch.float64):
            with self.case(f"{len(x)} photos"):
                self.check_meaning(self.evaluate("small_all", x.to(dtype))[-1].ours)
        with self.case(f"{len(x)} photos, deployed"):
            self.check_deployed("small_all", x)
        # Some channels of trained networks are dead; most are not, and none explodes.
        require_alive("small_all", model, x, least=0.75)

    def check_meaning(self, features):
        """What the network has learned must bring two pictures of one cat together."""
        pooled = nn.functional.normalize(features.mean((2, 3)))
        alike = pooled @ pooled.T - 2 * torch.eye(len(pooled), dtype=pooled.dtype)
        names = [path.stem for path in self.photos]
        if "cat" in names and "cat_720p" in names:
            nearest = names[int(alike[names.index("cat")].argmax())]
            self.check(nearest == "cat_720p", f"nearest to the cat is {nearest}")


def read_safetensors(path):
    data = path.read_bytes()
    header_bytes = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + header_bytes])
    dtypes = {"F32": torch.float32, "I64": torch.int64}
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + header_bytes + offset for offset in entry["data_offsets"])
        values = torch.frombuffer(bytearray(data[begin:end]), dtype=dtypes[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"])
    return tensors


class Timm(Comparison):
    """Google's weights under timm's names, and what timm 1.0.29 computed with them."""

    def setUp(self):
        self.folder = WEIGHTS / "tf_mobilenetv3_small_100"
        if not self.folder.exists():
            text = f"there is no {self.folder}"
            print(f"SKIPPED, NOTHING WAS COMPARED: {text}", file=sys.stderr)
            self.skipTest(text)
        self.expected = json.loads((self.folder / "expected.json").read_text())
        self.state = read_safetensors(self.folder / "tf_mobilenetv3_small_100.safetensors")
        torch.save(self.state, TOOL.folder / "tf_small_real.pth")

    def run_all(self, x):
        """Features and logits of the module and of the network deployed for each instruction set."""
        torch.save({"x": x}, TOOL.folder / "in.pth")
        files = "tf_small_real.pth", "in.pth", "out.pth"
        TOOL.ask("forward", "tf_small_real", "float32", "eval", 0, *files)
        outputs = torch.load(TOOL.folder / "out.pth")
        sides = {"module": [outputs[f"output.{i}"] for i in range(6)]}
        TOOL.ask("deploy", "tf_small_real", *files)
        for label, y in torch.load(TOOL.folder / "out.pth").items():  # "avx2 output 0"
            sides.setdefault(label.split()[0], []).append(y)
        return sides.items()

    def check_close(self, label, ours, theirs, limit):
        error = (torch.as_tensor(ours).double() - torch.as_tensor(theirs).double()).abs().max()
        self.check(error.item() <= limit, f"{label}: {error:.1e} apart, allowed are {limit:.0e}")
        if error > self.worst.get(label, (-1, ""))[0]:
            self.worst[label] = error.item(), self.title

    @classmethod
    def tearDownClass(cls):
        for label, (error, title) in sorted(cls.worst.items()):
            print(f"timm {label}: worst absolute error {error:.1e} ({title})")
        cls.worst = {}
        super().tearDownClass()

    def test_photographs(self):
        images = self.expected["images"]
        pictures = [Image.open(self.folder / image["crop_file"]) for image in images]
        x = torch.stack([torchvision.transforms.functional.to_tensor(p) for p in pictures])
        logits = torch.from_numpy(numpy.load(self.folder / "expected_logits.npy"))
        for batch in (1, len(images)):
            for first in range(0, len(images), batch):
                part = slice(first, first + batch)
                for side, outputs in self.run_all((x[part] - 0.5) / 0.5):
                    with self.case(f"{side}, {images[first]['file']}, batch {batch}"):
                        self.check_close(f"logits, {side}", outputs[-1], logits[part], 1e-4)
                        top = outputs[-1].argmax(1).tolist()
                        theirs = [image["top5"][0]["id"] for image in images[part]]
                        self.check(top == theirs, f"top-1 {top}, timm's {theirs}")

    def test_sine(self):
        golden = self.expected["golden_sin"]
        x = torch.sin(0.01 * torch.arange(3 * 224 * 224, dtype=torch.float64))
        for side, outputs in self.run_all(x.float().reshape(1, 3, 224, 224)):
            with self.case(f"{side}, sine"):
                self.check_close(f"sine's logits, {side}", outputs[-1][0, :16],
                                 golden["logits_first16"], 1e-4)
                self.check(outputs[-1].argmax().item() == golden["argmax"], "another top-1")
                for feature, y in zip(golden["features"], outputs):
                    self.check(list(y.shape) == feature["shape"], f"shape {list(y.shape)}")
                    flat = y.flatten()
                    for ours, theirs in ((flat[feature["samples_flat_index"]], feature["samples"]),
                                         (flat[:8], feature["first8"]),
                                         (flat[-8:], feature["last8"]),
                                         (flat.min(), feature["min"]),
                                         (flat.max(), feature["max"]),
                                         (flat.double().mean(), feature["mean"]),
                                         (flat.double().std(), feature["std_unbiased"])):
                        self.check_close(f"sine's features, {side}", ours, theirs, 1e-3)

    def test_saved_for_timm(self):
        with self.case("saved again"):
            TOOL.ask("resave", "tf_small_real", "tf_small_real.pth", "saved.pth")
            saved = torch.load(TOOL.folder / "saved.pth")
            # safetensors keeps no order; a static test has timm's.
            self.compare_lists("name", sorted(described(saved)), sorted(described(self.state)))
            for key, value in self.state.items():
                self.check(key in saved and torch.equal(saved[key], value), f"{key} differs")


GROUPS = {group.__name__.lower(): group for group in (Keys, Eval, Train, Init, Print, Costs, Deployed, Real,
                                                     Timm)}


def use_tool(tool):
    global TOOL
    TOOL = tool


def main():
    global WEIGHTS
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True, type=pathlib.Path)
    beside_repository = REPOSITORY.parent / "shared" / "weights"
    parser.add_argument("--weights", type=pathlib.Path,
                        default=os.environ.get("MNV3_SHARED_WEIGHTS") or beside_repository)
    parser.add_argument("group", nargs="?", choices=list(GROUPS))
    arguments = parser.parse_args()
    WEIGHTS = arguments.weights.resolve()
    torch.set_num_threads(2)  # as in tool.cpp
    torch.manual_seed(1)
    groups = [GROUPS[arguments.group]] if arguments.group else list(GROUPS.values())
    run_tests(groups, arguments.tool, use_tool)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: MIT
"""Our networks against torchvision's own, live: the same weights, the same pictures.

    parity.py --tool PROGRAM [--weights FOLDER] [keys | eval | train | init | print | real | timm]

Without a group all of them run. Exit code 77: what the group needs is not installed.
"""

import argparse
import contextlib
import dataclasses
import functools
import json
import math
import os
import pathlib
import sys
import tempfile
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

from tool_process import Tool

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


def up_to_expansion_13(key):
    feature = int(key.split(".")[1]) if key.startswith("features.") else 99
    return feature < 13 or key.startswith("features.13.block.0.")


@dataclasses.dataclass
class Net:
    build: object  # makes torchvision's module
    taps: tuple = ()  # its submodules whose outputs are ours; empty: what it returns
    keeps: object = staticmethod(lambda key: True)  # which names of its state dict exist in ours
    channels: int = 3


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
NETS = CLASSIFIERS | {
    "rvm": Net(RvmEncoder),
    "large_all": headless("large", tuple(f"features.{i}" for i in range(17))),
    "small_all": headless("small", tuple(f"features.{i}" for i in range(13))),
    "large_inside": headless("large", ("features.4.block.0", "features.4", "features.13.block.0"),
                             up_to_expansion_13),
    "small_head": Net(functools.partial(torchvision_net, "small"),
                      ("features.3", "classifier.1", "classifier.3")),
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
            # torchvision's dropout writes into the embedding. The others are not to be cloned: one
            # more node in the graph, and autograd adds up gradients in another order than ours.
            kept = torch.clone if path == "classifier.1" else lambda y: y
            handle = model.get_submodule(path).register_forward_hook(
                lambda module, inputs, y, path=path, kept=kept: found.update({path: kept(y)}))
            stack.callback(handle.remove)
        model(x) if "classifier.3" in wanted else model.features(x)
    return [found[path] for path in wanted]


def randomize(model, channels):
    """Weights as after training: batch norms with statistics of real activations, none 0 or 1."""
    model.train()
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = None  # the average over all passes
            norm.weight.uniform_(0.6, 1.6)
            norm.bias.normal_(0, 0.3)
        for m in model.modules():
            if isinstance(m, nn.Linear):
                m.weight.normal_(0, 1 / math.sqrt(m.in_features))
                if m.bias is not None:
                    m.bias.normal_(0, 0.1)
            elif isinstance(m, nn.Conv2d):
                # A new network's depthwise convolutions give variances far below batch norm's eps.
                nn.init.kaiming_normal_(m.weight, mode="fan_in")
                if m.bias is not None:  # squeeze-and-excitation
                    m.bias.normal_(0, 0.5)
        for _ in range(3):
            model(torch.rand(4, channels, 96, 96))
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
    return model.eval()


def require_alive(name, model, x, least=0.5):
    """Dead or exploding activations would be equal on both sides whatever the code does."""
    spreads = {}
    with contextlib.ExitStack() as stack, torch.no_grad():
        for i, feature in enumerate(model.features):
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


# ---------------------------------------------------------------------------------------- the tests

class Keys(Comparison):
    """Names, order, shapes and dtypes: of the table, of the file that we write, of torchvision."""

    def test_networks(self):
        for name, net in NETS.items():
            with self.case(name):
                model, state = reference(name)
                TOOL.ask("keys", name, "keys.txt")
                TOOL.ask("resave", name, f"{name}.pth", "saved.pth")
                saved = torch.load(TOOL.folder / "saved.pth")
                theirs = {key: value for key, value in state.items() if net.keeps(key)}
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
        before = reference(name)[1]
        for pair in states:
            if pair.label.endswith(("running_mean", "running_var", "num_batches_tracked")):
                self.check(not torch.equal(pair.ours, before[pair.label[6:]].to(pair.ours.dtype)),
                           f"{pair.label} has not moved")

    def vanishes(self, name, x, gradients, seed):
        """Makes the judge of gradients that are 0, of which both sides have only rounding errors.

        What a batch norm's bias adds goes through a 1x1 convolution into the next batch norm, which
        takes it away again. Such a gradient is 0 in torchvision's float64, and must be as good as 0
        on both sides, by the scale of the same batch norm's other gradient.
        """
        @functools.lru_cache(maxsize=None)
        def truth():
            in_float64 = [g.double() for g in gradients]
            return run_torchvision(name, x.double(), "train", in_float64, seed)[1]

        def judge(pair):
            other = pair.label.removesuffix("bias") + "weight"
            if not pair.label.endswith(".1.bias") or other not in truth():
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
        for name in ("large", "small", "large_075", "small_reduced"):
            for seed in (0, 1234):
                with self.case(f"{name} seed {seed}"):
                    TOOL.ask("init", name, seed, "init.pth")
                    ours = torch.load(TOOL.folder / "init.pth")
                    torch.manual_seed(seed)
                    theirs = NETS[name].build().state_dict()
                    self.compare_lists("name", list(ours), list(theirs))
                    for key, value in theirs.items():
                        self.check(key in ours and torch.equal(ours[key], value), f"{key} differs")


class Print(Comparison):
    """The module tree, line by line."""

    def test_networks(self):
        for name in CLASSIFIERS:
            with self.case(name):
                TOOL.ask("print", name, "tree.txt")
                ours = (TOOL.folder / "tree.txt").read_text().splitlines()
                self.compare_lists("line", ours, str(NETS[name].build()).splitlines())


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

    def check_deployed(self, name, x):
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
        print(f"real deployed: {above} of {len(ours)} outputs above {DEPLOYED_LIMIT:.0e}; "
              f"torchvision in float32: {sum(e > DEPLOYED_LIMIT for e in theirs)} of {len(theirs)}")

    def check_bfloat16(self, name, x, exact, ours):
        """Less is rounded than by torchvision's network converted to bfloat16."""
        if not ours:
            print("real deployed in bfloat16: SKIPPED, this CPU has no AVX512-BF16")
            return
        theirs, _ = run_torchvision(name, x.bfloat16(), "eval")
        errors = [(relative_l2(y.double(), z), relative_l2(t.double(), z))
                  for y, t, z in zip(ours, theirs, exact)]
        for i, (error, limit) in enumerate(errors):
            self.check(ours[i].dtype == torch.float32, f"bfloat16: {dtype_name(ours[i].dtype)}")
            self.check(error <= limit,
                       f"bfloat16 output {i}: {error:.1e}, torchvision's {limit:.1e}")
        print("real deployed in bfloat16, largest error: {:.1e}; torchvision's {:.1e}".format(
            *map(max, zip(*errors))))

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


GROUPS = {group.__name__.lower(): group for group in (Keys, Eval, Train, Init, Print, Real, Timm)}


def main():
    global TOOL, WEIGHTS
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
    load = unittest.defaultTestLoader.loadTestsFromTestCase
    suite = unittest.TestSuite(load(group) for group in groups)
    with tempfile.TemporaryDirectory() as folder:
        TOOL = Tool(arguments.tool.resolve(), folder)
        result = unittest.TextTestRunner(verbosity=1).run(suite)
        status = TOOL.close()
    if status != 0:
        sys.exit(f"{arguments.tool} ended with status {status}")
    if not result.wasSuccessful():
        sys.exit(1)
    if len(result.skipped) == result.testsRun:
        sys.exit(77)


if __name__ == "__main__":
    main()

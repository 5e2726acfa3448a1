# SPDX-License-Identifier: MIT
"""RobustVideoMatting beside ours. The network is stated here once more, in Python, from its
description (arXiv:2108.11515 and its published names), on torchvision's own encoder.

    matting.py --tool BUILD/tests/mnv3_matting_tool
"""

import argparse
import pathlib
import sys
import unittest

from tool_process import Tool, run_tests

try:
    import torch
    import torch.nn.functional as F
    from torch import nn
    from torchvision.models import mobilenetv3
except ImportError as error:
    print(f"SKIPPED: {sys.executable}: {error}", file=sys.stderr)
    sys.exit(77)

TOLERANCE = 1e-5  # relative L2, of each output and state
tool: Tool
worst = {}


class Encoder(nn.Module):
    """torchvision's dilated Large without its classifier; takes what is not normalised."""

    def __init__(self):
        super().__init__()
        rows, last = mobilenetv3._mobilenet_v3_conf("mobilenet_v3_large", dilated=True)
        # The published table has the stride 2 that the dilated depthwise does not use.
        self.features = mobilenetv3.MobileNetV3(rows, last).features

    def forward(self, x):
        mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1).to(x)
        std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1).to(x)
        x = (x - mean) / std
        kept = []
        for i, feature in enumerate(self.features):
            x = feature(x)
            if i in (1, 3, 6, 16):
                kept.append(x)
        return kept


class Aspp(nn.Module):
    def __init__(self):
        super().__init__()
        self.aspp1 = nn.Sequential(nn.Conv2d(960, 128, 1, bias=False), nn.BatchNorm2d(128), nn.ReLU())
        self.aspp2 = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(960, 128, 1, bias=False),
                                   nn.Sigmoid())

    def forward(self, x):
        return self.aspp1(x) * self.aspp2(x)


class Gru(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.ih = nn.Sequential(nn.Conv2d(2 * channels, 2 * channels, 3, padding=1), nn.Sigmoid())
        self.hh = nn.Sequential(nn.Conv2d(2 * channels, channels, 3, padding=1), nn.Tanh())

    def forward(self, x, h):
        reset, update = self.ih(torch.cat([x, h], 1)).chunk(2, 1)
        new = self.hh(torch.cat([x, reset * h], 1))
        return h * (1 - update) + update * new


class Block(nn.Module):
    """A decoder block with a unit on the second half of its channels."""

    def __init__(self, channels, joined=None):
        super().__init__()
        if joined is not None:
            self.conv = nn.Sequential(nn.Conv2d(joined, channels, 3, padding=1, bias=False),
                                      nn.BatchNorm2d(channels), nn.ReLU())
        self.gru = Gru(channels // 2)

    def forward(self, x, h):
        if hasattr(self, "conv"):
            x = self.conv(x)
        a, b = x.chunk(2, 1)
        h = self.gru(b, torch.zeros_like(b) if h is None else h)
        return torch.cat([a, h], 1), h


class Last(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(35, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16),
                                  nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1, bias=False),
                                  nn.BatchNorm2d(16), nn.ReLU())


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.decode4 = Block(128)
        self.decode3 = Block(80, 128 + 40 + 3)
        self.decode2 = Block(40, 80 + 24 + 3)
        self.decode1 = Block(32, 40 + 16 + 3)
        self.decode0 = Last()

    def forward(self, s0, features, states):
        """One frame of each video."""
        pool = lambda x: F.avg_pool2d(x, 2, 2, ceil_mode=True, count_include_pad=False)
        s1 = pool(s0)
        s2 = pool(s1)
        s3 = pool(s2)
        up = lambda x, s: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False,
                                        recompute_scale_factor=False)[:, :, :s.size(2), :s.size(3)]
        f1, f2, f3, f4 = features
        r1, r2, r3, r4 = states
        x, r4 = self.decode4(f4, r4)
        x, r3 = self.decode3(torch.cat([up(x, s3), f3, s3], 1), r3)
        x, r2 = self.decode2(torch.cat([up(x, s2), f2, s2], 1), r2)
        x, r1 = self.decode1(torch.cat([up(x, s1), f1, s1], 1), r1)
        x = self.decode0.conv(torch.cat([up(x, s0), s0], 1))
        return x, [r1, r2, r3, r4]


class Projection(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(16, channels, 1)


class DeepFilter(nn.Module):
    def __init__(self):
        super().__init__()
        self.box_filter = nn.Conv2d(4, 4, 3, padding=1, bias=False, groups=4)
        self.conv = nn.Sequential(nn.Conv2d(24, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
                                  nn.Conv2d(16, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
                                  nn.Conv2d(16, 4, 1))

    def slope(self, covariance, variance, hidden):
        return self.conv(torch.cat([covariance, variance, hidden], 1))

    def box(self, x):
        return self.box_filter(x)


class FastFilter(nn.Module):
    def slope(self, covariance, variance, hidden):
        return covariance / (variance + 1e-5)

    def box(self, x):
        third = torch.full((x.size(1), 1, 1, 3), 1 / 3).to(x)
        x = F.conv2d(x, third, padding=(0, 1), groups=x.size(1))
        return F.conv2d(x, third.transpose(2, 3), padding=(1, 0), groups=x.size(1))


class Matting(nn.Module):
    def __init__(self, refiner):
        super().__init__()
        self.backbone = Encoder()
        self.aspp = Aspp()
        self.decoder = Decoder()
        self.project_mat = Projection(4)
        self.project_seg = Projection(1)
        self.refiner = {"deep": DeepFilter, "fast": FastFilter}[refiner]()

    def decode(self, frames, states, ratio):
        small = frames if ratio == 1 else F.interpolate(
            frames, scale_factor=ratio, mode="bilinear", align_corners=False,
            recompute_scale_factor=False)
        f1, f2, f3, f4 = self.backbone(small)
        hidden, states = self.decoder(small, [f1, f2, f3, self.aspp(f4)], states)
        return small, hidden, states

    def segment(self, frames, states, ratio):
        _, hidden, states = self.decode(frames, states, ratio)
        return [self.project_seg.conv(hidden)], states

    def matte(self, frames, states, ratio):
        small, hidden, states = self.decode(frames, states, ratio)
        matte = self.project_mat.conv(hidden)
        if ratio != 1:
            grey = lambda x: torch.cat([x, x.mean(1, keepdim=True)], 1)
            box = self.refiner.box
            x = grey(small)
            mean_x, mean_y = box(x), box(matte)
            a = self.refiner.slope(box(x * matte) - mean_x * mean_y, box(x * x) - mean_x * mean_x,
                                   hidden)
            b = mean_y - a * mean_x
            up = lambda t: F.interpolate(t, frames.shape[2:], mode="bilinear", align_corners=False)
            matte = up(a) * grey(frames) + up(b)
        return [(matte[:, :3] + frames).clamp(0, 1), matte[:, 3:].clamp(0, 1)], states


def made(refiner, seed=0):
    """A network whose batch norms have statistics of their own, and nothing is clamped away."""
    torch.manual_seed(seed)
    net = Matting(refiner).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.8, 1.2)
            module.bias.data.normal_(0, 0.1)
    net.project_mat.conv.bias.data.fill_(0.3)
    return net


def difference(name, ours, theirs):
    off = ((ours - theirs.reshape(-1)).norm() / theirs.norm()).item()
    worst[name] = max(worst.get(name, 0.0), off)
    return off


class Case(unittest.TestCase):
    def with_network(self, refiner, seed=0):
        net = made(refiner, seed)
        path = tool.folder / f"{refiner}.pth"
        torch.save(net.state_dict(), path)
        tool.ask("network", refiner, path)
        return net

    def ask(self, command, frames, ratio):
        frames.contiguous().numpy().tofile(tool.folder / "frames")
        tool.ask(command, ratio, "frames", *frames.shape, ">", "out")
        return torch.frombuffer(bytearray((tool.folder / "out").read_bytes()), dtype=torch.float32)

    def compare(self, name, ours, expected):
        self.assertEqual(ours.numel(), sum(x.numel() for x in expected), name)
        for i, part in enumerate(ours.split([x.numel() for x in expected])):
            self.assertLessEqual(difference(name, part, expected[i]), TOLERANCE, f"{name}, tensor {i}")


class Keys(Case):
    def test_names_and_sizes(self):
        for refiner in ("deep", "fast"):
            net = self.with_network(refiner)
            tool.ask("keys", "keys")
            theirs = [" ".join([name, *map(str, x.shape)]) for name, x in net.state_dict().items()]
            ours = (tool.folder / "keys").read_text().splitlines()
            self.assertEqual([line.strip() for line in ours], theirs)

    def test_saved(self):
        net = self.with_network("deep")
        tool.ask("save", "saved.pth")
        saved = torch.load(tool.folder / "saved.pth")
        Matting("deep").load_state_dict(saved, strict=True)
        for name, x in net.state_dict().items():
            self.assertTrue(torch.equal(saved[name], x), name)

    def test_other_refiner(self):
        for of_file, of_network in (("deep", "Fast"), ("fast", "Deep")):
            torch.save(made(of_file).state_dict(), tool.folder / "other.pth")
            with self.assertRaisesRegex(RuntimeError, f"refiner.*mnv3::{'Deep' if of_file == 'deep' else 'Fast'}GuidedFilter"):
                tool.ask("network", of_network.lower(), "other.pth")


class Frames(Case):
    def run_frames(self, refiner, height, width, ratio, command, batch=1, deployed=False, threads=1):
        net = self.with_network(refiner)
        if deployed:
            tool.ask("deploy")
        tool.ask("threads", threads)
        states = [None] * 4
        torch.manual_seed(1)
        name = f"{command}, {refiner}, {height} x {width}, ratio {ratio}{', deployed' * deployed}"
        tool.ask("reset")
        with torch.no_grad():
            for _ in range(5):
                frames = torch.rand(batch, 3, height, width)
                outputs, states = getattr(net.double(), command)(
                    frames.double(), [s if s is None else s.double() for s in states], ratio)
                self.compare(name, self.ask(command, frames, ratio),
                             [x.float() for x in outputs + states])
        net.float()

    def test_mattes(self):
        for refiner in ("deep", "fast"):
            for height, width, ratio in ((64, 96, 1), (70, 101, 1), (33, 47, 1), (128, 192, 0.5),
                                         (130, 205, 0.5), (256, 192, 0.25), (279, 333, 0.25)):
                for deployed in (False, True):
                    with self.subTest(refiner=refiner, size=(height, width), ratio=ratio,
                                      deployed=deployed):
                        self.run_frames(refiner, height, width, ratio, "matte", deployed=deployed)
        for deployed in (False, True):
            self.run_frames("deep", 80, 64, 0.5, "matte", batch=3, deployed=deployed)
        for threads in (2, 3, 7):
            self.run_frames("deep", 70, 101, 0.5, "matte", deployed=True, threads=threads)
            self.run_frames("deep", 33, 47, 1, "matte", deployed=True, threads=threads)

    def test_segments(self):
        for deployed in (False, True):
            self.run_frames("deep", 70, 101, 1, "segment", deployed=deployed)
            self.run_frames("deep", 140, 99, 0.5, "segment", deployed=deployed)

    def test_sequences(self):
        """B videos of T frames at once, the state going on from call to call."""
        for refiner, ratio, deployed in (("deep", 1, False), ("deep", 0.5, False), ("fast", 0.25, False),
                                         ("deep", 1, True), ("fast", 0.5, True)):
            net = self.with_network(refiner).double()
            if deployed:
                tool.ask("deploy")
            states = [None] * 4
            tool.ask("reset")
            torch.manual_seed(2)
            with torch.no_grad():
                for length in (3, 2):
                    videos = torch.rand(2, length, 3, 90, 122)
                    steps = []
                    for t in range(length):
                        outputs, states = net.matte(videos[:, t].double(), states, ratio)
                        steps.append(outputs)
                    expected = [torch.stack(x, 1) for x in zip(*steps)] + states
                    self.compare(f"sequence, {refiner}, ratio {ratio}{', deployed' * deployed}",
                                 self.ask("matte", videos, ratio),
                                 [x.float() for x in expected])


class Gradients(Case):
    def test_all_parameters(self):
        for ratio in (1, 0.5):
            net = self.with_network("deep").double().train()
            torch.manual_seed(3)
            videos = torch.rand(2, 2, 3, 72, 88)
            states = [None] * 4
            steps = []
            # Batch norm sees all frames of a sequence at once, except where a unit recurs: so ours.
            frames = videos.double()
            flat = frames.flatten(0, 1)
            small = flat if ratio == 1 else F.interpolate(flat, scale_factor=ratio, mode="bilinear",
                                                          align_corners=False,
                                                          recompute_scale_factor=False)
            f1, f2, f3, f4 = net.backbone(small)
            features = [f1, f2, f3, net.aspp(f4)]
            hidden = self.decode_flat(net.decoder, small, features, 2, 2)
            matte = net.project_mat.conv(hidden)
            if ratio != 1:
                grey = lambda x: torch.cat([x, x.mean(1, keepdim=True)], 1)
                box = net.refiner.box
                x = grey(small)
                mean_x, mean_y = box(x), box(matte)
                a = net.refiner.slope(box(x * matte) - mean_x * mean_y,
                                      box(x * x) - mean_x * mean_x, hidden)
                up = lambda t: F.interpolate(t, flat.shape[2:], mode="bilinear", align_corners=False)
                matte = up(a) * grey(flat) + up(mean_y - a * mean_x)
            foreground = (matte[:, :3] + flat).clamp(0, 1)
            alpha = matte[:, 3:].clamp(0, 1)
            (foreground.square().mean() + alpha.square().mean()).backward()
            theirs = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1)
                                for p in net.parameters()]).float()
            ours = self.ask("gradients", videos, ratio)
            self.assertEqual(ours.numel(), theirs.numel())
            self.assertLessEqual(difference(f"gradients, ratio {ratio}", ours, theirs), TOLERANCE)

    @staticmethod
    def decode_flat(decoder, s0, features, batch, length):
        """The decoder on sequences: convolutions on all frames, units step by step."""
        def units(gru, x):
            a, b = x.chunk(2, 1)
            b = b.unflatten(0, (batch, length))
            h = torch.zeros_like(b[:, 0])
            outputs = []
            for t in range(length):
                h = gru(b[:, t], h)
                outputs.append(h)
            return torch.cat([a, torch.stack(outputs, 1).flatten(0, 1)], 1)

        pool = lambda x: F.avg_pool2d(x, 2, 2, ceil_mode=True, count_include_pad=False)
        s1 = pool(s0)
        s2 = pool(s1)
        s3 = pool(s2)
        up = lambda x, s: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False,
                                        recompute_scale_factor=False)[:, :, :s.size(2), :s.size(3)]
        f1, f2, f3, f4 = features
        x = units(decoder.decode4.gru, f4)
        for block, skip, source in ((decoder.decode3, f3, s3), (decoder.decode2, f2, s2),
                                    (decoder.decode1, f1, s1)):
            x = units(block.gru, block.conv(torch.cat([up(x, source), skip, source], 1)))
        return decoder.decode0.conv(torch.cat([up(x, s0), s0], 1))


class Errors(Case):
    def test_refused(self):
        self.with_network("deep")
        self.refuses()
        self.with_network("deep")
        tool.ask("deploy")
        self.refuses()

    def refuses(self):
        frames = lambda *sizes: torch.rand(*sizes)
        self.ask("matte", frames(1, 3, 64, 64), 1)
        for sizes, ratio, words in (
                ((1, 3, 64, 80), 1, r"state is of other frames.*\[1, 16, 32, 32\].*state.reset"),
                ((2, 3, 64, 64), 1, r"state is of other frames"),
                ((1, 3, 64, 64), 0.5, r"state is of other frames.*downsample ratio"),
                ((1, 3, 64, 64), 0, r"above 0 and at most 1, but is 0"),
                ((1, 3, 64, 64), 1.5, r"above 0 and at most 1, but is 1.5"),
                ((1, 3, 15, 64), 1, r"at least 16 x 16 pixels, but frames of 15 x 64"),
                ((1, 3, 40, 40), 0.25, r"at least 16 x 16 pixels.*are 10 x 10; choose a larger ratio"),
                ((1, 4, 64, 64), 1, r"RGB, with 3 channels.*\[1, 4, 64, 64\]"),
                ((3, 64, 64), 1, r"\(B, 3, H, W\) or \(B, T, 3, H, W\).*\[3, 64, 64\]")):
            with self.assertRaisesRegex(RuntimeError, words):
                self.ask("matte", frames(*sizes), ratio)
        # Nothing was lost: the stream goes on.
        self.ask("matte", frames(1, 3, 64, 64), 1)
        tool.ask("reset")
        self.ask("matte", frames(1, 3, 64, 80), 1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tool", required=True, type=pathlib.Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    def use(made_tool):
        global tool
        tool = made_tool

    try:
        run_tests([Keys, Frames, Gradients, Errors], arguments.tool, use)
    finally:
        for name, off in worst.items():
            print(f"{name}: {off:.2g}")


if __name__ == "__main__":
    main()

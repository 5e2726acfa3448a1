# SPDX-License-Identifier: MIT
"""torchvision's segmentation and detection networks on MobileNetV3 beside ours.

    torchvision_heads.py --tool BUILD/tests/mnv3_torchvision_heads_tool
"""

import argparse
import pathlib
import sys
import unittest

from tool_process import Tool, run_tests

try:
    import torch
    from torch import nn
    from torchvision.models import detection, segmentation
    from torchvision.ops.feature_pyramid_network import LastLevelP6P7
    from torchvision.ops.misc import FrozenBatchNorm2d
except ImportError as error:
    print(f"SKIPPED: {sys.executable}: {error}", file=sys.stderr)
    sys.exit(77)

TOLERANCE = 1e-5  # relative L2, of each output


def pyramid(extra):
    return detection.backbone_utils.mobilenet_backbone(
        backbone_name="mobilenet_v3_large", weights=None, fpn=True, trainable_layers=6, extra_blocks=extra)


NETWORKS = {
    "lraspp": lambda: segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None),
    "deeplabv3": lambda: segmentation.deeplabv3_mobilenet_v3_large(
        weights=None, weights_backbone=None, aux_loss=True),
    "deeplabv3_no_aux": lambda: segmentation.deeplabv3_mobilenet_v3_large(
        weights=None, weights_backbone=None, aux_loss=False),
    "fpn": lambda: pyramid(None),
    "fpn_p6p7": lambda: pyramid(LastLevelP6P7(960, 256)),
    "ssdlite": lambda: detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None),
}
tool: Tool
worst = {}


def made(name):
    """With statistics of its own."""
    torch.manual_seed(0)
    net = NETWORKS[name]().eval()
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm2d, FrozenBatchNorm2d)):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.8, 1.2)
            module.bias.data.normal_(0, 0.1)
        if isinstance(module, nn.BatchNorm2d):
            module.num_batches_tracked.fill_(7)
    return net


class Case(unittest.TestCase):
    def with_network(self, name):
        net = made(name)
        torch.save(net.state_dict(), tool.folder / "theirs.pth")
        tool.ask("network", name, "theirs.pth")
        return net

    def test_names_and_sizes(self):
        for name in NETWORKS:
            net = self.with_network(name)
            tool.ask("keys", "keys")
            theirs = [" ".join([key, *map(str, x.shape)]) for key, x in net.state_dict().items()]
            self.assertEqual([line.strip() for line in (tool.folder / "keys").read_text().splitlines()],
                             theirs, name)

    def test_saved(self):
        for name in NETWORKS:
            net = self.with_network(name)
            tool.ask("save", "ours.pth")
            saved = torch.load(tool.folder / "ours.pth")
            NETWORKS[name]().load_state_dict(saved, strict=True)
            for key, x in net.state_dict().items():
                self.assertTrue(torch.equal(saved[key], x), f"{name}: {key}")

    def test_outputs(self):
        for name in NETWORKS.keys() - {"ssdlite"}:
            net = self.with_network(name).double()
            for deployed in (False, True)[:1 if "fpn" in name else 2]:
                if deployed:
                    tool.ask("deploy")
                for sizes in ((1, 3, 64, 96), (2, 3, 129, 70), (1, 3, 224, 224)):
                    torch.manual_seed(1)
                    pictures = torch.randn(sizes)
                    pictures.numpy().tofile(tool.folder / "pictures")
                    tool.ask("run", "pictures", *sizes, ">", "out")
                    ours = torch.frombuffer(bytearray((tool.folder / "out").read_bytes()),
                                            dtype=torch.float32)
                    with torch.no_grad():
                        theirs = [x.float() for x in net(pictures.double()).values()]
                    parts = ours.split([x.numel() for x in theirs])
                    for part, expected in zip(parts, theirs):
                        off = ((part - expected.reshape(-1)).norm() / expected.norm()).item()
                        title = f"{name}{', deployed' * deployed}"
                        worst[title] = max(worst.get(title, 0.0), off)
                        self.assertLessEqual(off, TOLERANCE, f"{title}, {sizes}")

    def test_detections(self):
        """The same boxes, labels and scores, in the same order."""
        net = self.with_network("ssdlite")
        # Pictures with large shapes, weights and statistics that keep them visible to the end: no two
        # boxes have the same score then, and their order is no matter of luck.
        draw = lambda *sizes: nn.functional.interpolate(torch.rand(sizes[0], 3, 9, 9), sizes[2:],
                                                        mode="bicubic").clamp(0, 1)
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        with torch.no_grad():
            net.head.train()(list(net.backbone.train()(draw(8, 3, 320, 320) * 2 - 1).values()))
        net.eval()
        torch.save(net.state_dict(), tool.folder / "theirs.pth")
        tool.ask("network", "ssdlite", "theirs.pth")
        for deployed in (False, True):
            if deployed:
                tool.ask("deploy")
            for sizes in ((1, 3, 320, 320), (2, 3, 240, 417), (1, 3, 500, 333)):
                torch.manual_seed(1)
                pictures = draw(*sizes)
                pictures.numpy().tofile(tool.folder / "pictures")
                tool.ask("run", "pictures", *sizes, ">", "out")
                ours = torch.frombuffer(bytearray((tool.folder / "out").read_bytes()),
                                        dtype=torch.float32).view(-1, 6)
                with torch.no_grad():
                    theirs = net(list(pictures))
                counts = [len(one["scores"]) for one in theirs]
                self.assertEqual(len(ours), sum(counts), f"{sizes}, deployed {deployed}")
                self.assertGreater(min(counts), 50)
                for part, expected in zip(ours.split(counts), theirs):
                    if deployed:
                        # Other sums: where two boxes overlap by the threshold to rounding, or have the
                        # same score to rounding, others are kept. All but those are there.
                        rows = torch.cat([expected["boxes"], expected["labels"][:, None].float() * 1e3,
                                          expected["scores"][:, None] * 1e3], 1)
                        part = part * torch.tensor([1, 1, 1, 1, 1e3, 1e3])
                        near = (torch.cdist(rows, part, p=float("inf")).min(1)[0] < 0.05).float().mean()
                        worst["ssdlite, deployed: share not found"] = max(
                            worst.get("ssdlite, deployed: share not found", 0.0), 1 - near.item())
                        self.assertGreaterEqual(near.item(), 0.98, f"{sizes}")
                        continue
                    self.assertEqual(part[:, 4].tolist(), expected["labels"].tolist())
                    title = "ssdlite"
                    for columns, of_ours in (("boxes", part[:, :4]), ("scores", part[:, 5])):
                        off = ((of_ours - expected[columns]).norm() / expected[columns].norm()).item()
                        worst[f"{title}: {columns}"] = max(worst.get(f"{title}: {columns}", 0.0), off)
                        self.assertLessEqual(off, TOLERANCE, f"{title}: {columns}, {sizes}")

    def test_other_network(self):
        torch.save(made("lraspp").state_dict(), tool.folder / "other.pth")
        with self.assertRaisesRegex(RuntimeError, "classifier.0.convs"):
            tool.ask("network", "deeplabv3", "other.pth")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tool", required=True, type=pathlib.Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    def use(made_tool):
        global tool
        tool = made_tool

    try:
        run_tests([Case], arguments.tool, use)
    finally:
        for name, off in worst.items():
            print(f"{name}: {off:.2g}")


if __name__ == "__main__":
    main()

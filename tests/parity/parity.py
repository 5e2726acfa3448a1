# SPDX-License-Identifier: MIT
"""Our networks against torchvision's own, live: the same weights, the same pictures.

parity.py --tool PROGRAM [--weights FOLDER] GROUP
GROUP: keys, eval, train, init, print or real. Exit code 77: what the group needs is not installed.
"""

import argparse
import functools
import math
import pathlib
import subprocess
import sys
import tempfile

try:
    import torch
    import torchvision
    from torch import nn
    from torchvision.models import mobilenetv3
except ImportError as error:
    print(f"SKIPPED: {error}. Debian's package is python3-torchvision.")
    sys.exit(77)

LIMIT = {torch.float32: 1e-5, torch.float64: 1e-11}


# -------------------------------------------------------------------------------- torchvision's side

class Taps(nn.Module):
    """torchvision's classifier, giving out what it computes on the way."""

    def __init__(self, model, wanted, normalize=False):
        super().__init__()
        self.features, self.avgpool, self.classifier = model.features, model.avgpool, model.classifier
        self.wanted, self.normalize = wanted, normalize

    def forward(self, x):
        sequence = x.shape[:2] if x.dim() == 5 else None
        if sequence:
            x = x.flatten(0, 1)
        if self.normalize:
            x = torchvision.transforms.functional.normalize(
                x, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        found = {}
        for i, feature in enumerate(self.features):
            hook = None
            if f"expansion {i}" in self.wanted:
                hook = feature.block[0].register_forward_hook(
                    lambda module, inputs, y, i=i: found.update({f"expansion {i}": y}))
            x = feature(x)
            found[f"after {i}"] = x
            if hook:
                hook.remove()
        if "logits" in self.wanted:
            x = self.classifier[1](self.classifier[0](self.avgpool(x).flatten(1)))
            found["embedding"] = x.clone()  # torchvision's dropout works in place
            found["logits"] = self.classifier[3](self.classifier[2](x))
        outputs = [found[name] for name in self.wanted]
        if sequence:
            outputs = [y.unflatten(0, tuple(sequence)) for y in outputs]
        return outputs


def torchvision_net(size, **arguments):
    rows, last_channel = mobilenetv3._mobilenet_v3_conf(f"mobilenet_v3_{size}", **arguments)
    return Taps(mobilenetv3.MobileNetV3(rows, last_channel), ["logits"])


def custom():
    rows, _ = mobilenetv3._mobilenet_v3_conf("mobilenet_v3_small")
    norm = functools.partial(nn.BatchNorm2d, eps=1e-5, momentum=0.1)
    model = mobilenetv3.MobileNetV3(rows, 200, num_classes=10, norm_layer=norm, dropout=0.5)
    model.features[0][0] = nn.Conv2d(1, 16, 3, stride=2, padding=1, bias=False)
    return Taps(model, ["logits"])


def tapped(size, wanted, normalize=False, **arguments):
    return Taps(torchvision_net(size, **arguments), wanted, normalize)


NETS = {
    "large": lambda: torchvision_net("large"),
    "small": lambda: torchvision_net("small"),
    "large_dilated": lambda: torchvision_net("large", dilated=True),
    "small_dilated": lambda: torchvision_net("small", dilated=True),
    "large_reduced": lambda: torchvision_net("large", reduced_tail=True),
    "small_reduced": lambda: torchvision_net("small", reduced_tail=True),
    "large_dilated_reduced": lambda: torchvision_net("large", dilated=True, reduced_tail=True),
    "large_050": lambda: torchvision_net("large", width_mult=0.5),
    "large_075": lambda: torchvision_net("large", width_mult=0.75),
    "large_125": lambda: torchvision_net("large", width_mult=1.25),
    "small_050": lambda: torchvision_net("small", width_mult=0.5),
    "large_reduced_075": lambda: torchvision_net("large", reduced_tail=True, width_mult=0.75),
    "custom": custom,
    # RobustVideoMatting's encoder: dilated Large, normalising, four taps, (B, T, C, H, W) or not.
    "rvm": lambda: tapped("large", ["after 1", "after 3", "after 6", "after 16"], True, dilated=True),
    "large_all": lambda: tapped("large", [f"after {i}" for i in range(17)]),
    "small_all": lambda: tapped("small", [f"after {i}" for i in range(13)]),
    "large_inside": lambda: tapped("large", ["expansion 4", "after 4", "expansion 13"]),
    "small_head": lambda: tapped("small", ["after 3", "embedding", "logits"]),
}
WHOLE = [name for name in NETS
         if name not in ("custom", "rvm", "large_all", "small_all", "large_inside", "small_head")]


def randomize(net, channels):
    """Weights as after training: batch norms with statistics of real activations, none of them 0 or 1."""
    net.train()
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = None  # the average over all passes
            norm.weight.uniform_(0.6, 1.6)
            norm.bias.normal_(0, 0.3)
        for m in net.modules():
            if isinstance(m, nn.Linear):
                m.weight.normal_(0, 1 / math.sqrt(m.in_features))
                m.bias.normal_(0, 0.1)
            elif isinstance(m, nn.Conv2d) and m.bias is not None:  # squeeze-and-excitation
                m.bias.normal_(0, 0.5)
        for _ in range(3):
            net(torch.rand(4, channels, 96, 96))
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
    return net


@functools.lru_cache(maxsize=None)
def reference(name):
    torch.manual_seed(sum(name.encode()))
    return randomize(NETS[name](), channels_of(name))


def channels_of(name):
    return 1 if name == "custom" else 3


# ------------------------------------------------------------------------------------------ the tests

class Parity:
    def __init__(self, tool, folder):
        self.process = subprocess.Popen([tool], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.folder = pathlib.Path(folder)
        self.failures = []
        self.checks = 0
        self.worst = {}

    def ask(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline().strip()
        if answer != "ok":
            raise RuntimeError(f"{' '.join(map(str, words))}: {answer or 'the program stopped'}")

    def check(self, good, text):
        self.checks += 1
        if not good:
            self.failures.append(text)
            print("FAILED:", text)

    def compare(self, label, ours, theirs, kind, limit):
        self.check(ours.shape == theirs.shape,
                   f"{label}: shape {tuple(ours.shape)}, torchvision {tuple(theirs.shape)}")
        if ours.shape != theirs.shape or ours.numel() == 0:
            return
        difference = (ours.double() - theirs.double()).norm().item()
        scale = theirs.double().norm().item()
        error = difference / scale if scale > 0 else difference
        if error > self.worst.get(kind, (-1, ""))[0]:
            self.worst[kind] = (error, label)
        self.check(error <= limit, f"{label}: relative L2 {error:.2e} > {limit:.0e}")

    def forward(self, name, x, dtype, mode, gradients=(), seed=0):
        """Runs both sides; returns (label, ours, theirs) of everything that can be compared."""
        net = reference(name)
        weights, inputs, outputs = (self.folder / f for f in ("weights.pth", "in.pth", "out.pth"))
        state = {key: value.clone() for key, value in net.state_dict().items()}
        torch.save(net.state_dict(), weights)
        torch.save({"x": x, **{f"g{i}": g for i, g in enumerate(gradients)}}, inputs)
        self.ask("forward", name, str(dtype).split(".")[1], mode, seed, weights, inputs, outputs)
        ours = torch.load(outputs)

        net.to(dtype).train(mode == "train")
        x = x.clone(memory_format=torch.preserve_format).requires_grad_(mode == "train")
        torch.manual_seed(seed)
        with torch.set_grad_enabled(mode == "train"):
            theirs = net(x)
            pairs = [(f"output {i}", ours[f"output.{i}"], y.detach()) for i, y in enumerate(theirs)]
            if mode == "train":
                net.zero_grad()
                sum((y * g).sum() for y, g in zip(theirs, gradients)).backward()
                pairs.append(("gradient of x", ours["grad.x"], x.grad))
                pairs += [(f"gradient of {key}", ours[f"grad.{key}"], value.grad.clone())
                          for key, value in net.named_parameters() if f"grad.{key}" in ours]
        pairs += [(f"state {key}", ours[f"state.{key}"], value.clone())
                  for key, value in net.state_dict().items() if f"state.{key}" in ours]
        reached = {key for key in ours if key.startswith("state.")}
        # The untapped rest of torchvision's network exists only there.
        net.to(torch.float32).load_state_dict(state)
        return pairs, len(reached)

    def shapes_of_outputs(self, name, x):
        with torch.no_grad():
            return [y.shape for y in reference(name).eval()(x)]

    # keys ---------------------------------------------------------------------------------------

    def keys(self):
        for name in NETS:
            net = reference(name)
            file, state = self.folder / "keys.txt", self.folder / "state.pth"
            self.ask("keys", name, file)
            self.ask("init", name, 1, state)
            computed = file.read_text().splitlines()
            saved = torch.load(state)
            written = [f"{key} {list(value.shape)} {str(value.dtype).split('.')[1]}"
                       for key, value in saved.items()]
            self.check(computed == written, f"{name}: the table's names are not those of the file")
            theirs = [f"{key} {list(value.shape)} {str(value.dtype).split('.')[1]}"
                      for key, value in net.state_dict().items()]
            if name in ("rvm", "large_all", "small_all"):
                theirs = [key for key in theirs if key.startswith("features.")]
            if name == "large_inside":  # ends inside block 13
                theirs = [key for key in theirs if key.startswith("features.")
                          and (int(key.split(".")[1]) < 13 or key.startswith("features.13.block.0."))]
            self.check(computed == theirs, f"{name}: names, shapes or order are not torchvision's")
            if name in WHOLE or name == "custom":
                fresh = NETS[name]()
                fresh.load_state_dict(saved, strict=True)
                fresh.eval()
                x = torch.rand(1, channels_of(name), 64, 64)
                torch.save(saved, self.folder / "weights.pth")
                torch.save({"x": x}, self.folder / "in.pth")
                self.ask("forward", name, "float32", "eval", 0, state, self.folder / "in.pth",
                         self.folder / "out.pth")
                with torch.no_grad():
                    self.compare(f"{name} after load_state_dict of our file",
                                 torch.load(self.folder / "out.pth")["output.0"], fresh(x)[0],
                                 "outputs", LIMIT[torch.float32])
        print(f"keys: {len(NETS)} networks")

    # eval ---------------------------------------------------------------------------------------

    def eval(self):
        def run(name, x, dtype, label, limit):
            pairs, _ = self.forward(name, x, dtype, "eval")
            for what, ours, theirs in pairs:
                if what.startswith("output"):
                    self.compare(f"{name} {label} {what}", ours, theirs, str(dtype), limit)
                else:
                    self.check(torch.equal(ours, theirs), f"{name} {label}: eval changed {what}")

        for name in NETS:
            channels = channels_of(name)
            sizes = [(224, 224), (225, 225), (97, 131), (32, 32)]
            if name not in ("large", "small", "rvm", "large_dilated"):
                sizes = [(97, 131)]
            for height, width in sizes:
                for dtype in (torch.float32, torch.float64):
                    x = torch.rand(3 if height < 224 else 1, channels, height, width).to(dtype)
                    run(name, x, dtype, f"{tuple(x.shape)}", LIMIT[dtype])
        for name in ("large", "small", "rvm"):
            x = torch.rand(3, 3, 97, 131)
            layouts = {"channels_last": x.contiguous(memory_format=torch.channels_last),
                       "transposed": x.transpose(2, 3), "every other row": x[:, :, ::2]}
            for layout, laid_out in layouts.items():
                run(name, laid_out, torch.float32, layout, LIMIT[torch.float32])
            empty = torch.rand(0, 3, 64, 64)
            run(name, empty, torch.float32, "batch 0", LIMIT[torch.float32])
            x = torch.rand(2, 3, 64, 64)
            run(name, x.bfloat16(), torch.bfloat16, "bfloat16", 0.0)
        for shape in ((2, 3, 3, 64, 96), (1, 1, 3, 64, 96), (2, 0, 3, 64, 96), (0, 2, 3, 64, 96)):
            run("rvm", torch.rand(shape), torch.float32, f"{shape}", LIMIT[torch.float32])

    # train --------------------------------------------------------------------------------------

    def train(self):
        for name in NETS:
            for dtype in (torch.float32, torch.float64):
                shape = (3, channels_of(name), 64, 80)
                torch.manual_seed(7)
                x = torch.rand(shape).to(dtype)
                gradients = [torch.randn(y).to(dtype) for y in self.shapes_of_outputs(name, x.float())]
                pairs, reached = self.forward(name, x, dtype, "train", gradients, seed=5)
                parameters = sum(label.startswith("gradient of ") for label, _, _ in pairs) - 1
                self.check(parameters > 0.4 * reached, f"{name}: only {parameters} gradients compared")
                for label, ours, theirs in pairs:
                    if label.endswith("num_batches_tracked"):
                        self.check(torch.equal(ours, theirs) and ours.dtype == theirs.dtype,
                                   f"{name} {label}: {ours} {ours.dtype}, not {theirs} {theirs.dtype}")
                        continue
                    kind = f"{label.split()[0]}s {str(dtype).split('.')[1]}"
                    self.compare(f"{name} {label}", ours, theirs, kind, LIMIT[dtype])

    # init, print ----------------------------------------------------------------------------------

    def init(self):
        """With one seed, both random generators give the same network, bit for bit."""
        for name in ("large", "small", "large_075", "small_reduced"):
            for seed in (0, 1234):
                self.ask("init", name, seed, self.folder / "init.pth")
                ours = torch.load(self.folder / "init.pth")
                torch.manual_seed(seed)
                for key, theirs in NETS[name]().state_dict().items():
                    self.check(torch.equal(ours[key], theirs), f"{name} seed {seed}: {key} differs")

    def print(self):
        for name in WHOLE:
            self.ask("print", name, self.folder / "tree.txt")
            ours = (self.folder / "tree.txt").read_text().splitlines()
            model = NETS[name]()
            tree = nn.Module()
            tree._get_name = lambda: "MobileNetV3"
            for child in ("features", "avgpool", "classifier"):
                tree.add_module(child, getattr(model, child))
            theirs = repr(tree).splitlines()
            self.check(len(ours) == len(theirs), f"{name}: {len(ours)} lines, not {len(theirs)}")
            for number, (mine, other) in enumerate(zip(ours, theirs), 1):
                self.check(mine == other, f"{name} line {number}: {mine!r}, torchvision: {other!r}")

    # real ---------------------------------------------------------------------------------------

    def real(self, weights):
        file = weights / "torchvision_mobilenet_v3_small" / "features_imagenet1k_v1.pt"
        pictures = sorted((weights / "tf_mobilenetv3_small_100" / "crops224").glob("*.png"))
        if not file.exists() or not pictures:
            print(f"SKIPPED: there are no real weights in {weights}")
            sys.exit(77)
        net = reference("small_all")
        # The file names torchvision's `features.<rest>` `0.<rest>`.
        state = {"features." + key[2:]: value for key, value in torch.load(file).items()}
        net.load_state_dict(state, strict=False)
        read = torchvision.io.read_image
        rgb = torch.stack([read(str(p), torchvision.io.ImageReadMode.RGB) for p in pictures]) / 255
        x = torchvision.transforms.functional.normalize(rgb, [0.485, 0.456, 0.406],
                                                        [0.229, 0.224, 0.225])
        for dtype in (torch.float32, torch.float64):
            pairs, reached = self.forward("small_all", x.to(dtype), dtype, "eval")
            self.check(reached == 240, f"{reached} tensors, not the 240 of the features")
            for label, ours, theirs in pairs:
                if label.startswith("output"):
                    self.compare(f"real small {label}", ours, theirs, str(dtype), LIMIT[dtype])
            pooled = pairs[12][1].mean((2, 3))
            distances = torch.cdist(pooled, pooled) + torch.eye(len(pictures)) * 1e9
            nearest = {pictures[i].stem: pictures[int(j)].stem
                       for i, j in enumerate(distances.argmin(1))}
            # Two photographs of one cat: whatever a network has learned must bring these together.
            self.check(nearest["cat"] == "cat_720p_jpg", f"nearest to cat is {nearest['cat']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", required=True)
    here = pathlib.Path(__file__).resolve()
    parser.add_argument("--weights", type=pathlib.Path,
                        default=here.parent.parent.parent.parent / "shared" / "weights")
    parser.add_argument("group", choices=["keys", "eval", "train", "init", "print", "real"])
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        parity = Parity(arguments.tool, folder)
        test = getattr(parity, arguments.group)
        test(arguments.weights) if arguments.group == "real" else test()
        parity.process.stdin.close()
        parity.process.wait()
    for kind, (error, label) in sorted(parity.worst.items()):
        print(f"{arguments.group} {kind}: worst relative L2 {error:.1e} ({label})")
    print(f"{arguments.group}: {parity.checks} checks, {len(parity.failures)} failures; "
          f"torch {torch.__version__}, torchvision {torchvision.__version__}")
    sys.exit(1 if parity.failures or not parity.checks else 0)


if __name__ == "__main__":
    main()

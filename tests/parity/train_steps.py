# SPDX-License-Identifier: MIT
"""Our steps of training against torchvision's networks and torch's own optimizers, live.

    train_steps.py --tool PROGRAM [GROUP]

Without a group all of them run: steps, rmsproptf, schedules, mixing, losses, autocast. Exit code 77: torchvision is not installed.
"""

import argparse
import copy
import math
import os
import pathlib
import sys
import unittest
import warnings

# Both sides take turns; see parity.py.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

try:
    import torch
    import torchvision
    from torch.optim.swa_utils import AveragedModel
except ImportError as error:
    print(f"SKIPPED, NOTHING WAS COMPARED: {sys.executable}: {error}.\n"
          "Parity tests need torchvision; on Debian: apt-get install python3-torchvision",
          file=sys.stderr)
    sys.exit(77)

from tool_process import run_tests

# Of the difference's L2 norm to that of torch's tensor, in float64. Biases that a batch norm takes
# out again have gradients of rounding alone and stay at some 1e-18; such tensors count as this long.
LIMIT, LEAST_NORM = 1e-6, 1e-6
CLASSES = 1000
TOOL = None


def words(options):
    """NAME=VALUE for the tool; booleans are 0 and 1."""
    return [f"{name}={int(value) if isinstance(value, bool) else value}"
            for name, value in options.items()]


def difference(ours, theirs):
    ours, theirs = ours.double(), theirs.double()
    return ((ours - theirs).norm() / theirs.norm().clamp_min(LEAST_NORM)).item()


class Case(unittest.TestCase):
    def save(self, tensors, name="in.pth"):
        torch.save(tensors, TOOL.folder / name)
        return name

    def result(self, name="out.pth"):
        return torch.load(TOOL.folder / name)

    def check_near(self, name, ours, theirs, limit=LIMIT):
        self.assertEqual(ours.shape, theirs.shape, name)
        if theirs.is_floating_point():
            self.assertLessEqual(difference(ours, theirs), limit, name)
        else:
            self.assertTrue(torch.equal(ours, theirs), name)


class TensorFlowRMSprop(torch.optim.Optimizer):
    """RMSprop as TensorFlow's documentation of the op ApplyRMSProp (and ApplyCenteredRMSProp) has it:

        ms <- rho * ms + (1 - rho) * grad * grad
        mom <- momentum * mom + lr * grad / sqrt(ms + epsilon)
        var <- var - mom

    centered: mg <- rho * mg + (1 - rho) * grad, and ms - mg * mg + epsilon under the root. ms begins
    at ones. The two switches are timm's.
    """

    def __init__(self, parameters, lr, alpha=0.9, eps=1e-10, weight_decay=0.0, momentum=0.9,
                 centered=False, decoupled_decay=False, lr_in_momentum=True):
        super().__init__(parameters, dict(
            lr=lr, rho=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum,
            centered=centered, decoupled_decay=decoupled_decay, lr_in_momentum=lr_in_momentum))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            lr, rho, momentum = group["lr"], group["rho"], group["momentum"]
            for var in group["params"]:
                if var.grad is None:
                    continue
                grad, state = var.grad, self.state[var]
                if not state:
                    state.update(ms=torch.ones_like(var), mg=torch.zeros_like(var),
                                 mom=torch.zeros_like(var))
                if group["decoupled_decay"]:
                    var.copy_(var - lr * group["weight_decay"] * var)
                else:
                    grad = grad + group["weight_decay"] * var
                state["ms"] = rho * state["ms"] + (1 - rho) * grad * grad
                state["mg"] = rho * state["mg"] + (1 - rho) * grad
                under_root = state["ms"] + group["eps"]
                if group["centered"]:
                    under_root = under_root - state["mg"] * state["mg"]
                inside, outside = (lr, 1) if group["lr_in_momentum"] else (1, lr)
                state["mom"] = momentum * state["mom"] + inside * grad / torch.sqrt(under_root)
                var.copy_(var - outside * state["mom"])


OPTIMIZERS = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop,
              "rmsprop_tf": TensorFlowRMSprop}


class Steps(Case):
    """Whole steps of both networks: all parameters, buffers and averages afterwards."""

    def compare(self, size, steps, optimizer, *, frozen=0, micro_batches=1, clip=0.0, ema=0.9,
                label_smoothing=0.0, recompute=False, **options):
        torch.manual_seed(3)
        model = getattr(torchvision.models, f"mobilenet_v3_{size}")().double()
        self.save(model.state_dict(), "weights.pth")
        given = {"pictures": torch.randn(steps, 4, 3, 64, 64, dtype=torch.double),
                 "labels": torch.randint(CLASSES, (steps, 4))}
        TOOL.ask("train", size, "weights.pth", self.save(given), "out.pth",
                 *words({"optimizer": optimizer, "frozen": frozen, "micro_batches": micro_batches,
                         "clip": clip, "ema": ema, "label_smoothing": label_smoothing,
                         "recompute": recompute, "seed": 5, **options}))
        ours = self.result()

        model.train()
        model.features[:frozen].requires_grad_(False).eval()
        before = copy.deepcopy(model.state_dict())
        taken = OPTIMIZERS[optimizer](model.parameters(), **options)
        average = AveragedModel(model, use_buffers=True,
                                avg_fn=lambda mean, value, _: ema * mean + (1 - ema) * value)
        loss_of = torch.nn.CrossEntropyLoss(label_smoothing=label_smoothing)
        torch.manual_seed(5)
        norms = []
        for step in range(steps):
            taken.zero_grad()
            total = 0.0
            for x, y in zip(given["pictures"][step].chunk(micro_batches),
                            given["labels"][step].chunk(micro_batches)):
                loss = loss_of(model(x), y) / micro_batches
                loss.backward()
                total += loss.item()
            self.check_near(f"loss {step}", ours["losses"][step], torch.tensor(total).double())
            if clip:
                norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), clip))
            taken.step()
            average.update_parameters(model)
        self.assertTrue(all(norm > clip for norm in norms), "nothing was clipped")
        state, averages = model.state_dict(), average.module.state_dict()
        self.assertEqual(len(ours), 1 + 2 * len(state))
        for name, theirs in state.items():
            self.check_near(name, ours["state." + name], theirs)
            # torchvision's average of integers is rounded down; ours are the network's.
            self.check_near("average of " + name, ours["ema." + name],
                            averages[name] if theirs.is_floating_point() else theirs)
            is_frozen = name.startswith(tuple(f"features.{i}." for i in range(frozen)))
            if is_frozen or theirs.is_floating_point():
                self.assertEqual(torch.equal(ours["state." + name], before[name]), is_frozen, name)

    def test_sgd(self):
        for size in ("small", "large"):
            with self.subTest(size):
                self.compare(size, 1, "sgd", lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-4)
        self.compare("small", 3, "sgd", lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-4)

    def test_adamw(self):
        for size, steps in (("small", 3), ("large", 1)):
            with self.subTest(size):
                self.compare(size, steps, "adamw", lr=1e-3, weight_decay=0.05)

    def test_rmsprop(self):
        for size, steps in (("small", 3), ("large", 1)):
            with self.subTest(size):
                self.compare(size, steps, "rmsprop", lr=1e-3, alpha=0.9, eps=0.0316, momentum=0.9,
                             weight_decay=1e-5)

    def test_rmsprop_tf(self):
        for size, steps in (("small", 3), ("large", 1)):
            with self.subTest(size):
                self.compare(size, steps, "rmsprop_tf", lr=0.01, alpha=0.9, eps=1e-3, momentum=0.9,
                             weight_decay=1e-5, label_smoothing=0.1)

    def test_frozen(self):
        for size, steps, frozen, optimizer in (("small", 3, 4, "sgd"), ("large", 1, 7, "adamw"),
                                               ("small", 1, 13, "rmsprop")):
            with self.subTest(size, frozen=frozen):
                self.compare(size, steps, optimizer, frozen=frozen, lr=1e-2, weight_decay=1e-4)

    def test_accumulated_and_clipped(self):
        for size, steps, optimizer in (("small", 3, "sgd"), ("large", 1, "adamw")):
            with self.subTest(size):
                self.compare(size, steps, optimizer, micro_batches=2, clip=0.5, frozen=2, lr=1e-2,
                             weight_decay=1e-4, label_smoothing=0.1)

    def test_recomputed(self):
        self.compare("small", 3, "sgd", lr=0.05, momentum=0.9, recompute=True, micro_batches=2)


class RMSpropTF(Case):
    """All options of RMSpropTF."""

    def test_options(self):
        compare = Steps.compare
        for options in ({"momentum": 0.0}, {"centered": True, "momentum": 0.9},
                        {"decoupled_decay": True, "momentum": 0.9},
                        {"lr_in_momentum": False, "momentum": 0.5}):
            with self.subTest(**options):
                compare(self, "small", 2, "rmsprop_tf", frozen=10, lr=1e-3, eps=1e-3,
                        weight_decay=1e-3, **options)


class Schedules(Case):
    def compare(self, kind, main, length=20, warm_up=5, **options):
        lr = 0.3
        for warm in (0, warm_up):
            with self.subTest(kind, warm_up=warm):
                TOOL.ask("schedule", kind, length + 1, "out.pth",
                         *words({"lr": lr, "warm_up": warm, "start": 0.01, "length": length,
                                 **options}))
                optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
                schedule = main(optimizer, length - warm)
                if warm:
                    rise = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.01,
                                                             total_iters=warm)
                    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, schedule],
                                                                     milestones=[warm])
                theirs = []
                for _ in range(length + 1):
                    theirs.append(optimizer.param_groups[0]["lr"])
                    optimizer.step()
                    schedule.step()
                ours = self.result()["rates"]
                for step, (a, b) in enumerate(zip(ours.tolist(), theirs)):
                    self.assertLessEqual(abs(a - b), 1e-12, f"step {step}")

    def test_all(self):
        of = torch.optim.lr_scheduler
        self.compare("cosine", lambda o, n: of.CosineAnnealingLR(o, T_max=n, eta_min=0.03), final=0.1)
        self.compare("step", lambda o, n: of.StepLR(o, step_size=2, gamma=0.973), every=2, gamma=0.973)
        self.compare("exponential", lambda o, n: of.ExponentialLR(o, gamma=0.9), gamma=0.9)
        self.compare("constant", lambda o, n: of.ConstantLR(o, factor=1))


class Mixing(Case):
    """torchvision's formulas (references/classification/transforms.py 0.14.1), on Python's generator."""

    def test_all(self):
        torch.manual_seed(1)
        pictures, labels = torch.rand(4, 3, 17, 23), torch.tensor([3, 0, 6, 3])
        self.save({"pictures": pictures, "labels": labels})
        hot = torch.nn.functional.one_hot(labels, 7).float()
        for kind in ("mixup", "cutmix"):
            for seed in range(8):
                for alpha, probability in ((1.0, 1.0), (0.2, 0.5)):
                    with self.subTest(kind, seed=seed, alpha=alpha):
                        TOOL.ask("mix", kind, seed, "in.pth", "out.pth",
                                 *words({"classes": 7, "alpha": alpha, "probability": probability}))
                        ours = self.result()
                        torch.manual_seed(seed)
                        for i in range(3):
                            x, y = self.mixed(kind, pictures, hot, alpha, probability)
                            self.check_near("pictures", ours[f"pictures.{i}"], x)
                            self.check_near("target", ours[f"target.{i}"], y)

    @staticmethod
    def mixed(kind, x, y, alpha, probability):
        if torch.rand(1).item() >= probability:
            return x, y
        x2, y2 = x.roll(1, 0), y.roll(1, 0)
        share = float(torch._sample_dirichlet(torch.tensor([alpha, alpha]))[0])
        if kind == "mixup":
            return share * x + (1 - share) * x2, share * y + (1 - share) * y2
        height, width = x.shape[2:]
        across, down = int(torch.randint(width, (1,))), int(torch.randint(height, (1,)))
        half = 0.5 * math.sqrt(1.0 - share)
        half_width, half_height = int(half * width), int(half * height)
        left, right = max(across - half_width, 0), min(across + half_width, width)
        top, bottom = max(down - half_height, 0), min(down + half_height, height)
        x = x.clone()
        x[:, :, top:bottom, left:right] = x2[:, :, top:bottom, left:right]
        share = 1.0 - (right - left) * (bottom - top) / (width * height)
        return x, share * y + (1 - share) * y2


class Losses(Case):
    def test_distillation(self):
        torch.manual_seed(2)
        student, teacher = torch.randn(2, 6, 9, dtype=torch.double)
        labels = torch.randint(9, (6,))
        functional = torch.nn.functional
        for targets in (labels, functional.one_hot(labels, 9).double() * 0.6 + 0.4 / 9):
            for temperature, alpha, smoothing in ((4.0, 0.5, 0.0), (1.0, 0.9, 0.1), (2.5, 1.0, 0.0)):
                with self.subTest(temperature=temperature, soft=targets.is_floating_point()):
                    given = {"student": student, "teacher": teacher, "labels": targets}
                    TOOL.ask("distill", self.save(given), "out.pth",
                             *words({"temperature": temperature, "alpha": alpha,
                                     "smoothing": smoothing}))
                    ours, learns = self.result(), student.clone().requires_grad_()
                    soft = functional.kl_div((learns / temperature).log_softmax(1),
                                             (teacher / temperature).softmax(1),
                                             reduction="batchmean") * temperature ** 2
                    hard = functional.cross_entropy(learns, targets, label_smoothing=smoothing)
                    loss = alpha * soft + (1 - alpha) * hard
                    loss.backward()
                    self.check_near("loss", ours["loss"], loss.detach())
                    self.check_near("gradient", ours["grad"], learns.grad)


class Autocast(Case):
    def test_small(self):
        torch.manual_seed(4)
        model = torchvision.models.mobilenet_v3_small()
        pictures = torch.randn(4, 3, 64, 64)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1.0
        with torch.no_grad():
            model(pictures)  # statistics that keep the signal alive
        model.eval()
        self.save(model.state_dict(), "weights.pth")
        labels = torch.randint(CLASSES, (4,))
        given = {"pictures": pictures, "labels": labels}
        TOOL.ask("autocast", "small", "weights.pth", self.save(given), "out.pth")
        ours = self.result()
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(pictures)
            loss = torch.nn.functional.cross_entropy(logits, labels)
        loss.backward()
        self.assertEqual(ours["logits"].dtype, torch.bfloat16)
        self.check_near("logits", ours["logits"], logits.detach(), 1e-2)
        names = [name for name, _ in model.named_parameters()]
        gradients = [torch.cat([gradient.flatten() for gradient in of]) for of in (
            [ours["grad." + name] for name in names], [p.grad for p in model.parameters()])]
        self.assertEqual(gradients[0].dtype, torch.float32)
        self.check_near("gradients", *gradients, 1e-2)


GROUPS = {group.__name__.lower(): group
          for group in (Steps, RMSpropTF, Schedules, Mixing, Losses, Autocast)}


def use_tool(tool):
    global TOOL
    TOOL = tool


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True, type=pathlib.Path)
    parser.add_argument("group", nargs="?", choices=list(GROUPS))
    arguments = parser.parse_args()
    torch.set_num_threads(2)  # as in train_tool.cpp
    warnings.simplefilter("ignore")  # SequentialLR warns of what it does itself
    groups = [GROUPS[arguments.group]] if arguments.group else list(GROUPS.values())
    run_tests(groups, arguments.tool, use_tool, warnings="ignore")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: MIT
"""Our augmentation against torchvision's on Pillow's pictures, live: all bytes equal.

    augment.py --tool PROGRAM

Where something is drawn, torchvision is given what our RandomStream draws, which is written once
more here. Exit code 77: torchvision is not installed.
"""

import argparse
import math
import pathlib
import sys
import unittest
from unittest import mock

import parity  # which ends with 77 where torchvision is not installed
import numpy
import torch
from PIL import Image
from torchvision import datasets, transforms
from torchvision.transforms import InterpolationMode, autoaugment, functional

from tool_process import run_tests

TOOL = None
MASK = 2**64 - 1
STEP = 0x9E3779B97F4A7C15


def mixed(z):
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


class Stream:
    """RandomStream, from its description."""

    def __init__(self, seed, *keys):
        self.state = mixed((seed + STEP) & MASK)
        for key in keys:
            self.state = mixed((self.state * STEP + mixed((key + STEP) & MASK)) & MASK)

    def bits(self):
        self.state = (self.state + STEP) & MASK
        return mixed(self.state)

    def uniform(self, low=0.0, high=1.0):
        return low + (high - low) * ((self.bits() >> 11) * 2.0**-53)

    def below(self, end):
        unfair = 2**64 % end
        while (drawn := self.bits()) < unfair:
            pass
        return drawn % end


class DrawnTorch:
    """What torchvision's modules see as torch: what they draw comes from a stream."""

    def __init__(self, stream):
        self.stream = stream

    def __getattr__(self, name):
        return getattr(torch, name)

    def empty(self, *_):
        stream = self.stream

        class Drawn:
            def uniform_(self, low, high):
                return torch.tensor(stream.uniform(float(low), float(high)), dtype=torch.double)

        return Drawn()

    def tensor(self, values, **options):
        return torch.tensor(values, **({"dtype": torch.double} | options))

    def rand(self, _):
        return torch.tensor([self.stream.uniform()], dtype=torch.double)

    def randint(self, *arguments, size=None):
        low, high = arguments[:2] if size is not None else (0, arguments[0])
        return torch.tensor([low + self.stream.below(high - low)])


def drawing_from(module, stream):
    return mock.patch.object(sys.modules[module.__module__], "torch", DrawnTorch(stream))


def noise(width, height, seed=0):
    """Smooth and rough at once, with all byte values."""
    generator = torch.Generator().manual_seed(seed + 1000 * width + height)
    coarse = torch.rand(1, 3, 1 + height // 9, 1 + width // 9, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")[0]
    rough = torch.rand(3, height, width, generator=generator)
    bytes_ = ((0.6 * smooth + 0.4 * rough) * 1.4 - 0.2).clamp(0, 1).mul(255).round().byte()
    return Image.fromarray(bytes_.permute(1, 2, 0).numpy())


def pictures():
    """Rough ones, small ones, dull ones, and one colour only."""
    found = [noise(64, 48), noise(101, 67), noise(37, 90), noise(2, 2), noise(1, 5), noise(3, 3)]
    found.append(noise(80, 60).point(lambda value: 90 + value // 5))
    found.append(Image.new("RGB", (20, 30), (10, 200, 77)))
    return found


class Case(unittest.TestCase):
    def ours(self, picture, command, *words):
        picture.save(TOOL.folder / "in.ppm")
        TOOL.ask(command, "in.ppm", *words, "out.ppm")
        return Image.open(TOOL.folder / "out.ppm")

    def check(self, ours, theirs, what):
        self.assertEqual(ours.size, theirs.size, what)
        a, b = numpy.asarray(ours).astype(int), numpy.asarray(theirs).astype(int)
        self.assertTrue((a == b).all(),
                        f"{what}: {(a != b).sum()} of {a.size} differ, by up to {abs(a - b).max()}")


FACTORS = (0, 0.1, 0.3, 0.5, 0.7, 0.97, 1, 1.03, 1.25, 1.5, 1.9, 3.7)
FUNCTIONS = {
    "brightness": (functional.adjust_brightness, FACTORS),
    "contrast": (functional.adjust_contrast, FACTORS),
    "saturation": (functional.adjust_saturation, FACTORS),
    "sharpness": (functional.adjust_sharpness, FACTORS),
    "hue": (functional.adjust_hue, (-0.5, -0.31, -0.1, -0.003, 0, 0.003, 0.05, 0.2, 0.5)),
    "posterize": (lambda picture, bits: functional.posterize(picture, bits), range(9)),
    "solarize": (functional.solarize, (0, 1, 100.3, 128, 178.5, 255, 256)),
    "autocontrast": (lambda picture, _: functional.autocontrast(picture), (0,)),
    "equalize": (lambda picture, _: functional.equalize(picture), (0,)),
    "hflip": (lambda picture, _: functional.hflip(picture), (0,)),
    "rotate": (functional.rotate, (-30, -9.7, -0.3, 0, 1, 15, 45, 77.7, 90, 180, 270, 359, 1000)),
}
OPS = {"shear_x": ("ShearX", (-0.3, -0.09, -0.01, 0, 0.13, 0.29)),
       "shear_y": ("ShearY", (-0.3, -0.09, -0.01, 0, 0.13, 0.29)),
       "translate_x": ("TranslateX", (-100, -31, -1, 0, 2, 20)),
       "translate_y": ("TranslateY", (-100, -31, -1, 0, 2, 20))}


class Functions(Case):
    def test_functions(self):
        for picture in pictures():
            for name, (function, numbers) in FUNCTIONS.items():
                for number in numbers:
                    with self.subTest(name=name, number=number, size=picture.size):
                        self.check(self.ours(picture, "op", name, number),
                                   function(picture, number), name)

    def test_geometry(self):
        for picture in pictures():
            for name, (op, numbers) in OPS.items():
                for number in numbers:
                    with self.subTest(name=name, number=number, size=picture.size):
                        theirs = autoaugment._apply_op(picture, op, number,
                                                       InterpolationMode.NEAREST, None)
                        self.check(self.ours(picture, "op", name, number), theirs, name)

    def test_hue_of_every_colour(self):
        every = numpy.arange(2**24, dtype=numpy.uint32)
        colours = numpy.stack([every >> 16, every >> 8 & 255, every & 255], 1).astype(numpy.uint8)
        picture = Image.fromarray(colours.reshape(4096, 4096, 3))
        for factor in (0, 0.37):
            self.check(self.ours(picture, "op", "hue", factor),
                       functional.adjust_hue(picture, factor), f"hue {factor}")


class Folder(Case):
    def test_order(self):
        root = TOOL.folder / "pictures"
        for name in ("b/2.png", "b/10.JPG", "a/x/1.jpeg", "a/x.ppm", "a/x-y/0.pgm", "a/x/z/9.PNM",
                     "a/x/z.png", "B/upper.png", "\u00e4/1.png", "b/notes.txt", "b/\u00e4.png",
                     "b/z.png", "readme.png"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        TOOL.ask("folder", "pictures", "list.txt")
        ours = (TOOL.folder / "list.txt").read_text().splitlines()
        extensions = (".png", ".jpg", ".jpeg", ".ppm", ".pgm", ".pnm")
        theirs = datasets.DatasetFolder(root, None, extensions)
        self.assertEqual(ours, theirs.classes + [
            f"{label} {pathlib.Path(path).relative_to(root)}" for path, label in theirs.samples])


class Transforms(Case):
    def test_random_resized_crop(self):
        for name, crop in (("crop", transforms.RandomResizedCrop(64)),
                           ("bicubic_crop", transforms.RandomResizedCrop(
                               97, interpolation=InterpolationMode.BICUBIC))):
            for seed in range(20):
                picture = noise(150 + 7 * seed, 260 - 9 * seed, seed)
                with self.subTest(name=name, seed=seed), drawing_from(crop, Stream(seed)):
                    theirs = crop(picture)
                self.check(self.ours(picture, "transform", name, seed), theirs, f"{name} {seed}")

    def test_which_pieces(self):
        crop = transforms.RandomResizedCrop(64)
        for width, height in ((500, 375), (40, 400), (900, 30), (3, 2), (1, 1)):
            TOOL.ask("choose", width, height, 1000, "pieces.txt")
            pieces = (TOOL.folder / "pieces.txt").read_text().splitlines()
            picture = Image.new("RGB", (width, height))
            for seed, piece in enumerate(pieces):
                with drawing_from(crop, Stream(seed, 1, 2)):
                    theirs = crop.get_params(picture, crop.scale, crop.ratio)
                self.assertEqual(tuple(map(int, piece.split())), theirs, (width, height, seed))

    def test_evaluation(self):
        theirs = transforms.Compose([transforms.Resize(80), transforms.CenterCrop(64)])
        for picture in (noise(100, 140), noise(333, 81), noise(64, 64)):
            self.check(self.ours(picture, "transform", "evaluation", 0), theirs(picture),
                       "evaluation")

    def test_color_jitter(self):
        jitter = transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)
        for seed in range(30):
            stream = Stream(seed)
            order = [0, 1, 2, 3]
            for left in (4, 3, 2):
                other = stream.below(left)
                order[left - 1], order[other] = order[other], order[left - 1]
            drawn = [stream.uniform(1 - 0.4, 1 + 0.4) for _ in range(3)]
            drawn.append(stream.uniform(-0.1, 0.1))
            with mock.patch.object(transforms.ColorJitter, "get_params",
                                   lambda *_: (order, *drawn)):
                theirs = jitter(noise(60, 50, seed))
            self.check(self.ours(noise(60, 50, seed), "transform", "jitter", seed), theirs,
                       f"jitter {seed}")

    def test_rand_augment(self):
        for name, augment in (("rand_augment", transforms.RandAugment()),
                              ("strong_rand_augment", transforms.RandAugment(4, 27))):
            for seed in range(60):
                picture = noise(70, 61, seed)
                with drawing_from(augment, Stream(seed)):
                    theirs = augment(picture)
                self.check(self.ours(picture, "transform", name, seed), theirs, f"{name} {seed}")

    def test_rand_augment_strengths(self):
        TOOL.ask("strengths", 320, 213, "strengths.txt")
        theirs = transforms.RandAugment()._augmentation_space(31, (213, 320))
        lines = (TOOL.folder / "strengths.txt").read_text().splitlines()
        self.assertEqual(len(lines), 31 * len(theirs))
        self.assertEqual(list(dict.fromkeys(line.split()[0] for line in lines)), list(theirs))
        for line in lines:
            name, magnitude, strength, signed = line.split()
            values, has_sign = theirs[name]
            value = float(values[int(magnitude)]) if values.ndim else 0.0
            self.assertTrue(math.isclose(float(strength), value, rel_tol=1e-6, abs_tol=1e-5), line)
            self.assertEqual(bool(int(signed)), has_sign, line)

    def test_normalize_and_erase(self):
        erasing = transforms.RandomErasing()
        both = transforms.Compose([transforms.ToTensor(), transforms.Normalize(
            (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])
        for seed in range(20):
            picture = noise(50, 40, seed)
            picture.save(TOOL.folder / "in.ppm")
            with drawing_from(erasing, Stream(seed)):
                theirs = erasing(both(picture))
            for layout in ("contiguous", "channels_last"):
                TOOL.ask("normalize", "in.ppm", layout, seed, "out.raw")
                ours = numpy.fromfile(TOOL.folder / "out.raw", dtype=numpy.float32)
                self.assertTrue((ours.reshape(3, 40, 50) == theirs.numpy()).all(), (layout, seed))


def use_tool(tool):
    global TOOL
    TOOL = tool


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True, type=pathlib.Path)
    arguments = parser.parse_args()
    run_tests((Functions, Folder, Transforms), arguments.tool, use_tool)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: MIT
"""Our pictures, data and hashes against Pillow's, torchvision's and hashlib's own, live: all equal.

    vision.py --tool PROGRAM [--classify PROGRAM] [--weights FOLDER] [GROUP]

Without a group all of them run. Exit code 77: what the group needs is not installed.
"""

import argparse
import functools
import hashlib
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

import parity  # which ends with 77 where torchvision is not installed
import PIL
import torch
import torchvision
from PIL import Image
from torchvision.models import mobilenetv3
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional
from torchvision.transforms._presets import ImageClassification

FILTERS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}
TOOL = None
CLASSIFY = None
WEIGHTS = None


def noise(width, height, seed=0):
    """Smooth and rough at once, with all byte values."""
    generator = torch.Generator().manual_seed(seed + 1000 * width + height)
    coarse = torch.rand(1, 3, 1 + height // 9, 1 + width // 9, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")[0]
    rough = torch.rand(3, height, width, generator=generator)
    mixed = ((0.6 * smooth + 0.4 * rough) * 1.4 - 0.2).clamp(0, 1)
    return Image.fromarray((mixed * 255).round().byte().permute(1, 2, 0).numpy())


def photos():
    folder = WEIGHTS.parent / "photos"
    found = sorted([*folder.glob("*.png"), *folder.glob("*.jpg")])
    if not found:
        print(f"NOT COMPARED: there are no photos in {folder}", file=sys.stderr)
    return found


def png_of(picture, depth=8, interlaced=False):
    """A PNG of the kinds that Pillow reads but does not write."""
    width, height = picture.size
    passes = [(0, 0, 1, 1)]
    if interlaced:  # Adam7: first column and row, and the steps
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4),
                  (1, 0, 2, 2), (0, 1, 1, 2)]
    scanlines = b""
    for left, top, right, down in passes:
        for y in range(top, height, down):
            row = b"".join(bytes(picture.getpixel((x, y))) for x in range(left, width, right))
            if depth == 16:
                row = b"".join(bytes((value, 255 - value)) for value in row)
            if row:
                scanlines += b"\0" + row
    header = struct.pack(">IIBBBBB", width, height, depth, 6 if picture.mode == "RGBA" else 2,
                         0, 0, interlaced)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(scanlines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks)


def read_safetensors(path):
    data = path.read_bytes()
    begin = 8 + struct.unpack_from("<Q", data)[0]
    dtypes = {"F32": torch.float32, "I64": torch.int64}
    tensors = {}
    for name, entry in json.loads(data[8:begin]).items():
        if name != "__metadata__":
            first, last = (begin + offset for offset in entry["data_offsets"])
            values = torch.frombuffer(bytearray(data[first:last]), dtype=dtypes[entry["dtype"]])
            tensors[name] = values.reshape(entry["shape"])
    return tensors


class Vision(parity.Comparison):
    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        print(f"Pillow {PIL.__version__}")

    def save(self, picture, name="in.png", **how):
        picture.save(TOOL.folder / name, **how)
        return name

    def same_picture(self, label, theirs, *request):
        """`theirs` must be what the tool writes, to the bit."""
        TOOL.ask(*request, "out.ppm")
        with Image.open(TOOL.folder / "out.ppm") as ours:
            self.check(ours.size == theirs.size, f"{label}: {ours.size}, not {theirs.size}")
            self.check(ours.tobytes() == theirs.tobytes(), f"{label}: other pixels")


class Published(Vision):
    """The table of published weights against torchvision's enums."""

    def test_table(self):
        TOOL.ask("published", "published.txt")
        ours = [json.loads(line) for line in (TOOL.folder / "published.txt").open()]
        theirs = [weights for enum in (mobilenetv3.MobileNet_V3_Large_Weights,
                                       mobilenetv3.MobileNet_V3_Small_Weights)
                  for weights in enum]
        with self.case("weights"):
            self.compare_lists("name", [row["name"] for row in ours], [str(w) for w in theirs])
        for row, weights in zip(ours, theirs):
            with self.case(row["name"]):
                preset, metrics = weights.transforms(), weights.meta["_metrics"]["ImageNet-1K"]
                file_name = weights.url.split("/")[-1]
                expected = {
                    "name": str(weights), "url": weights.url, "file_name": file_name,
                    "sha256_prefix": torch.hub.HASH_REGEX.search(file_name).group(1),
                    "num_params": weights.meta["num_params"],
                    "acc@1": metrics["acc@1"], "acc@5": metrics["acc@5"],
                    "crop_size": preset.crop_size[0], "resize_size": preset.resize_size[0],
                    "mean": preset.mean, "std": preset.std,
                    "interpolation": preset.interpolation.value,
                }
                for key, value in expected.items():
                    self.check(row.pop(key) == value, f"{key} is not {value}")
                self.check(not row, f"what torchvision has not: {row}")


class Hash(Vision):
    def test_hash(self):
        generator = random.Random(1)
        with self.case("sha256"):
            for size in [*range(200), 2**18 - 1, 2**18, 2**18 + 1, 3 * 2**18 + 77]:
                content = generator.randbytes(size)
                (TOOL.folder / "in.bin").write_bytes(content)
                TOOL.ask("hash", "in.bin", "hash.txt")
                self.check((TOOL.folder / "hash.txt").read_text() ==
                           hashlib.sha256(content).hexdigest(), f"of {size} bytes")


class Decode(Vision):
    """Files that Pillow writes, and photographs."""

    def compare(self, label, name):
        with Image.open(TOOL.folder / name) as picture:
            self.same_picture(label, picture.convert("RGB"), "decode", name)

    def test_png(self):
        base = noise(61, 47)
        alpha = noise(61, 47, seed=1).convert("L")
        modes = {mode: base.convert(mode) for mode in ("1", "L", "P", "RGB")}
        modes["LA"] = Image.merge("LA", (base.convert("L"), alpha))
        modes["RGBA"] = Image.merge("RGBA", (*base.split(), alpha))
        for mode, picture in modes.items():
            with self.case(mode):
                self.compare(mode, self.save(picture))
                self.compare(f"{mode} compressed", self.save(picture, compress_level=9))
        with self.case("palettes"):
            for colours in (2, 4, 16, 100, 256):
                few = base.quantize(colours)
                self.compare(f"{colours} colours", self.save(few))
                self.compare(f"{colours}, one transparent", self.save(few, transparency=1))
        with self.case("transparent colour"):
            self.compare("RGB", self.save(base, transparency=base.getpixel((3, 3))))
        with self.case("16 bits, interlaced"):
            for picture in (base, modes["RGBA"], noise(1, 1), noise(3, 5)):
                for depth, interlaced in ((16, False), (8, True), (16, True)):
                    (TOOL.folder / "in.png").write_bytes(png_of(picture, depth, interlaced))
                    self.compare(f"{picture.mode}, {picture.size}, {depth}, {interlaced}",
                                 "in.png")
        with self.case("sizes"):
            for size in ((1, 1), (1, 300), (300, 1), (8, 8), (257, 129)):
                self.compare(str(size), self.save(noise(*size)))

    def test_jpeg(self):
        for width, height in ((64, 48), (1, 1), (17, 33), (255, 7), (300, 201)):
            with self.case(f"{width} x {height}"):
                for subsampling in (0, 1, 2):
                    for how in ({}, {"progressive": True}, {"quality": 100}, {"quality": 5}):
                        name = self.save(noise(width, height), "in.jpg", subsampling=subsampling,
                                         **how)
                        self.compare(f"subsampling {subsampling}, {how}", name)
                self.compare("grey", self.save(noise(width, height).convert("L"), "in.jpg"))

    def test_ppm(self):
        with self.case("ppm"):
            self.compare("P6", self.save(noise(31, 17), "in.ppm"))
            self.compare("P5", self.save(noise(31, 17).convert("L"), "in.pgm"))

    def test_photos(self):
        for path in photos():
            with self.case(path.name), Image.open(path) as picture:
                self.same_picture(path.name, picture.convert("RGB"), "decode", path)

    def test_cmyk(self):
        self.save(noise(9, 9).convert("CMYK"), "in.jpg")
        with self.assertRaisesRegex(RuntimeError, "its colours are CMYK; save it as RGB"):
            TOOL.ask("decode", "in.jpg", "out.ppm")


class Resize(Vision):
    """Pillow's Image.resize, to the bit."""

    SIDES = (1, 2, 3, 5, 7, 16, 31, 64, 100, 224, 225, 232, 256, 257, 333, 640)

    def test_sizes(self):
        generator = random.Random(2)
        for name, theirs in FILTERS.items():
            for case in range(40):
                side = functools.partial(generator.choice, self.SIDES)
                picture = noise(side(), side(), seed=case)
                source = self.save(picture, "in.ppm")
                with self.case(f"{picture.size}, {name}"):
                    for _ in range(5):
                        size = side(), side()
                        self.same_picture(f"to {size}", picture.resize(size, theirs), "resize",
                                          source, *size, name)

    def test_black_and_white(self):
        """The cubic overshoots here."""
        picture = noise(200, 150).convert("1").convert("RGB")
        source = self.save(picture, "in.ppm")
        for name, theirs in FILTERS.items():
            with self.case(name):
                for size in ((400, 300), (77, 33), (199, 151)):
                    self.same_picture(f"to {size}", picture.resize(size, theirs), "resize", source,
                                      *size, name)

    def test_crop(self):
        generator = random.Random(3)
        with self.case("centre"):
            for case in range(150):
                width, height, crop_width, crop_height = (generator.randint(1, 40)
                                                          for _ in range(4))
                picture = noise(width, height, seed=case)
                source = self.save(picture, "in.ppm")
                theirs = functional.center_crop(picture, (crop_height, crop_width))
                self.same_picture(f"{picture.size} to {crop_width} x {crop_height}", theirs,
                                  "crop", source, crop_width, crop_height)


class Preprocess(Vision):
    """torchvision's preset on PIL images: equal tensors."""

    def same_tensor(self, path, resize_size, crop_size, filter_name="bilinear"):
        theirs = ImageClassification(crop_size=crop_size, resize_size=resize_size,
                                     interpolation=InterpolationMode(filter_name))
        TOOL.ask("preprocess", path, resize_size, crop_size, filter_name, "out.pth")
        ours = torch.load(TOOL.folder / "out.pth")["x"]
        with Image.open(TOOL.folder / path) as picture:
            expected = theirs(picture.convert("RGB"))
        self.check(ours.shape == expected.shape and torch.equal(ours, expected),
                   f"{path} of {picture.size}, {resize_size}, {crop_size}, {filter_name}")

    def test_sizes(self):
        generator = random.Random(4)
        with self.case("sizes"):
            for case in range(60):
                width, height = generator.randint(1, 700), generator.randint(1, 700)
                if max(width, height) > 20 * min(width, height):
                    continue
                source = self.save(noise(width, height, seed=case), "in.ppm")
                self.same_tensor(source, generator.choice((256, 232)), 224)
                self.same_tensor(source, generator.randint(20, 300), generator.randint(20, 300),
                                 generator.choice(list(FILTERS)))

    def test_photos(self):
        for path in photos():
            with self.case(path.name):
                self.same_tensor(path, 256, 224)
                self.same_tensor(path, 232, 224)


class Classify(Vision):
    """The example's answer against torchvision's, with random weights."""

    def run_example(self, *arguments):
        if CLASSIFY is None:
            self.skipTest("there is no --classify PROGRAM")
        return subprocess.run([CLASSIFY, *arguments], capture_output=True, text=True,
                              cwd=TOOL.folder)

    def network(self, size, x):
        """One whose logits for `x` leave several classes a chance, saved as SIZE.pth."""
        torch.manual_seed(1)
        model = parity.randomize(parity.torchvision_net(size), channels=3)
        with torch.no_grad():
            factor = 2 / model(x).std()
            for parameter in model.classifier[3].parameters():
                parameter *= factor
        torch.save(model.state_dict(), TOOL.folder / f"{size}.pth")
        return model

    def test_top_5(self):
        (TOOL.folder / "labels.txt").write_text("".join(f"label {i}\n" for i in range(1000)))
        picture = noise(400, 300)
        x = ImageClassification(crop_size=224)(picture).unsqueeze(0)
        self.save(picture, "in.png")
        for size in ("large", "small"):
            model = self.network(size, x)
            with self.case(size), torch.no_grad():
                answer = self.run_example("--picture", "in.png", "--weights", f"{size}.pth",
                                          "--arch", f"mobilenet_v3_{size}", "--labels",
                                          "labels.txt", "--taps", "taps.png")
                self.assertEqual(answer.returncode, 0, answer.stderr)
                *lines, last = answer.stdout.splitlines()
                self.check(last == "feature maps: taps.png", last)
                probabilities, indices = model(x).softmax(1)[0].topk(5)
                for line, probability, index in zip(lines, probabilities, indices, strict=True):
                    per_cent, rest = line.split(" %  ")
                    self.check(rest.endswith(f"  label {index}"), f"{line}, not label {index}")
                    self.check(abs(float(per_cent) - 100 * probability.item()) < 0.006,
                               f"{line}, not {100 * probability} %")
                    self.check(rest.count("█") == int(30 * probability), f"{line}: the bar")
                with Image.open(TOOL.folder / "taps.png") as taps:
                    taps.load()
                    self.check(taps.format == "PNG" and len(taps.getcolors(10**6)) > 500,
                               "nothing is drawn")

    def test_real(self):
        """Google's weights on photographs, against what timm says of them."""
        folder = WEIGHTS / "tf_mobilenetv3_small_100"
        file, labels = folder / "tf_mobilenetv3_small_100.safetensors", "imagenet_1000_labels.txt"
        if not file.exists() or not photos():
            print(f"SKIPPED, NOTHING WAS COMPARED: there is no {file}", file=sys.stderr)
            self.skipTest(f"there is no {file}")
        torch.save(read_safetensors(file), TOOL.folder / "real.pth")
        expected = json.loads((folder / "expected.json").read_text())
        pictures = [p for p in expected["images"]
                    if p["file"] in ("bird.png", "coffee.png", "hot_dog.jpg", "parrot.jpg")]
        for picture in pictures:
            with self.case(picture["file"]):
                answer = self.run_example(
                    "--picture", WEIGHTS.parent / "photos" / picture["file"], "--weights",
                    "real.pth", "--arch", expected["model"], "--labels", folder / labels)
                self.assertEqual(answer.returncode, 0, answer.stderr)
                print(answer.stdout.splitlines()[0])
                for line, best in zip(answer.stdout.splitlines(), picture["top5"], strict=True):
                    per_cent, rest = line.split(" %  ")
                    self.check(rest.endswith(f"  {best['label']}"), f"{line}, not {best['label']}")
                    self.check(abs(float(per_cent) - 100 * best["prob"]) < 0.006,
                               f"{line}, not {best['prob']}")

    def test_errors(self):
        self.network("small", torch.rand(1, 3, 64, 64))
        published = "mobilenet_v3_small-047dcff4.pth"
        (TOOL.folder / published).write_bytes((TOOL.folder / "small.pth").read_bytes())
        (TOOL.folder / "two.txt").write_text("a\nb\n")
        (TOOL.folder / "cut.png").write_bytes(
            (TOOL.folder / self.save(noise(20, 20), "in.png")).read_bytes()[:500])
        names = "mobilenet_v3_large, mobilenet_v3_small, tf_mobilenetv3_small_100"
        good = {"--picture": "in.png", "--weights": "small.pth", "--arch": "mobilenet_v3_small"}
        for status, expected, changes in (
                (2, "--picture is needed", {"--picture": None}),
                (2, "--weights is needed", {"--weights": None}),
                (2, "--arch must say what network it is for", {"--arch": None}),
                (2, f'--arch must be one of {names}, but is "x"', {"--arch": "x"}),
                (1, "none.png: No such file or directory", {"--picture": "none.png"}),
                (1, "cannot read cut.png: it ends too early", {"--picture": "cut.png"}),
                (1, "cannot read small.pth: it is not a PNG", {"--picture": "small.pth"}),
                (1, "none.txt: No such file", {"--labels": "none.txt"}),
                (1, "2 labels, but 1000 classes", {"--labels": "two.txt"}),
                (1, "should begin with 047dcff4", {"--weights": published, "--arch": None}),
                (1, "does not fit this network", {"--arch": "mobilenet_v3_large"}),
                (1, 'there is no directory "none"', {"--taps": "none/taps.png"})):
            with self.case(f"{changes}"):
                words = [word for flag, value in (good | changes).items() if value is not None
                         for word in (flag, value)]
                answer = self.run_example(*words)
                self.check(answer.returncode == status, f"status {answer.returncode}")
                self.check(answer.stdout == "", f"printed {answer.stdout}")
                self.check(answer.stderr.startswith("error: ") and expected in answer.stderr,
                           f"{answer.stderr!r} has no {expected!r}")


GROUPS = {group.__name__.lower(): group
          for group in (Published, Hash, Decode, Resize, Preprocess, Classify)}


def main():
    global TOOL, CLASSIFY, WEIGHTS
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True, type=pathlib.Path)
    parser.add_argument("--classify", type=pathlib.Path, help="the example program")
    parser.add_argument("--weights", type=pathlib.Path,
                        default=os.environ.get("MNV3_SHARED_WEIGHTS") or
                        parity.REPOSITORY.parent / "shared" / "weights")
    parser.add_argument("group", nargs="?", choices=list(GROUPS))
    arguments = parser.parse_args()
    WEIGHTS = arguments.weights.resolve()
    CLASSIFY = arguments.classify and arguments.classify.resolve()
    groups = [GROUPS[arguments.group]] if arguments.group else list(GROUPS.values())
    load = unittest.defaultTestLoader.loadTestsFromTestCase
    suite = unittest.TestSuite(load(group) for group in groups)
    with tempfile.TemporaryDirectory() as folder:
        TOOL = parity.Tool(arguments.tool.resolve(), folder)
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

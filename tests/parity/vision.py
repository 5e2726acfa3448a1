# SPDX-License-Identifier: MIT
"""Our pictures, data and hashes against Pillow's, torchvision's and hashlib's own, live: all equal.

    vision.py --tool PROGRAM [--classify PROGRAM] [--label PROGRAM] [--weights FOLDER] [GROUP]

Without a group all of them run. Exit code 77: what the group needs is not installed.
"""

import argparse
import contextlib
import functools
import hashlib
import json
import os
import pathlib
import random
import re
import struct
import subprocess
import sys
import time
import unittest
import warnings
import zlib

import parity  # which ends with 77 where torchvision is not installed
import PIL
import torch
import torchvision
from PIL import Image, ImageOps, PngImagePlugin
from torchvision.models import mobilenetv3
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional
from torchvision.transforms._presets import ImageClassification

from tool_process import run_tests

FILTERS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}
TOOL = None
CLASSIFY = None
LABEL = None
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


def png_chunk(kind, data):
    return (struct.pack(">I", len(data)) + kind + data
            + struct.pack(">I", zlib.crc32(kind + data)))


def split_pixels(png, size):
    """The PNG with its pixels in chunks of that many bytes."""
    begin = png.index(b"IDAT") - 4
    length = int.from_bytes(png[begin:begin + 4], "big")
    data = png[begin + 8:begin + 8 + length]
    return (png[:begin] + b"".join(png_chunk(b"IDAT", data[i:i + size])
                                   for i in range(0, length, size)) + png[begin + 12 + length:])


def text_chunk():
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "behind the pixels")
    return text


def tiff_of(order, entries):
    """EXIF data with one directory of (tag, type, count, value)."""
    directory, rest = b"", b""
    begin = 8 + 2 + 12 * len(entries) + 4
    for tag, kind, count, value in entries:
        if len(value) > 4:
            value, rest = struct.pack(order + "L", begin + len(rest)), rest + value
        directory += struct.pack(order + "HHL", tag, kind, count) + value.ljust(4, b"\0")
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(
        order + "LH", 8, len(entries)) + directory + bytes(4) + rest


def with_exif(picture, tiff):
    """A JPEG or PNG with EXIF data as they are, which Pillow would tidy up."""
    if picture.startswith(b"\xff\xd8"):
        data = b"Exif\0\0" + tiff
        return (picture[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(data)) + data + picture[2:])
    return picture[:33] + png_chunk(b"eXIf", tiff) + picture[33:]


def adobe_segment(jpeg):
    begin = jpeg.index(b"\xff\xee\0\x0eAdobe")
    return begin, begin + 16


def with_adobe_transform(jpeg, transform):
    end = adobe_segment(jpeg)[1]
    return jpeg[:end - 1] + bytes([transform]) + jpeg[end:]


def without_adobe(jpeg):
    begin, end = adobe_segment(jpeg)
    return jpeg[:begin] + jpeg[end:]


def transpose_as(picture, orientation):
    """What Pillow does for that EXIF value, which may be of any type."""
    plain = Image.frombytes(picture.mode, picture.size, picture.tobytes())
    if picture.mode == "P":
        plain.putpalette(picture.getpalette())
    plain.getexif()[0x0112] = orientation
    return ImageOps.exif_transpose(plain)


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
        """Pillow writes CMYK with Adobe's segment; the rest is made from that."""
        kinds = {"CMYK": lambda jpeg: jpeg,
                 "YCCK": lambda jpeg: with_adobe_transform(jpeg, 2),
                 "unknown transform": lambda jpeg: with_adobe_transform(jpeg, 1),
                 "no Adobe segment": without_adobe,
                 "other segment": lambda jpeg: jpeg.replace(b"Adobe\0", b"Adobf\0", 1)}
        for kind, change in kinds.items():
            for size in ((64, 48), (1, 1), (17, 33), (131, 97)):
                with self.case(f"{kind}, {size}"):
                    # Four channels of their own: where one is made from RGB, C, M or Y is 0.
                    inks = [noise(*size, seed=seed).convert("L") for seed in range(4)]
                    for picture in (noise(*size).convert("CMYK"), Image.merge("CMYK", inks)):
                        for how in ({"quality": 90}, {"quality": 20, "subsampling": 2},
                                    {"progressive": True}, {"quality": 100}):
                            self.save(picture, "in.jpg", **how)
                            path = TOOL.folder / "in.jpg"
                            path.write_bytes(change(path.read_bytes()))
                            self.compare(str(how), "in.jpg")

    def test_all_inks(self):
        """All of Pillow's rounding: a block of each pair of values, without loss."""
        for adobe in (True, False):
            picture = Image.new("CMYK", (256, 256))
            picture.putdata([(x, y, 255 - x, y) for y in range(256) for x in range(256)])
            picture = picture.resize((2048, 2048), Image.NEAREST)
            with self.case(f"Adobe's segment: {adobe}"):
                self.save(picture, "in.jpg", quality=100, subsampling=0)
                path = TOOL.folder / "in.jpg"
                path.write_bytes(path.read_bytes() if adobe else without_adobe(path.read_bytes()))
                self.compare("pairs", "in.jpg")

    def test_cut_png(self):
        """Wherever Pillow still reads it, so do we; where it does not, there is an error."""
        exif = Image.Exif()
        exif[0x010F] = "a maker"
        for picture, how in ((noise(20, 11), {}), (noise(20, 11).convert("P"), {}),
                             (noise(20, 11), {"pnginfo": text_chunk()})):
            self.save(picture, **how)
            whole = (TOOL.folder / "in.png").read_bytes()
            if how:  # text behind the pixels
                end = whole.index(b"tEXt") - 4
                length = 12 + int.from_bytes(whole[end:end + 4], "big")
                text = whole[end:end + length]
                whole = whole[:end] + whole[end + length:-12] + text + whole[-12:]
            with self.case(f"{picture.mode}, {how}"):
                for size in range(len(whole)):
                    (TOOL.folder / "in.png").write_bytes(whole[:size])
                    self.same_fate(f"{size} bytes of {len(whole)}", "in.png")
                # How the pixels are spread over chunks does not matter, nor do passes.
                (TOOL.folder / "in.png").write_bytes(whole)
                split = split_pixels(whole, 70)
                for size in range(len(split) - 90, len(split)):
                    (TOOL.folder / "in.png").write_bytes(split[:size])
                    self.same_fate(f"{size} bytes of {len(split)}, split", "in.png")
        with self.case("how the last bits lie"):
            for case in range(40):
                picture = noise(3 + case, 5, seed=case).quantize(2 + case % 5).convert("RGB")
                self.save(picture, compress_level=case % 10)
                whole = (TOOL.folder / "in.png").read_bytes()
                for end in range(len(whole) - 26, len(whole)):
                    (TOOL.folder / "in.png").write_bytes(whole[:end])
                    self.same_fate(f"{end} bytes of {len(whole)}, {case}", "in.png")
        for size in ((20, 11), (20, 12), (1, 1), (5, 1), (1, 5), (3, 2)):
            with self.case(f"interlaced, {size}"):
                whole = png_of(noise(*size), interlaced=True)
                for end in range(max(0, len(whole) - 60), len(whole)):
                    (TOOL.folder / "in.png").write_bytes(whole[:end])
                    self.same_fate(f"{end} bytes of {len(whole)}", "in.png")

    def same_fate(self, label, name):
        try:
            with Image.open(TOOL.folder / name) as picture:
                theirs = picture.convert("RGB")
        except Exception:  # whatever Pillow thinks of such a file
            try:
                TOOL.ask("decode", name, "out.ppm")
            except RuntimeError:
                self.check(True, label)
            else:
                self.check(False, f"{label}: Pillow refuses it")
            return
        try:
            self.same_picture(label, theirs, "decode", name)
        except RuntimeError as error:
            self.check(False, f"{label}: {error}")


class Orientation(Vision):
    """ImageOps.exif_transpose, for JPEG and PNG."""

    # EXIF's types of numbers: how struct writes each, and how many numbers one value has.
    TYPES = {3: "H", 4: "L", 5: "LL", 6: "b", 8: "h", 9: "l", 10: "ll", 11: "f", 12: "d", 13: "L",
             16: "Q", 1: "B", 2: "B", 7: "B", 0: "L", 14: "L", 18: "H", 65535: "H"}

    def compare(self, label, name):
        path = TOOL.folder / name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of damaged EXIF
            theirs = self.stored  # also where EXIF is so damaged that Pillow does not go on
            with contextlib.suppress(Exception), Image.open(path) as picture:
                # exif_transpose also writes new EXIF data, where it can fail, but not without any.
                orientation = picture.getexif().get(0x0112)
                theirs = transpose_as(picture, orientation).convert("RGB")
        self.same_picture(label, theirs, "upright", name)
        self.same_picture(f"{label}, not asked for", self.stored, "decode", name)

    def compare_exif(self, label, tiff):
        """With these EXIF data, in both kinds of files."""
        for name in ("in.jpg", "in.png"):
            path = TOOL.folder / self.save(self.picture, name)
            with Image.open(path) as picture:
                self.stored = picture.convert("RGB")
            path.write_bytes(with_exif(path.read_bytes(), tiff))
            self.compare(f"{label}, {name}", name)

    def setUp(self):
        self.picture = noise(13, 7)

    def test_values(self):
        for order in "<>":
            for kind, letters in self.TYPES.items():
                with self.case(f"type {kind}, {order}"):
                    for value in range(10):
                        numbers = [value] if len(letters) == 1 else [3 * value, 3]
                        packed = struct.pack(order + letters, *numbers)
                        self.compare_exif(f"{value}", tiff_of(order, [(0x112, kind, 1, packed)]))

    def test_sizes(self):
        for size in ((1, 1), (1, 40), (40, 1), (33, 65), (300, 201)):
            self.picture = noise(*size)
            with self.case(f"{size}"):
                for value in range(1, 9):
                    self.compare_exif(f"{value}", tiff_of("<", [(0x112, 3, 1, bytes([value, 0]))]))

    def test_modes(self):
        for mode in ("1", "L", "P", "RGBA", "CMYK"):
            self.picture = noise(13, 7).convert(mode)
            tiff = tiff_of(">", [(0x112, 3, 1, b"\0\6")])
            for name in ("in.jpg", "in.png"):
                if mode in {"in.jpg": ("L", "CMYK"), "in.png": ("1", "L", "P", "RGBA")}[name]:
                    with self.case(f"{mode}, {name}"):
                        path = TOOL.folder / self.save(self.picture, name)
                        with Image.open(path) as picture:
                            self.stored = picture.convert("RGB")
                        path.write_bytes(with_exif(path.read_bytes(), tiff))
                        self.compare(mode, name)

    def test_directories(self):
        """Which entry counts, and what may be damaged."""
        six, three = struct.pack("<H", 6), struct.pack("<H", 3)
        good = (0x112, 3, 1, six)
        maker = (0x10F, 2, 8, b"a maker\0")
        cases = {
            "behind others": [maker, (0x110, 2, 2, b"a\0"), good],
            "first": [good, maker],
            "twice": [good, (0x112, 3, 1, three)],
            "twice, then as text": [good, (0x112, 2, 2, b"3\0")],
            "twice, then of no type": [good, (0x112, 99, 1, three)],
            "twice, then of no length": [good, (0x112, 3, 0, three)],
            "of no length": [(0x112, 3, 0, six)],
            "two numbers": [(0x112, 3, 2, six + three)],
            "three numbers": [(0x112, 3, 3, six + three + three)],
            "huge count": [good, (0x10F, 2, 2**32 - 1, b"abcd")],
            "huge count first": [(0x10F, 2, 2**32 - 1, b"abcd"), good],
            "huge count of rationals": [(0x11A, 5, 2**32 - 1, b"abcd"), good],
            "other tag": [(0x113, 3, 1, six)],
            "divided by 0": [(0x112, 5, 1, struct.pack("<LL", 6, 0))],
            "negative": [(0x112, 9, 1, struct.pack("<l", -6))],
            "negative over negative": [(0x112, 10, 1, struct.pack("<ll", -12, -2))],
            "not whole": [(0x112, 11, 1, struct.pack("<f", 6.5))],
            "not a number": [(0x112, 12, 1, struct.pack("<d", float("nan")))],
            "none": [],
        }
        for label, entries in cases.items():
            with self.case(label):
                self.compare_exif(label, tiff_of("<", entries))
        tiff = tiff_of("<", [maker, good])
        with self.case("headers"):
            for header in (b"II*\0", b"MM\0*", b"II\0*", b"MM*\0", b"II+\0", b"MM\0+", b"IM*\0",
                           b"ii*\0", b"\0\0\0\0", b"Exif"):
                self.compare_exif(str(header), header + tiff[4:])
                self.compare_exif(f"{header}, big-endian",
                                  header + tiff_of(">", [(0x112, 3, 1, b"\0\6")])[4:])
        with self.case("offsets"):
            for offset in (0, 7, 9, len(tiff) - 1, len(tiff), len(tiff) + 1, 2**31, 2**32 - 1):
                self.compare_exif(f"{offset}", tiff[:4] + struct.pack("<L", offset) + tiff[8:])
        with self.case("number of entries"):
            for count in (0, 1, 2, 3, 65535):
                self.compare_exif(f"{count}", tiff[:8] + struct.pack("<H", count) + tiff[10:])
        with self.case("cut"):
            for size in range(len(tiff)):
                self.compare_exif(f"{size} bytes", tiff[:size])
        with self.case("the second directory"):
            first = tiff_of("<", [maker])
            second = struct.pack("<HHHL2sHL", 1, 0x112, 3, 1, six, 0, 0)
            self.compare_exif("only there", first[:-12] + struct.pack("<L", len(first))
                              + first[-8:] + second)

    def test_random_damage(self):
        generator = random.Random(5)
        tiff = tiff_of("<", [(0x10F, 2, 8, b"a maker\0"), (0x112, 3, 1, b"\6\0"),
                             (0x11A, 5, 1, struct.pack("<LL", 72, 1))])
        with self.case("one byte"):
            for _ in range(300):
                damaged = bytearray(tiff)
                damaged[generator.randrange(len(tiff))] = generator.choice((0, 1, 2, 3, 6, 255))
                self.compare_exif(damaged.hex(), bytes(damaged))

    # What Pillow 9, whose pixels ours are, and Pillow 11 read differently, in damaged files.
    DISPUTED = {"empty first", "not two zeros", "with JPEG's name"} \
        if int(PIL.__version__.split(".")[0]) > 9 else set()

    def test_segments(self):
        """Which of several EXIF data in one file count."""
        six, three = (tiff_of("<", [(0x112, 3, 1, bytes([value, 0]))]) for value in (6, 3))
        self.save(self.picture, "plain.jpg")
        self.save(self.picture, "plain.png")
        jpeg, png = ((TOOL.folder / f"plain.{kind}").read_bytes() for kind in ("jpg", "png"))
        name = b"Exif\0\0"
        xmp = b"http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation=\"8\"/>"
        for label, segments in {
                "two": (name + six, name + three), "empty first": (name, name + six),
                "after XMP": (xmp, name + six), "only XMP": (xmp,),
                "short": (b"", b"E", name + six), "no name": (six, ),
                "other name": (b"exif\0\0" + six,), "one zero": (b"Exif\0" + six,),
                "not two zeros": (b"Exif\0\1" + six, name + three)}.items():
            if label in self.DISPUTED:
                continue
            with self.case(f"JPEG, {label}"), Image.open(TOOL.folder / "plain.jpg") as picture:
                self.stored = picture.convert("RGB")
                (TOOL.folder / "in.jpg").write_bytes(jpeg[:2] + b"".join(
                    b"\xff\xe1" + struct.pack(">H", 2 + len(data)) + data for data in segments)
                    + jpeg[2:])
                self.compare(label, "in.jpg")
        before, after = 33, len(png) - 12
        for label, places in {
                "two": ((before, six), (before, three)), "after": ((after, six),),
                "two after": ((after, six), (after, three)),
                "before and after": ((before, six), (after, three)),
                "empty": ((before, b""),), "with JPEG's name": ((before, name + six),)}.items():
            if label in self.DISPUTED:
                continue
            with self.case(f"PNG, {label}"), Image.open(TOOL.folder / "plain.png") as picture:
                self.stored = picture.convert("RGB")
                pieces = {place: b"".join(png_chunk(b"eXIf", data) for where, data in places
                                          if where == place) for place in (before, after)}
                (TOOL.folder / "in.png").write_bytes(
                    png[:before] + pieces[before] + png[before:after] + pieces[after] + png[after:])
                self.compare(label, "in.png")


class Cases(Vision):
    """The instances that others collected, where they are at hand."""

    FOLDER = parity.REPOSITORY.parent / "shared" / "cases"

    def files(self, folder):
        found = sorted(path for path in (self.FOLDER / folder).glob("*"))
        if not found:
            print(f"SKIPPED, NOTHING WAS COMPARED: there is no {self.FOLDER / folder}",
                  file=sys.stderr)
            self.skipTest(f"there is no {self.FOLDER / folder}")
        return found

    def test_cmyk(self):
        for path in self.files("cmyk_jpeg"):
            with self.case(path.name), Image.open(path) as picture:
                self.same_picture(path.name, picture.convert("RGB"), "decode", path)

    def test_orientation(self):
        for path in self.files("exif_orientation"):
            with self.case(path.name), Image.open(path) as picture:
                self.same_picture(path.name, picture.convert("RGB"), "decode", path)
                self.same_picture(path.name, ImageOps.exif_transpose(picture).convert("RGB"),
                                  "upright", path)

    def refusal(self, path):
        began = time.monotonic()
        with self.assertRaises(RuntimeError) as caught:
            TOOL.ask("decode", path, "out.ppm")
        self.check(time.monotonic() - began < 1, f"it took {time.monotonic() - began:.1f} s")
        return str(caught.exception)

    def test_foreign(self):
        words = {"gif": "a GIF picture", "webp": "a WebP picture", "html": "a web page",
                 "lfs": "git lfs pull"}
        for path in self.files("foreign_pictures"):
            with self.case(path.name):
                error, kind = self.refusal(path), re.split("[_.]", path.name)[0]
                self.check(words.get(kind, ": it is") in error, error)

    def test_hostile(self):
        self.files("hostile")
        for path in sorted((self.FOLDER / "hostile").glob("*.jpg")):
            with self.case(path.name):
                print(self.refusal(path))


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
                if LABEL is not None:  # the example without LibTorch
                    label = subprocess.run([LABEL, size, f"{size}.pth", "in.png", "labels.txt"],
                                           capture_output=True, text=True, cwd=TOOL.folder)
                    shown = [f"{line[:9]} {line.split('  ')[-1].strip()}" for line in lines]
                    self.check(shown == [f"{line[:9]} {line[10:]}"
                                         for line in label.stdout.splitlines()],
                               f"{label.stdout}{label.stderr}")
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
                (1, "cannot read small.pth: it is a zip archive", {"--picture": "small.pth"}),
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
          for group in (Published, Hash, Decode, Orientation, Cases, Resize, Preprocess, Classify)}


def use_tool(tool):
    global TOOL
    TOOL = tool


def main():
    global CLASSIFY, LABEL, WEIGHTS
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True, type=pathlib.Path)
    parser.add_argument("--classify", type=pathlib.Path, help="the example program")
    parser.add_argument("--label", type=pathlib.Path, help="the one without LibTorch")
    parser.add_argument("--weights", type=pathlib.Path,
                        default=os.environ.get("MNV3_SHARED_WEIGHTS") or
                        parity.REPOSITORY.parent / "shared" / "weights")
    parser.add_argument("group", nargs="?", choices=list(GROUPS))
    arguments = parser.parse_args()
    WEIGHTS = arguments.weights.resolve()
    CLASSIFY = arguments.classify and arguments.classify.resolve()
    LABEL = arguments.label and arguments.label.resolve()
    groups = [GROUPS[arguments.group]] if arguments.group else list(GROUPS.values())
    run_tests(groups, arguments.tool, use_tool)


if __name__ == "__main__":
    main()

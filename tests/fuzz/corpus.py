# SPDX-License-Identifier: MIT
"""Writes seeds for a fuzzer, by real torch.save and Pillow calls: corpus.py FOLDER TARGET, or
corpus.py --store.

Without torch or Pillow there are those that need neither, and a few that are stored beside this
file, in stored/: --store writes these again.
"""

import io
import json
import pathlib
import pickle
import struct
import sys
import zipfile
import zlib

STORED = pathlib.Path(__file__).resolve().parent / "stored"
STORING = sys.argv[1:] == ["--store"]
FOLDER, TARGET = (STORED, "") if STORING else (pathlib.Path(sys.argv[1]), sys.argv[2])


def seed(target, name, data):
    if STORING and target in ("zip", "legacy") and name.endswith("2") and "long_" not in name:
        (STORED / target).mkdir(exist_ok=True)
        (STORED / target / name).write_bytes(data)
    if target == TARGET:
        (FOLDER / target / name).write_bytes(data)
    if TARGET == "checkpoint" and target in ("zip", "legacy", "safetensors"):  # whole files
        (FOLDER / TARGET / f"{target}_{name}").write_bytes(data)


def archive_of(body):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\x80\2" + body + b".")
        archive.writestr("a/data/0", bytes(16))
    return stream.getvalue()


def long_runs():
    """What no fuzzer finds byte by byte: the same thing very often, deep, or by reference."""
    n = 20_000
    tensor = (b"ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\n"
              b"X\1\0\0\0000X\3\0\0\0cpuK\4tQK\0K\4\x85K\1\x85\x89NtR")
    double = b"".join(b"\x940](h" + bytes([i]) + b"h" + bytes([i]) + b"e" for i in range(40))
    bodies = {
        "nones": b"(" + b"N" * n + b"l", "nest": b"]" * n + b"a" * (n - 1), "marks": b"(" * n,
        "tuples": tensor + b"\x85" * n, "dup": b"](N" + b"2" * n + b"e",
        "dag": b"]" + double, "tensors": tensor + double, "memo": b"N" + b"\x94" * n,
        "keys": b"}(" + b"NN" * n + b"u\x940(" + b"h\0" * n + b"t",
        "class": b"X\0\x40\0\0" + b"m" * 16384 + b"X\1\0\0\0n\x93q\0)q\1(" + b"h\0h\1R" * n + b"l",
        "calls": b"ctorch\nf\nq\0(" + b"N" * n + b"tq\1(" + b"h\0h\1R" * n + b"l",
    }
    for name, body in bodies.items():
        seed("pickle", f"long_{name}", b"\x80\2" + body + b".")
        seed("zip", f"long_{name}", archive_of(body))


def safetensors(tensors, **metadata):
    """`tensors`: name -> (dtype, shape, values)."""
    header, body = {"__metadata__": metadata} if metadata else {}, b""
    for name, (dtype, shape, values) in tensors.items():
        place = [len(body), len(body) + len(values)]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": place}
        body += values
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def without_torch():
    seed("safetensors", "two", safetensors(
        {"w": ("F32", [2, 3], bytes(24)), "b": ("I64", [], bytes(8))}))
    seed("safetensors", "escapes", safetensors(
        {"\u00e9\U0001f600\"\\\n": ("BF16", [0], b"")}, a="b"))
    for level in 0, 1, 9:
        text = b"hello hello hello " * 20 + bytes(range(256))
        packer = zlib.compressobj(level, zlib.DEFLATED, -15)
        packed = packer.compress(text) + packer.flush()
        seed("inflate", f"level{level}", struct.pack(">H", len(text)) + packed)
    names = ["features.0.0.weight", "features.1.block.0.0.weight", "classifier.3.bias"]
    seed("names", "timm", b"amodule.conv_stem.weight\nbmodule.blocks.0.0.conv_dw.weight")
    for prefix in "", "model.", "state_dict.module.backbone.":
        seed("names", f"{len(prefix)}", "\n".join("a" + prefix + name for name in names).encode())
    seed("names", "lraspp", b"\n".join(b"bbackbone." + n[9:].encode() for n in names[:2]))
    seed("names", "ema", b"amodel.features.0.0.weight\namodel_ema.features.0.0.weight")
    for protocol in 2, 4:
        seed("pickle", f"values{protocol}", pickle.dumps(
            {"a": [1, -1, 2**40, 2**70, 1.5, None, True, "x", b"y", (1, 2, 3, 4), {1, 2}], 7: {}},
            protocol))
    seed("picture", "p6", b"P6 # a comment\n2 1 255\nabcdef")
    seed("picture", "p5", b"P5 2 1 255\nab")
    for name, text in (("svg", b"<?xml version='1.0'?><svg xmlns='x'/>"),
                       ("html", b"<!DOCTYPE html>"),
                       ("lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:a\n"),
                       ("avif", b"\0\0\0\x20ftypmif1\0\0\0\0mif1avif"), ("zero", bytes(40))):
        seed("picture", name, text)


def with_torch(torch):
    torch.manual_seed(1)  # so that what is stored stays the same
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2))
    base = torch.arange(24.).reshape(4, 6)
    values = {
        "state": net.state_dict(),
        "checkpoint": {"model": net.state_dict(), "epoch": 3, "lr": 0.1, "args": [1, (2, 3)]},
        "views": {"base": base, "part": base[1:3, 2:5], "t": base.t(), "e": base[:1].expand(3, 6)},
        "dtypes": {str(t): torch.ones(2).to(t) for t in (torch.float16, torch.bool)},
        "parameter": {"p": torch.nn.Parameter(torch.ones(2))},
    }
    path = FOLDER / TARGET / "seed.pth"
    for name, value in values.items():
        for protocol in 2, 4:
            torch.save(value, path, pickle_protocol=protocol)
            seed("zip", f"{name}{protocol}", path.read_bytes())
            with zipfile.ZipFile(path) as archive:
                seed("pickle", f"{name}{protocol}", archive.read("seed/data.pkl"))
            torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
            seed("legacy", f"{name}{protocol}", path.read_bytes())
    torch.jit.save(torch.jit.script(net), path)
    seed("zip", "script", path.read_bytes())
    stream = io.BytesIO()
    with zipfile.ZipFile(path) as archive, \
         zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        seed("pickle", "script", archive.read("seed/data.pkl"))
        for name in archive.namelist():
            if "/code/" not in name:
                packed.writestr(name, archive.read(name))
    seed("zip", "packed", stream.getvalue())
    path.unlink()


def with_pillow(Image):
    """What Pillow reads, of few pixels, so that all of it is soon changed."""
    def saved(picture, kind, **how):
        stream = io.BytesIO()
        picture.save(stream, kind, **how)
        return stream.getvalue()

    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "a maker"
    seed("exif", "little", exif.tobytes()[6:])
    seed("exif", "big", b"MM\0*\0\0\0\x08\0\2\1\x0f\0\2\0\0\0\x05\0\0\0\x26"
                        b"\1\x12\0\x05\0\0\0\1\0\0\0\x26\0\0\0\0\0\0\0\6\0\0\0\1")
    picture = Image.linear_gradient("L").resize((19, 13))
    colours = Image.merge("RGB", (picture, picture.rotate(90), picture.rotate(180)))
    for mode in "L", "RGB", "CMYK":
        for progressive in False, True:
            for restarts in 0, 1:
                jpeg = saved(colours.convert(mode), "JPEG", progressive=progressive, exif=exif,
                             restart_marker_blocks=restarts)
                seed("jpeg", f"{mode}{progressive}{restarts}", jpeg[3:])
                seed("picture", f"{mode}{progressive}{restarts}.jpg", jpeg)
    for mode in "1", "L", "P", "RGB", "RGBA", "I;16":
        with_mode = picture.convert("I").convert(mode) if mode == "I;16" else colours.convert(mode)
        png = saved(with_mode, "PNG", exif=exif)
        seed("png", mode.replace(";", ""), png[8:])
        seed("picture", f"{mode.replace(';', '')}.png", png)
    passes = ((1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4))
    rows = b"".join(bytes(1 + 3 * width) * height for width, height in passes)
    seed("png", "interlaced", b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 1)),
                           (b"IDAT", zlib.compress(rows)), (b"IEND", b""))))
    for kind in "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO", "PCX", "TGA":
        try:
            seed("picture", kind, saved(colours, kind))
        except (KeyError, OSError) as error:  # kinds that this Pillow was built without
            print(f"no seed of {kind}: {error}", file=sys.stderr)


def main():
    (FOLDER / TARGET).mkdir(parents=True, exist_ok=True)
    if STORING:
        import torch
        return with_torch(torch)
    for stored in STORED.glob("*/*"):
        seed(stored.parent.name, f"stored_{stored.name}", stored.read_bytes())
    without_torch()
    if TARGET in ("exif", "jpeg", "picture", "png"):
        try:
            from PIL import Image
        except ImportError as error:
            print(f"no seeds of Pillow: {error}", file=sys.stderr)
            return
        with_pillow(Image)
    long_runs()
    if TARGET not in ("checkpoint", "legacy", "pickle", "zip"):
        return
    try:
        import torch
    except ImportError as error:
        print(f"no seeds of torch.save: {error}", file=sys.stderr)
        return
    with_torch(torch)


main()

# SPDX-License-Identifier: MIT
"""Pictures decoded and augmented for training: ours against Pillow and torchvision's transforms.

    pipeline.py --program BUILD/benchmarks/mnv3_pipeline [--photos FOLDER] [--rounds 9]

Both take turns in one run, on the same JPEG files, which the system keeps in memory, with as many
workers: threads here, processes of a DataLoader there. A picture is decoded, cut to a random piece
of 224 x 224, mirrored, changed in brightness, contrast, saturation and hue, normalised, and put
into a batch. Exit code 77: torchvision is not installed.
"""

import argparse
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "peers"))
from report import machine

try:
    import PIL
    import torch
    import torchvision
    from PIL import Image, features
    from torchvision import datasets, transforms
except ImportError as error:
    print(f"SKIPPED: {sys.executable}: {error}", file=sys.stderr)
    sys.exit(77)


def synthetic(generator, width, height):
    """Smooth, with some grain, so that a JPEG of it has a photograph's size."""
    coarse = torch.rand(1, 3, 12, 16, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0]
    grain = 0.06 * torch.randn(3, height, width, generator=generator)
    return Image.fromarray(((smooth + grain).clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy())


def write_pictures(folder, photos, count, size):
    """JPEGs of about ImageNet's size, in two classes."""
    width, height = size
    generator = torch.Generator().manual_seed(0)
    chance = random.Random(0)
    sources = [Image.open(path).convert("RGB") for path in photos]
    for index in range(count):
        if sources:
            source = sources[index % len(sources)]
            part = chance.uniform(0.6, 1)
            wide, high = int(source.width * part), int(source.height * part)
            left = chance.randint(0, source.width - wide)
            top = chance.randint(0, source.height - high)
            box = (left, top, left + wide, top + high)
            picture = source.resize(size, Image.BICUBIC, box)
        else:
            picture = synthetic(generator, width, height)
        path = folder / f"class{index % 2}" / f"{index:04}.jpg"
        path.parent.mkdir(exist_ok=True)
        picture.save(path, quality=90)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, type=pathlib.Path)
    parser.add_argument("--photos", type=pathlib.Path, help="otherwise synthetic pictures")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--size", type=int, nargs=2, default=(500, 375))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    photos = sorted([*arguments.photos.glob("*.jpg"), *arguments.photos.glob("*.png")]
                    ) if arguments.photos else []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_pictures(folder, photos, arguments.pictures, tuple(arguments.size))
        bytes_ = sum(path.stat().st_size for path in folder.rglob("*.jpg"))
        ours = subprocess.Popen([arguments.program, folder, str(arguments.workers),
                                 str(arguments.batch)],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        theirs = torch.utils.data.DataLoader(
            datasets.ImageFolder(folder, transforms.Compose([
                transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(),
                transforms.ColorJitter(0.4, 0.4, 0.4, 0.1), transforms.ToTensor(),
                transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])),
            batch_size=arguments.batch, shuffle=True, num_workers=arguments.workers,
            persistent_workers=arguments.workers > 0)
        rates = {"Pillow + torchvision": [], "mnv3": []}
        for round_ in range(arguments.rounds + 1):
            begin = time.perf_counter()
            count = sum(len(labels) for _, labels in theirs)
            python = count / (time.perf_counter() - begin)
            print("epoch", file=ours.stdin, flush=True)
            pictures, seconds = map(float, ours.stdout.readline().split())
            if round_ > 0:  # the first one warms up
                rates["Pillow + torchvision"].append(python)
                rates["mnv3"].append(pictures / seconds)
        print("", file=ours.stdin, flush=True)  # the workers hold its end open, too
        ours.wait()
    turbo = features.version("libjpeg_turbo")
    print(f"\n{machine()}; {arguments.workers} workers, batches of {arguments.batch}, "
          f"{arguments.pictures} JPEGs of {arguments.size[0]} x {arguments.size[1]}, "
          f"{bytes_ / arguments.pictures / 1024:.0f} KiB each, {len(photos)} photographs; "
          f"torch {torch.__version__}, torchvision {torchvision.__version__}, "
          f"Pillow {PIL.__version__}, libjpeg-turbo {turbo}")
    for name, values in rates.items():
        print(f"{name:<22} {statistics.median(values):8.0f} pictures/s, median of {len(values)}; "
              f"best {max(values):.0f}")
    ratio = {kind: function(rates["mnv3"]) / function(rates["Pillow + torchvision"])
             for kind, function in (("medians", statistics.median), ("bests", max))}
    print(f"mnv3 is {ratio['medians']:.2f} times as fast by the medians, "
          f"{ratio['bests']:.2f} by the best rounds")


if __name__ == "__main__":
    main()

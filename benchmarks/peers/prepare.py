# SPDX-License-Identifier: MIT
"""Writes what all peers share: weights, pictures, the outputs they must get, and ONNX files.

prepare.py MODELS CASE...   with CASE as large_224x224_1: net, size and batch

MODELS/NET.pth has the weights, MODELS/CASE.in the pictures and MODELS/CASE.out the outputs, both as
plain float32. MODELS/CASE.onnx has the sizes fixed, so that ONNX Runtime can plan for them.
"""

import pathlib
import re
import sys

import torch

import networks


def with_statistics(net, pictures):
    """A model whose batch norms have the statistics of their own inputs.

    The initial ones let the activations shrink towards numbers that a CPU is slow with.
    """
    model = networks.torchvision_model(net)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    networks.as_run(net, model).train()(pictures)
    return model.eval()


def main():
    models = pathlib.Path(sys.argv[1])
    models.mkdir(parents=True, exist_ok=True)
    made = {}
    for case in sys.argv[2:]:
        net, height, width, batch = re.fullmatch(r"(\w+)_(\d+)x(\d+)_(\d+)", case).groups()
        torch.manual_seed(0)
        pictures = torch.rand(int(batch), 3, int(height), int(width))
        with torch.no_grad():
            if net not in made:
                made[net] = with_statistics(net, torch.rand(8, 3, int(height), int(width)))
                torch.save(made[net].state_dict(), models / f"{net}.pth")
            model = networks.as_run(net, made[net]).eval()
            torch.onnx.export(model, pictures, models / f"{case}.onnx", input_names=["pictures"],
                              opset_version=14)  # the first with HardSwish
            reference = networks.flat(model.double()(pictures.double()))
            model.float()
        pictures.numpy().tofile(models / f"{case}.in")
        reference.float().numpy().tofile(models / f"{case}.out")
    print(f"LibTorch {torch.__version__}, torchvision {networks.torchvision.__version__}")


if __name__ == "__main__":
    main()

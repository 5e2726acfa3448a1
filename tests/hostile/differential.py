# SPDX-License-Identifier: MIT
"""Does torch load other weights than we do? differential.py --tool TOOL [--seconds 20] [--seed 1]

Files that torch itself writes must be loaded as torch loads them. Files that are made from those by
changing opcodes of the pickle, records of the archive, or bytes, are loaded by torch.load (with
weights_only, and with an unpickler that knows the same names but has all of Python's opcodes) and by
our reader, through a tool: where both load, every tensor must be the same. A file that differs is
kept in the current folder. Exit code 77: there is no torch.
"""

import argparse
import collections
import inspect
import io
import pathlib
import pickle
import pickletools
import random
import resource
import struct
import subprocess
import sys
import tempfile
import types
import warnings
import zipfile
import zlib

try:
    import torch
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

warnings.filterwarnings("ignore")
DTYPES = {getattr(torch, name): name for name in (
    "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")}
HAS_WEIGHTS_ONLY = "weights_only" in inspect.signature(torch.load).parameters


# --- what torch finds

class RestrictedUnpickler(pickle.Unpickler):
    """Knows the names that state dicts need, and no other."""

    def find_class(self, module, name):
        good = (module == "torch._utils" and name.startswith("_rebuild")) or \
            (module == "torch._tensor" and name == "_rebuild_from_type_v2") or \
            (module == "torch" and (name.endswith("Storage") or name in DTYPES.values() or
                                    name in ("Size", "Tensor", "complex64"))) or \
            (module == "torch.storage" and name in ("UntypedStorage", "_UntypedStorage")) or \
            (module, name) in (("collections", "OrderedDict"), ("collections", "defaultdict"),
                               ("torch.nn.parameter", "Parameter"),
                               ("torch.jit._pickle", "restore_type_tag"),
                               ("torch.jit._pickle", "build_intlist"))
        if not good:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return super().find_class(module, name)


def restricted():
    module = types.ModuleType("restricted")
    module.Unpickler = RestrictedUnpickler
    module.load = lambda file, **how: RestrictedUnpickler(file, **how).load()
    module.UnpicklingError = pickle.UnpicklingError
    return module


LOADERS = {"unpickler": lambda path: torch.load(path, pickle_module=restricted(),
                                                **({"weights_only": False} if HAS_WEIGHTS_ONLY else {}))}
if HAS_WEIGHTS_ONLY:
    LOADERS["weights_only"] = lambda path: torch.load(path, weights_only=True)


def crc_of(tensor):
    tensor = tensor.detach().cpu()
    tensor = tensor.resolve_neg() if hasattr(tensor, "resolve_neg") else tensor
    tensor = tensor.contiguous()
    if tensor.numel() > 1 << 22:
        return 0
    if tensor.dtype == torch.bool:
        tensor = tensor.to(torch.uint8)
    elif tensor.dtype == torch.bfloat16:
        tensor = tensor.view(torch.int16)
    return zlib.crc32(tensor.numpy().tobytes())


def flatten(value, name, found, depth=0):
    """Names as ours: keys and positions, joined by dots."""
    if depth > 64:
        return
    join = lambda key: f"{name}.{key}" if name else str(key)
    if isinstance(value, torch.Tensor):
        found[name] = value
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(key, str) or type(key) is int:
                flatten(item, join(key), found, depth + 1)
    elif isinstance(value, (list, tuple)) and not isinstance(value, torch.Size):
        for index, item in enumerate(value):
            flatten(item, join(index), found, depth + 1)
    elif isinstance(value, torch.nn.Module):
        found.update(value.state_dict())


def describe(tensor):
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type == "meta" or \
       tensor.dtype not in DTYPES:
        return None  # of a kind that we do not read
    return f"{DTYPES[tensor.dtype]}:{','.join(map(str, tensor.shape))}:{crc_of(tensor):08x}"


# --- what we find

class Tool:
    def __init__(self, path):
        self.path = path
        self.start()

    def start(self):
        self.process = subprocess.Popen([self.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, encoding="utf-8", errors="replace")

    def __call__(self, path):
        """The tensors' descriptions by name, or the reason why there are none."""
        print(path, file=self.process.stdin, flush=True)
        parts = self.process.stdout.readline().rstrip("\n").split("\t")
        if len(parts) < 3:
            raise RuntimeError("the tool died")
        if parts[2] == "refused":
            return parts[3]
        found = {}
        for item in parts[3:]:
            name, _, what = item.partition("=")
            found[bytes.fromhex(name).decode("utf-8", "surrogateescape")] = what
        return found


def differences(ours, value):
    theirs = {}
    flatten(value, "", theirs)
    for name, what in ours.items():
        if what.startswith("unreadable:"):
            if name not in theirs:
                yield f"'{name}' is not there for torch"
        elif name not in theirs:
            yield f"'{name}' is not there for torch"
        elif describe(theirs[name]) != what:
            yield f"'{name}' is {what} for us, {describe(theirs[name])} for torch"
    for name in theirs.keys() - ours.keys():
        yield f"'{name}' is there for torch only"


# --- honest files

def honest():
    """(name, what torch.save is given, how)."""
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2))
    base = torch.arange(24.).reshape(4, 6)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 1, 2, 2)).sum().backward()
    optimizer.step()
    state = net.state_dict()
    import numpy
    values = {
        "state": state,
        "checkpoint": {"model": state, "optimizer": optimizer.state_dict(), "epoch": 3,
                       "args": {"lr": 0.1, "seed": 2**64 - 1, "big": -2**200, "none": None}},
        "views": {"base": base, "part": base[1:3, 2:5], "t": base.t(), "e": base[:1].expand(3, 6)},
        "far": {"column": torch.zeros(3000, 1000)[:, :1], "w": torch.ones(2)},
        "dtypes": {name: torch.arange(-3, 9).to(dtype) for dtype, name in DTYPES.items()},
        "parameters": {"p": torch.nn.Parameter(torch.ones(2)), "b": [torch.ones(1), (torch.ones(3),)]},
        "same": [{"w": base}, {"w": base}],
        "losses": {"w": base, "losses": [i / 7 for i in range(300_000)]},
        "ids": {"w": base, "ids": list(range(1_000_000))},
        "history": {"w": base, "history": [{"epoch": i, "loss": i / 3, "lr": 0.1, "name": f"e{i}"}
                                           for i in range(50_000)]},
        "same_history": {"w": base, "h": [{"epoch": 1, "x": [1, 2]}] * 100_000},
        "nested": {"w": base, "deep": __import__("functools").reduce(lambda x, _: [x], range(300), 1)},
        "complex": {"w": base, "c": torch.zeros(2, dtype=torch.complex64)},
        "sparse": {"w": base, "s": torch.eye(3).to_sparse(), "r": torch.eye(3).to_sparse_csr()},
        "quantized": {"w": base, "q": torch.quantize_per_tensor(base, 1, 0, torch.qint8)},
        "meta": {"w": base, "m": torch.empty(3, device="meta")},
        "numpy": {"w": base, "array": numpy.arange(3), "scalar": numpy.float64(1.5)},
        "negated": {"w": base, "n": torch.conj(torch.tensor([1j])).imag},
        "python": {"w": base, "dtype": torch.float32, "device": torch.device("cpu"), 1: base, None: 2,
                   (1, 2): 3, 1.5: 4, b"x": 5, "set": {1, 2}, "counter": collections.Counter("abc"),
                   "default": collections.defaultdict(int, a=1), "size": torch.Size([1])},
    }
    for name, value in values.items():
        for legacy in False, True:
            for protocol in (2, 4) if name in ("state", "views", "python") else (2,):
                try:
                    stream = io.BytesIO()
                    torch.save(value, stream, pickle_protocol=protocol,
                               _use_new_zipfile_serialization=not legacy)
                except (RuntimeError, NotImplementedError):
                    continue  # of this torch's legacy format
                yield f"{name}{'.legacy' if legacy else ''}.{protocol}", stream.getvalue(), value
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(net), stream)
    yield "script", stream.getvalue(), net
    stream = io.BytesIO()
    torch.save(state, stream)
    packed = io.BytesIO()
    with zipfile.ZipFile(stream) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    yield "packed", packed.getvalue(), state


# --- dishonest files

def tokens_of(data):
    """A pickle's opcodes, each with its argument."""
    places = [position for _, _, position in pickletools.genops(data)] + [len(data)]
    return [data[begin:end] for begin, end in zip(places, places[1:])]


def small_int(value):
    return b"K" + bytes([value])


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value


STORAGE = (b"(" + text(b"storage") + b"ctorch\nFloatStorage\n" + text(b"%d") + text(b"cpu") + b"K\4tQ")


def tensor(key=b"0", size=4, offset=0):
    return (b"ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE.replace(b"\2\0\0\0%d", b"\1\0\0\0" + key) +
            small_int(offset) + small_int(size) + b"\x85K\1\x85\x89Nt" + b"R")


class Maker:
    """Makes files, each from the seed and its number alone."""

    def __init__(self, seed):
        self.seeds = []
        base = torch.arange(8.)
        values = [
            {"a": torch.arange(4.), "b": torch.arange(4.) + 10},
            collections.OrderedDict(a=torch.arange(4.), b=torch.arange(3)),
            {"m": {"a": base[2:6], "b": base}, "l": [torch.ones(2), (torch.zeros(2),)], "n": 3},
            {"p": torch.nn.Parameter(torch.ones(2)), 1: torch.zeros(3, dtype=torch.int32)},
            [torch.ones(2, dtype=torch.bool), torch.ones(2, dtype=torch.float16)],
        ]
        for value in values:
            for protocol in 2, 4:
                self.seeds.append(self.parts_of(value, protocol))
        self.seeds.append((tokens_of(b"\x80\2}(" + text(b"a") + tensor() + text(b"b") + tensor(b"1") +
                                     b"u."), {b"0": bytes(range(16)), b"1": bytes(range(16, 32))}))
        self.seed = seed

    @staticmethod
    def parts_of(value, protocol):
        """The pickle's opcodes, and the storages by key."""
        stream = io.BytesIO()
        torch.save(value, stream, pickle_protocol=protocol)
        with zipfile.ZipFile(stream) as archive:
            top = archive.namelist()[0].split("/")[0]
            data = {name.rsplit("/", 1)[1].encode(): archive.read(name) for name in archive.namelist()
                    if "/data/" in name}
            return tokens_of(archive.read(f"{top}/data.pkl")), data

    def make(self, number):
        draw = random.Random(self.seed * 1_000_003 + number)
        tokens, storages = draw.choice(self.seeds)
        tokens, storages = list(tokens), dict(storages)
        for _ in range(draw.choice((0, 0, 1, 1, 1, 1, 2, 2, 3))):
            self.change(draw, tokens)
        if draw.random() < 0.2 and storages:
            key = draw.choice(sorted(storages))
            storages[draw.choice((key.upper(), b"7", b"a", b"A"))] = storages[key][::-1]
        body = b"".join(tokens)
        kind = draw.random()
        if kind < 0.55:
            data = self.archive(draw, body, storages)
        else:
            data = self.legacy(draw, body, storages)
        if draw.random() < 0.1:
            data = bytearray(data)
            for _ in range(draw.choice((1, 1, 2, 4))):
                at = draw.randrange(len(data))
                data[at] = draw.choice((data[at] ^ 1 << draw.randrange(8), draw.randrange(256)))
            data = bytes(data)
        return data

    def change(self, draw, tokens):
        pool = (b"0", b"1", b"2", b"(", b"N", b"\x88", b"\x89", b")", b"]", b"}", b"\x8f", b"s", b"u",
                b"a", b"e", b"d", b"l", b"t", b"\x85", b"\x86", b"\x87", b"b", b"R", b"\x81", b"Q",
                b"\x94", b"K\0", b"K\1", b"K\2", b"K\4", text(b"a"), text(b"b"), text(b"data"),
                b"G\x3f\xf0\0\0\0\0\0\0", b"\x8a\x0a\1\0\0\0\0\0\0\0\0\0",
                b"ccollections\nOrderedDict\n", b"ccollections\nOrderedDict\n)R",
                b"ctorch\nIntStorage\n", b"ctorch\nDoubleStorage\n", b"ctorch\nSize\n",
                b"ctorch._utils\n_rebuild_parameter\n", b"ctorch.nn.parameter\nParameter\n",
                b"ctorch._tensor\n_rebuild_from_type_v2\n", b"ctorch\nTensor\n",
                b"ctorch.jit._pickle\nrestore_type_tag\n", tensor(), tensor(b"1"), tensor(b"0", 2, 1),
                text(b"a") + tensor(b"1") + b"s", text(b"a") + b"Ns", text(b"a") + b"NK\0s",
                b"\x88" + tensor() + b"s", b"K\1" + tensor(b"1") + b"s", b"K\0" + tensor() + b"s",
                b"}" + text(b"data") + tensor(b"1") + b"sb", b"}b", b"(\x88\x89Ntb",
                b"K\0K\7s", b"K\0G\x3f\xf0\0\0\0\0\0\0s")
        at = draw.randrange(1, max(2, len(tokens) - 1))
        what = draw.randrange(9)
        if what == 0:
            del tokens[at]
        elif what == 1:
            tokens.insert(at, draw.choice(pool))
        elif what == 2:
            tokens[at] = draw.choice(pool)
        elif what == 3:
            tokens.insert(at, draw.choice(tokens[1:-1] or [b"N"]))
        elif what == 4:
            other = draw.randrange(1, max(2, len(tokens) - 1))
            tokens[at], tokens[other] = tokens[other], tokens[at]
        elif what == 5:  # a run of them once more
            run = tokens[at:at + draw.randrange(1, 25)]
            place = draw.randrange(1, len(tokens))
            tokens[place:place] = [token for token in run if token != b"."]
        elif what == 6:  # remember, recall
            index = draw.randrange(12)
            tokens.insert(at, draw.choice((b"q", b"h", b"h")) + bytes([index]))
        elif what == 7:  # before the end
            tokens[-1:-1] = [draw.choice(pool) for _ in range(draw.randrange(1, 4))]
        else:  # another number
            numbers = [i for i, token in enumerate(tokens) if token[:1] in (b"K", b"h", b"q")]
            if numbers:
                i = draw.choice(numbers)
                tokens[i] = tokens[i][:1] + bytes([draw.choice((0, 1, 2, 3, 4, 8))])

    def archive(self, draw, body, storages):
        records = [("a/data.pkl", body), ("a/version", b"3\n")]
        records += [(f"a/data/{key.decode()}", data) for key, data in storages.items()]
        for _ in range(draw.choice((0, 0, 0, 1, 2))):
            what = draw.randrange(6)
            if what == 0:
                name, data = draw.choice(records)
                records.append((draw.choice((name.upper(), name.title(), name)), data[::-1]))
            elif what == 1:
                draw.shuffle(records)
            elif what == 2:
                records.append(("b/data.pkl", body))
            elif what == 3:
                records.append(("a/byteorder", draw.choice((b"little", b"big", b"little\n"))))
            elif what == 4:
                records.pop(draw.randrange(len(records)))
            else:
                records.append(("a/constants.pkl", b"\x80\2)."))
        stream = io.BytesIO()
        method = draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
        with zipfile.ZipFile(stream, "w", method) as archive:
            for name, data in records:
                info = zipfile.ZipInfo(name)
                if draw.random() < 0.05:
                    info.external_attr = draw.choice((0x10, 0o40755 << 16, 0o120777 << 16, 0x20))
                archive.writestr(info, data, method)
            if draw.random() < 0.1:
                archive.comment = draw.choice((b"hello", b"PK\5\6", b"PK\5\6" + bytes(18)))
        data = stream.getvalue()
        if draw.random() < 0.05:  # an archive in the comment of an archive
            other = io.BytesIO()
            with zipfile.ZipFile(other, "w") as archive:
                for name, content in records:
                    archive.writestr(name, content[::-1] if "/data/" in name else content)
            inner = other.getvalue()
            data = data[:-2] + struct.pack("<H", len(inner)) + inner
        return data

    def legacy(self, draw, body, storages):
        head = (pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) +
                pickle.dumps({"little_endian": True}, 2))
        keys = [key.decode() for key in storages]
        if draw.random() < 0.2:
            draw.shuffle(keys)
        if draw.random() < 0.05 and keys:
            keys.append(keys[0])
        unit = lambda data: 8 if len(data) % 8 == 0 and b"LongStorage" in body else 4
        tail = b"".join(struct.pack("<q", draw.choice((len(d) // unit(d),) * 20 + (1,))) + d
                        for d in (storages.get(key.encode(), b"") for key in keys))
        if draw.random() < 0.1:  # a part of a storage
            view = text(b"v") + small_int(draw.randrange(4)) + small_int(draw.randrange(5)) + b"\x87"
            body = body.replace(b"tQ", b"" + view + b"tQ", draw.choice((1, 9)))
        else:
            body = body.replace(b"tQ", b"NtQ")
        return head + body + pickle.dumps(keys, 2) + tail


# --- the comparison

def load_all(path):
    for name, load in LOADERS.items():
        try:
            yield name, load(path)
        except Exception:  # whatever torch says: it does not load
            continue


def check_honest(tool, path):
    failures = 0
    for name, data, _ in honest():
        path.write_bytes(data)
        ours = tool(path)
        if isinstance(ours, str) and "without zlib" in ours:
            continue
        if isinstance(ours, str):
            problems = [f"refused: {ours}"]
        else:  # torch before 2.0 forgets that a tensor is negated, so that `value` is not the judge
            how = {"weights_only": False} if HAS_WEIGHTS_ONLY else {}
            problems = list(differences(ours, torch.load(path, **how)))
        for problem in problems:
            failures += 1
            print(f"{name}: {problem}")
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--files", type=int, default=10**9)
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
    import time
    end = time.monotonic() + arguments.seconds
    tool, maker = Tool(arguments.tool), Maker(arguments.seed)
    count = loaded = both = failures = 0
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "file.pth"
        failures += check_honest(tool, path)
        for number in range(arguments.first, arguments.first + arguments.files):
            if time.monotonic() > end or failures >= 20:
                break
            data = maker.make(number)
            path.write_bytes(data)
            count += 1
            ours = tool(path)
            if isinstance(ours, str):
                continue
            loaded += 1
            for name, value in load_all(path):
                both += 1
                problems = list(differences(ours, value))
                if problems:
                    failures += 1
                    kept = pathlib.Path(f"differs-{arguments.seed}-{number}.pth")
                    kept.write_bytes(data)
                    print(f"{kept} ({name}): {problems[0]}")
                    break
    print(f"{count} files: {loaded} loaded by us, {both} by torch, too; {failures} failures")
    if count > 1000 and both < count / 50:
        sys.exit("too few files were loaded by both: the comparison compares nothing")
    sys.exit(1 if failures else 0)


main()
